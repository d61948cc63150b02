//! An actor: work on a thread of its own that stops at named steps until it is told to go on, or to die there.
//!
//! Promises that it runs only between being told to and the next step, so that who runs when is its caller's to say. Death
//! unwinds it: what it had written stays, what it held in memory is gone.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Once;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::runtime::Handle;

/// The steps of the program itself at which an actor stops.
const STEPS: [&str; 3] = ["control-appended", "before-commit", "after-commit"];

/// What an actor says.
pub enum Said<T> {
    /// It stands at a step.
    Stops(&'static str),
    /// It came to its end.
    Done(T),
    /// It died, as it was told to.
    Died,
    /// It panicked.
    Failed,
}

/// The work of one process.
pub struct Actor<T> {
    go: Sender<bool>,
    said: Receiver<Said<T>>,
    thread: Option<JoinHandle<()>>,
}

struct Death;

type Stop = Rc<dyn Fn(&'static str)>;

thread_local! {
    static STOP: RefCell<Option<Stop>> = const { RefCell::new(None) };
}

/// Stops the actor whose thread this is. Nothing on any other thread.
pub fn stop(step: &'static str) {
    if let Some(stop) = STOP.with_borrow(Clone::clone) {
        stop(step);
    }
}

/// Lets actors stop at the program's own steps.
pub fn watch_steps() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| STEPS.iter().for_each(|step| fail::cfg_callback(*step, || stop(step)).unwrap()));
}

impl<T: Send + 'static> Actor<T> {
    /// Begins; gives the first word of it too.
    pub fn start(runtime: &Handle, work: impl Future<Output = T> + Send + 'static) -> (Self, Said<T>) {
        let (go, going) = channel();
        let (say, said) = channel();
        let runtime = runtime.clone();
        let thread = std::thread::spawn(move || {
            let stops = say.clone();
            STOP.set(Some(Rc::new(move |step| {
                let heard = stops.send(Said::Stops(step)).is_ok();
                if !heard || going.recv() != Ok(true) {
                    resume_unwind(Box::new(Death));
                }
            })));
            let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
            STOP.set(None);
            let last = match ended {
                Ok(done) => Said::Done(done),
                Err(why) if why.is::<Death>() => Said::Died,
                Err(_) => Said::Failed,
            };
            // Nobody hears it where the scheduler itself has failed.
            let _ = say.send(last);
        });
        let mut actor = Self { go, said, thread: Some(thread) };
        let first = actor.hear();
        (actor, first)
    }

    /// Lets it go on to its next step, or die where it stands.
    pub fn go(&mut self, on: bool) -> Said<T> {
        self.go.send(on).unwrap();
        self.hear()
    }

    fn hear(&mut self) -> Said<T> {
        let said = self.said.recv().unwrap();
        if !matches!(said, Said::Stops(_))
            && let Some(thread) = self.thread.take()
        {
            thread.join().unwrap();
        }
        said
    }
}

//! An actor: work on its own thread that stops at named steps until it is instructed to continue,
//! or to die there.
//!
//! It runs only between that instruction and the next step, so the caller decides who runs when.
//! Death unwinds the thread: what it had written stays, what it had in memory is lost.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::Once;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use tokio::runtime::Handle;

/// The failpoints of the program at which an actor stops.
const STEPS: [&str; 3] = ["control-appended", "before-commit", "after-commit"];

/// A report of an actor.
pub enum ActorReport<T> {
    /// It stopped at a step.
    Stops(&'static str),
    /// It finished.
    Done(T),
    /// It died, as instructed.
    Died,
    /// It panicked.
    Failed,
}

/// The work of one process.
pub struct Actor<T> {
    go: Sender<bool>,
    said: Receiver<ActorReport<T>>,
    thread: Option<JoinHandle<()>>,
}

struct Death;

type Stop = Rc<dyn Fn(&'static str)>;

thread_local! {
    static STOP: RefCell<Option<Stop>> = const { RefCell::new(None) };
}

/// Stops the actor that runs on this thread. Does nothing on any other thread.
pub fn stop(step: &'static str) {
    if let Some(stop) = STOP.with_borrow(Clone::clone) {
        stop(step);
    }
}

/// Makes actors stop at the program's failpoints.
pub fn watch_steps() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        STEPS
            .iter()
            .for_each(|step| fail::cfg_callback(*step, || stop(step)).unwrap())
    });
}

impl<T: Send + 'static> Actor<T> {
    /// Starts an actor. Returns it with its first report.
    pub fn start(
        runtime: &Handle,
        work: impl Future<Output = T> + Send + 'static,
    ) -> (Self, ActorReport<T>) {
        let (go, going) = channel();
        let (say, said) = channel();
        let runtime = runtime.clone();
        let thread = std::thread::spawn(move || {
            let stops = say.clone();
            STOP.set(Some(Rc::new(move |step| {
                let heard = stops.send(ActorReport::Stops(step)).is_ok();
                if !heard || going.recv() != Ok(true) {
                    resume_unwind(Box::new(Death));
                }
            })));
            let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
            STOP.set(None);
            let last = match ended {
                Ok(done) => ActorReport::Done(done),
                Err(why) if why.is::<Death>() => ActorReport::Died,
                Err(_) => ActorReport::Failed,
            };
            // No one receives it if the scheduler itself has failed.
            let _ = say.send(last);
        });
        let mut actor = Self {
            go,
            said,
            thread: Some(thread),
        };
        let first = actor.hear();
        (actor, first)
    }

    /// Lets it continue to its next step, or die where it stopped. Returns its report.
    pub fn go(&mut self, on: bool) -> ActorReport<T> {
        self.go.send(on).unwrap();
        self.hear()
    }

    fn hear(&mut self) -> ActorReport<T> {
        let said = self.said.recv().unwrap();
        if !matches!(said, ActorReport::Stops(_))
            && let Some(thread) = self.thread.take()
        {
            thread.join().unwrap();
        }
        said
    }
}

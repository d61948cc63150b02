//! A root in a bucket in memory whose answers to puts in the logs a test chooses: the tables' logs
//! and the control log.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetResult, ObjectStore, PutMode, PutOptions, PutPayload, PutResult, Result,
};

use super::hook::{HookedStore, StoreHook};
use crate::Root;
use crate::objects::CloudStore;

/// The entry of another writer.
const OTHER: &str = "{\"commitInfo\":{\"operation\":\"other\"}}\n";

/// The fate of every put in a log from now on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogPut {
    /// The store accepts the put and says so.
    #[default]
    Answered,
    /// The store accepts the put, but the answer is lost.
    AnswerLost,
    /// Like `AnswerLost`, and reads of the log fail until another fate is set.
    Silent,
    /// The put is under way: [`FlakyStore::deliver`] delivers it. The answer is lost.
    Late,
    /// Another writer's entry gets the name, once, and the answer is lost.
    Overtaken,
    /// The store says that another writer's entry has the name, and shows it only after
    /// [`FlakyStore::deliver`].
    Hidden,
    /// The store refuses the put for good.
    Refused,
}

#[derive(Debug, Default)]
struct FlakyState {
    fate: LogPut,
    late: Vec<(Path, PutPayload)>,
    /// True from the first put under `Silent` on.
    silent: bool,
}

/// A store in memory that fails as a test requests.
#[derive(Debug, Clone, Default)]
pub struct FlakyStore {
    store: Arc<InMemory>,
    state: Arc<Mutex<FlakyState>>,
}

impl FlakyStore {
    /// Creates a root in a new bucket of such a store.
    #[must_use]
    pub fn root() -> (FlakyStore, Root) {
        let flaky = FlakyStore::default();
        let bucket = CloudStore::new(Arc::new(HookedStore(flaky.clone())));
        let root = Root::parse("s3://flaky/eu").unwrap();
        (flaky, root.with_store(Arc::new(bucket)))
    }

    /// Creates a root in such a store that returns every error as it is. Its puts either landed or
    /// never will.
    #[must_use]
    pub fn plain_root() -> (FlakyStore, Root) {
        let flaky = FlakyStore::default();
        let root = Root::parse("s3://flaky/eu").unwrap();
        let store = Arc::new(HookedStore(flaky.clone()));
        (flaky, root.with_store(store))
    }

    /// Sets the fate of the puts that follow.
    pub fn fate(&self, fate: LogPut) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.fate, state.silent) = (fate, false);
    }

    /// Returns the number of puts that [`FlakyStore::deliver`] would let arrive.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.late.len()
    }

    /// Lets the puts arrive that were late, in their order. Returns the number of those that found
    /// their name free.
    pub async fn deliver(&self) -> usize {
        let late = std::mem::take(&mut self.state.lock().unwrap().late);
        let mut arrived = 0;
        for (at, payload) in late {
            let put = self.store.put_opts(&at, payload, PutMode::Create.into());
            arrived += usize::from(put.await.is_ok());
        }
        arrived
    }
}

fn broken() -> Error {
    Error::Generic {
        store: "flaky",
        source: "timed out".into(),
    }
}

fn is_log(at: &Path) -> bool {
    at.as_ref().contains("_delta_log") || at.as_ref().contains("_controls")
}

#[async_trait]
impl StoreHook for FlakyStore {
    fn inner(&self) -> &dyn ObjectStore {
        self.store.as_ref()
    }

    async fn put(&self, at: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fate = match is_log(at) {
            true => self.state.lock().unwrap().fate,
            false => LogPut::Answered,
        };
        match fate {
            LogPut::Answered => self.store.put_opts(at, payload, options).await,
            LogPut::AnswerLost => {
                self.store.put_opts(at, payload, options).await?;
                Err(broken())
            }
            LogPut::Silent => {
                self.state.lock().unwrap().silent = true;
                self.store.put_opts(at, payload, options).await?;
                Err(broken())
            }
            LogPut::Late => {
                let mut state = self.state.lock().unwrap();
                if !state.late.iter().any(|(late, _)| late == at) {
                    state.late.push((at.clone(), payload));
                }
                Err(broken())
            }
            LogPut::Overtaken => {
                self.fate(LogPut::Answered);
                self.store.put_opts(at, OTHER.into(), options).await?;
                Err(broken())
            }
            LogPut::Hidden => {
                let mut state = self.state.lock().unwrap();
                state.late.push((at.clone(), OTHER.into()));
                Err(Error::AlreadyExists {
                    path: at.to_string(),
                    source: "412".into(),
                })
            }
            LogPut::Refused => Err(Error::PermissionDenied {
                path: at.to_string(),
                source: "403".into(),
            }),
        }
    }

    async fn get(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        if is_log(from) && self.state.lock().unwrap().silent {
            return Err(broken());
        }
        self.store.get_opts(from, options).await
    }
}

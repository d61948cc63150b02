mod minio;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use object_store::memory::InMemory;

use super::probe::{ProbeResult, try_out};
use super::*;
use crate::testing::hook::{HookedStore, StoreHook};

/// A store's reaction to a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PutBehaviour {
    /// Accepts the put and says so.
    Well,
    /// Accepts the put, but the answer is lost.
    LosesTheAnswer,
    /// Does not accept the put and does not answer.
    Nothing,
    /// Answers that the name is being decided on.
    Deciding,
    /// Accepts the put even if the name is taken.
    Forgets,
    /// Refuses the put for good.
    Refuses,
}

/// A store in memory that fails as requested, put by put.
#[derive(Debug, Default)]
struct Faulty {
    store: InMemory,
    doings: Mutex<Vec<PutBehaviour>>,
    puts: AtomicUsize,
}

#[async_trait]
impl StoreHook for Faulty {
    fn inner(&self) -> &dyn ObjectStore {
        &self.store
    }

    async fn put(&self, at: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let doing = self
            .doings
            .lock()
            .unwrap()
            .pop()
            .unwrap_or(PutBehaviour::Well);
        let lost = || Error::Generic {
            store: "faulty",
            source: "timed out".into(),
        };
        match doing {
            PutBehaviour::Well => self.store.put_opts(at, payload, opts).await,
            PutBehaviour::LosesTheAnswer => self
                .store
                .put_opts(at, payload, opts)
                .await
                .and(Err(lost())),
            PutBehaviour::Nothing => Err(lost()),
            PutBehaviour::Forgets => {
                self.store
                    .put_opts(at, payload, PutOptions::default())
                    .await
            }
            PutBehaviour::Refuses => Err(Error::PermissionDenied {
                path: at.to_string(),
                source: "403".into(),
            }),
            PutBehaviour::Deciding => Err(Error::AlreadyExists {
                path: at.to_string(),
                source: "409".into(),
            }),
        }
    }
}

/// Returns a bucket that reacts to the next puts in that way, in that order.
fn bucket(doings: &[PutBehaviour]) -> (Arc<HookedStore<Faulty>>, CloudStore) {
    let faulty = Arc::new(HookedStore(Faulty::default()));
    faulty.0.doings.lock().unwrap().extend(doings.iter().rev());
    (Arc::clone(&faulty), CloudStore { inner: faulty })
}

fn entry() -> Path {
    Path::from("eu/tables/sms/_delta_log/00000000000000000007.json")
}

async fn cast(bucket: &CloudStore, text: &str) -> Result<PutResult> {
    let payload = PutPayload::from(text.as_bytes().to_vec());
    bucket
        .put_opts(&entry(), payload, PutOptions::from(PutMode::Create))
        .await
}

async fn stands(bucket: &CloudStore) -> Option<Vec<u8>> {
    match bucket.get(&entry()).await {
        Ok(there) => Some(there.bytes().await.unwrap().to_vec()),
        Err(_) => None,
    }
}

#[tokio::test]
async fn a_vote_counts_once_whatever_became_of_its_answer() {
    use PutBehaviour::{Deciding, LosesTheAnswer, Nothing, Well};
    let histories: BTreeMap<&str, &[PutBehaviour]> = BTreeMap::from([
        ("at once", &[Well][..]),
        ("its answer was lost", &[LosesTheAnswer]),
        ("it was lost itself, then taken", &[Nothing, Well]),
        (
            "it was lost, taken, and the answer lost",
            &[Nothing, LosesTheAnswer],
        ),
        (
            "two were cast at once and none was taken",
            &[Deciding, Deciding, Well],
        ),
    ]);
    for (what, doings) in histories {
        let (_, bucket) = bucket(doings);
        cast(&bucket, "ours")
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(stands(&bucket).await.unwrap(), b"ours", "{what}");
        assert!(
            matches!(
                cast(&bucket, "late").await,
                Err(Error::AlreadyExists { .. })
            ),
            "{what}"
        );
        assert_eq!(stands(&bucket).await.unwrap(), b"ours", "{what}");
    }
}

#[tokio::test]
async fn a_vote_for_a_name_that_another_has_is_lost_even_if_its_answer_was() {
    for doings in [
        &[PutBehaviour::Well][..],
        &[PutBehaviour::LosesTheAnswer],
        &[PutBehaviour::Nothing],
        &[PutBehaviour::Deciding],
    ] {
        let (faulty, bucket) = bucket(&[PutBehaviour::Well]);
        // Of the same length.
        cast(&bucket, "them").await.unwrap();
        faulty.0.doings.lock().unwrap().extend(doings);
        assert!(
            matches!(
                cast(&bucket, "ours").await,
                Err(Error::AlreadyExists { .. })
            ),
            "{doings:?}"
        );
        assert_eq!(stands(&bucket).await.unwrap(), b"them");
    }
}

#[tokio::test]
async fn a_vote_that_may_land_yet_is_said_to_after_a_bounded_number_of_tries() {
    let (faulty, bucket) = bucket(&[PutBehaviour::Nothing; 100]);
    let error = cast(&bucket, "ours").await.unwrap_err();
    assert!(CommitOutcomeUnknown::is_cause_of(&error), "{error}");
    assert_eq!(faulty.0.puts.load(Ordering::Relaxed), VOTES as usize);
    // It is also found through all errors that wrap it on the way up.
    let wrapped = crate::StoreError::from(
        deltalake_core::kernel::transaction::TransactionError::from(error),
    );
    assert!(CommitOutcomeUnknown::is_cause_of(&wrapped));
    let other = Error::Generic {
        store: "bucket",
        source: "no".into(),
    };
    assert!(!CommitOutcomeUnknown::is_cause_of(
        &crate::StoreError::from(other)
    ));
}

#[tokio::test]
async fn store_that_ignores_a_put_condition_is_found_and_the_probe_cleans_up() {
    for (doings, shown) in [
        (&[][..], ProbeResult::Good),
        (
            &[PutBehaviour::Forgets, PutBehaviour::Forgets],
            ProbeResult::Unconditional,
        ),
    ] {
        let (faulty, bucket) = bucket(doings);
        let store: Arc<dyn ObjectStore> = Arc::new(bucket);
        assert_eq!(
            try_out(&store, &Path::from("eu/_probe")).await.unwrap(),
            shown
        );
        assert_eq!(faulty.list(None).count().await, 0);
    }
}

#[tokio::test]
async fn every_new_object_is_put_if_absent_unless_its_name_is_unique() {
    let (_, bucket) = bucket(&[]);
    for name in [
        "tables/sms/_delta_log/00000000000000000000.json",
        "eu/_controls/00000000000000000001.json",
        "tables/sms/bucket=2026-09-21/profile=0123456789ab/1.parquet",
    ] {
        let at = Path::from(name);
        put_unique(&bucket, &at, "first".into()).await.unwrap();
        let again = bucket.put_opts(&at, "second".into(), PutMode::Create.into());
        assert!(
            matches!(again.await, Err(Error::AlreadyExists { .. })),
            "{name}"
        );
        // A repeated put after a lost answer is no error.
        put_unique(&bucket, &at, "first".into()).await.unwrap();
    }
}

#[tokio::test]
async fn refused_put_after_one_without_an_answer_may_still_land() {
    let (_, bucket) = bucket(&[PutBehaviour::Nothing, PutBehaviour::Refuses]);
    let doings = &[PutBehaviour::Refuses; 100];
    let (faulty, refusing) = self::bucket(doings);
    let error = cast(&refusing, "ours").await.unwrap_err();
    assert!(!CommitOutcomeUnknown::is_cause_of(&error), "{error}");
    assert_eq!(faulty.0.puts.load(Ordering::Relaxed), 1);
    // The third put is accepted: the refusal was no answer to the first.
    cast(&bucket, "ours").await.unwrap();
    let (faulty, bucket) = self::bucket(&[PutBehaviour::Nothing]);
    faulty
        .0
        .doings
        .lock()
        .unwrap()
        .splice(0..0, [PutBehaviour::Refuses; 10]);
    let error = cast(&bucket, "ours").await.unwrap_err();
    assert!(CommitOutcomeUnknown::is_cause_of(&error), "{error}");
}

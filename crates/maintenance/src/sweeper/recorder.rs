//! Records the results of a round's pieces of work: in the round and the metrics, and failures in
//! the log.

use std::time::Duration;

use super::SweepReport;
use super::concurrent_tasks::FinishedTask;
use crate::commit::TaskOutcome;
use crate::review::RetryKind;
use crate::task::Task;
use ebbtide_base::ids::ProductKey;
use ebbtide_base::metrics::Metrics;

/// The places where results are recorded.
pub(super) struct RoundRecorder<'r> {
    pub(super) round: &'r mut SweepReport,
    pub(super) metrics: &'r Metrics,
}

impl RoundRecorder<'_> {
    /// Records a piece of work that finished at `now`, in the time that the process has run.
    pub(super) fn take(&mut self, finished: &FinishedTask, now: Duration) {
        let FinishedTask {
            product,
            reviews,
            work,
            done,
            took,
        } = finished;
        match done {
            Ok(done) => {
                reviews
                    .lock()
                    .forget_failures(RetryKind::Sweep, &work.segments);
                self.count(product, work, done, *took);
                self.round.works += 1;
                self.round.commits += done.commits;
                self.round.did.add(&done.did);
            }
            Err(error) if error.is_stale() => {
                self.round.stale += 1;
                self.round.more = true;
                tracing::debug!(%product, %error, "another instance was faster; planning again");
            }
            Err(error) => {
                self.round.failed += 1;
                let others =
                    reviews
                        .lock()
                        .record_failure(RetryKind::Sweep, &work.segments, error, now);
                if others {
                    self.round.stale += 1;
                    self.round.more = true;
                }
                self.metrics
                    .sweep_failures
                    .with_label_values(&[product.as_str()])
                    .inc();
                let bucket = work.bucket.to_string();
                tracing::error!(%product, bucket, %error, "a sweep failed; trying again later");
            }
        }
    }

    fn count(&self, product: &ProductKey, work: &Task, done: &TaskOutcome, took: Duration) {
        let metrics = self.metrics;
        let action = work.action.kind().name();
        let product = product.as_str();
        metrics
            .sweep_seconds
            .with_label_values(&[product, action])
            .observe(took.as_secs_f64());
        metrics
            .swept_bytes
            .with_label_values(&[product, "copied"])
            .inc_by(done.did.bytes_copied);
        metrics
            .swept_bytes
            .with_label_values(&[product, "dropped"])
            .inc_by(done.did.bytes_dropped);
        for (outcome, count) in [
            ("cell", done.did.cell_records),
            ("suppressed", done.did.suppressed),
            ("removed", done.did.removed),
        ] {
            metrics
                .ended_records
                .with_label_values(&[product, outcome])
                .inc_by(count);
        }
        metrics
            .retagged
            .with_label_values(&[product])
            .inc_by(done.did.retagged);
        metrics
            .cells
            .with_label_values(&[product])
            .inc_by(done.did.cells);
        for (category, fields) in &done.did.dropped {
            metrics
                .dropped_fields
                .with_label_values(&[product, category.as_str()])
                .inc_by(*fields);
        }
    }
}

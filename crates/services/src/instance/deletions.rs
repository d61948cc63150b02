//! Reports files that should be deleted and still exist: in the metrics, in the readiness and in
//! the log.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use ebbtide_base::health::{Component, Health};
use ebbtide_base::metrics::Metrics;
use ebbtide_table::{DeleteFailures, OverdueFiles};

/// The receivers of the reports.
pub(super) struct DeletionReports {
    pub(super) metrics: Metrics,
    pub(super) health: Arc<Health>,
}

impl DeletionReports {
    /// Reports the files that a pass over `folder` failed to delete, and those that are overdue
    /// there after it.
    pub(super) fn report(
        &self,
        folder: &str,
        failures: &DeleteFailures,
        overdue: OverdueFiles,
        now: DateTime<Utc>,
    ) {
        let labels = [folder];
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let age = overdue
            .since
            .map_or(0, |since| (now - since).num_seconds().max(0));
        self.metrics
            .unlink_failures
            .with_label_values(&labels)
            .inc_by(failures.count as u64);
        self.metrics
            .unlink_overdue_files
            .with_label_values(&labels)
            .set(gauge(overdue.files));
        self.metrics
            .unlink_overdue_seconds
            .with_label_values(&labels)
            .set(age);
        self.metrics.unlink_known.with_label_values(&labels).set(1);
        if !failures.is_empty() {
            tracing::error!(folder, count = failures.count, first = %failures, "files could not be deleted; trying again");
        }
        let part = Component::Files(folder.to_owned());
        if overdue.files == 0 {
            if self.health.over(&part) {
                tracing::info!(folder, "all files that should be deleted are deleted");
            }
            return;
        }
        let since = overdue.since.map_or_else(String::new, |since| {
            format!(
                ", the first since {}",
                since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
            )
        });
        let files = if overdue.files == 1 {
            "1 file".to_owned()
        } else {
            format!("{} files", overdue.files)
        };
        let reason = format!("{files} of {folder} should be deleted and still exist{since}");
        if self.health.trouble(part, reason) {
            tracing::error!(
                folder,
                files = overdue.files,
                "files that should be deleted still exist"
            );
        }
    }

    /// Reports that a pass over `folder` failed, so that the overdue files there are unknown.
    /// Gauges of an earlier pass are removed.
    pub(super) fn unknown(&self, folder: &str, why: &dyn std::fmt::Display) {
        self.metrics
            .unlink_failures
            .with_label_values(&[folder])
            .inc();
        self.forget(folder);
        tracing::error!(folder, error = %why, "it is not known which files should be deleted; trying again");
        let reason = format!(
            "it is not known which files of {folder} should be deleted and still exist: {why}"
        );
        self.health
            .trouble(Component::Files(folder.to_owned()), reason);
    }

    /// Removes the gauges of an earlier pass, since the folder was not inspected.
    pub(super) fn forget(&self, folder: &str) {
        let gauges = [
            &self.metrics.unlink_overdue_files,
            &self.metrics.unlink_overdue_seconds,
            &self.metrics.unlink_backlog,
            &self.metrics.orphans,
        ];
        for gauges in gauges {
            // An error means that there is no such series.
            let _ = gauges.remove_label_values(&[folder]);
        }
        self.metrics
            .unlink_known
            .with_label_values(&[folder])
            .set(0);
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use ebbtide_base::clock::ManualClock;
    use ebbtide_table::DeleteFailure;

    fn noon() -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000, 0).unwrap()
    }

    fn reports() -> DeletionReports {
        let health = Arc::new(Health::starting(Arc::new(ManualClock::at(noon()))));
        health.over(&Component::Process);
        DeletionReports {
            metrics: Metrics::new().unwrap(),
            health,
        }
    }

    fn series(reports: &DeletionReports, name: &str) -> Option<String> {
        let text = reports.metrics.exposition().unwrap();
        text.lines()
            .find(|line| line.starts_with(name))
            .map(|line| line.rsplit(' ').next().unwrap().to_owned())
    }

    #[test]
    fn overdue_files_make_the_instance_not_ready_until_they_are_deleted() {
        let reports = reports();
        let (mut failures, mut overdue) = (DeleteFailures::default(), OverdueFiles::default());
        for path in ["a.parquet", "b.parquet"] {
            failures.add(DeleteFailure {
                path: path.to_owned(),
                why: "denied".to_owned(),
            });
            overdue.add(Some(noon() - TimeDelta::minutes(5)));
        }
        reports.report("sms", &failures, overdue, noon());
        let ready = reports.health.readiness();
        assert_eq!(
            (ready.ready, ready.troubles[0].part.as_str()),
            (false, "files/sms")
        );
        assert!(
            ready.troubles[0]
                .reason
                .starts_with("2 files of sms should be deleted"),
            "{:?}",
            ready.troubles
        );
        assert_eq!(
            series(&reports, "ebbtide_unlink_overdue_files").as_deref(),
            Some("2")
        );
        assert_eq!(
            series(&reports, "ebbtide_unlink_overdue_seconds").as_deref(),
            Some("300")
        );
        assert_eq!(
            series(&reports, "ebbtide_unlink_failures_total{product=\"sms\"}").as_deref(),
            Some("2")
        );

        reports.report(
            "sms",
            &DeleteFailures::default(),
            OverdueFiles::default(),
            noon(),
        );
        assert!(reports.health.readiness().ready);
        assert_eq!(
            series(&reports, "ebbtide_unlink_overdue_files").as_deref(),
            Some("0")
        );
    }

    #[test]
    fn failed_look_leaves_no_stale_gauge() {
        let reports = reports();
        let mut overdue = OverdueFiles::default();
        overdue.add(None);
        reports.report("sms", &DeleteFailures::default(), overdue, noon());
        reports.unknown("sms", &"the bucket does not answer");
        assert_eq!(series(&reports, "ebbtide_unlink_overdue_files"), None);
        assert_eq!(
            series(&reports, "ebbtide_unlink_known").as_deref(),
            Some("0")
        );
        let ready = reports.health.readiness();
        assert!(
            !ready.ready && ready.troubles[0].reason.contains("does not answer"),
            "{ready:?}"
        );
        reports.report(
            "sms",
            &DeleteFailures::default(),
            OverdueFiles::default(),
            noon(),
        );
        assert!(reports.health.readiness().ready);
        assert_eq!(
            series(&reports, "ebbtide_unlink_known").as_deref(),
            Some("1")
        );
    }
}

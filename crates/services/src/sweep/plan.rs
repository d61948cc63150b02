//! The work that a sweep would do.

use serde::Serialize;

use ebbtide_base::ids::{Deadline, ProductKey};
use ebbtide_maintenance::PlannedTask;

/// The planned pieces of work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepPlanReport {
    /// The pieces, the most urgent first.
    pub works: Vec<TaskReport>,
    /// True if more is due than one plan has.
    pub more: bool,
}

/// A planned piece of work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskReport {
    /// The product of the table.
    pub product: ProductKey,
    /// The bucket of the segments.
    pub bucket: String,
    /// The profile of the segments.
    pub profile: String,
    /// The action in words: `end`, `retag` or `drop` with the categories.
    pub action: String,
    /// The earliest deadline.
    pub due: Deadline,
    /// The number of segments.
    pub segments: usize,
    /// The number of records that may be deleted.
    pub records: u64,
    /// The number of records of the same segments that are held.
    pub held: u64,
    /// The size of the segments in bytes.
    pub bytes: u64,
}

impl TaskReport {
    pub(super) fn new(planned: &PlannedTask) -> TaskReport {
        let work = &planned.work;
        TaskReport {
            product: planned.product.clone(),
            bucket: work.bucket.to_string(),
            profile: work.profile.to_string(),
            action: work.action.to_string(),
            due: work.due,
            segments: work.segments.len(),
            records: work.records().saturating_sub(planned.held),
            held: planned.held,
            bytes: work.bytes(),
        }
    }
}

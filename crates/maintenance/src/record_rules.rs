//! The definition of a product's records, as decisions on stored segments need it.

use ebbtide_policy::{Calendar, Records};

/// The records of a product and the calendar of their deadlines.
#[derive(Debug, Clone)]
pub struct RecordRules {
    /// The records as the active policy defines them.
    pub records: Records,
    /// The calendar of buckets and deadlines.
    pub calendar: Calendar,
}

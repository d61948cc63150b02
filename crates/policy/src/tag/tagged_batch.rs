//! A tagged batch, and the source of the rows that it was made from.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};

use crate::Profile;
use ebbtide_base::ids::{Bucket, Category, Deadline, TopicPartition};
use ebbtide_base::record::Fault;

/// The source of a batch's rows, and the time when they were read.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals<'a> {
    /// The topic partition.
    pub source: &'a TopicPartition,
    /// The offset of each row.
    pub offsets: &'a [i64],
    /// The time when the rows were read.
    pub at: DateTime<Utc>,
}

/// A tagged batch.
#[derive(Debug)]
pub struct TaggedBatch {
    /// The records to store. No group is empty, and no two have the same bucket and profile.
    pub groups: Vec<TaggedGroup>,
    /// The rows of the input that cannot be stored, with the reasons; in the order of the input.
    pub faults: Vec<(usize, Fault)>,
    /// The number of fields of stored records that are left out because they are already due, by
    /// category. A column of a record counts as one.
    pub late_fields: BTreeMap<Category, u64>,
    /// The number of records whose deadlines have all passed. They are not stored.
    pub expired: u64,
    /// The number of values in phone columns of stored records that are not numbers and therefore
    /// remain text.
    pub unparsed: u64,
}

/// Records of one bucket and one profile: they share every deadline.
#[derive(Debug)]
pub struct TaggedGroup {
    /// The bucket of the earlier of event and arrival.
    pub bucket: Bucket,
    /// The profile, with its `late`.
    pub profile: Arc<Profile>,
    /// The deadline of each of the profile's terms; `None` while it is open.
    pub deadlines: Vec<Option<Deadline>>,
    /// Indexes of the profile's terms that are already due: the rows have no column of their
    /// categories.
    pub absent: Vec<usize>,
    /// The policy's fields in the schema's order, derived columns, `jurisdiction`, `ingested_at`,
    /// `source_topic`, `source_partition`, `source_offset`.
    pub rows: RecordBatch,
}

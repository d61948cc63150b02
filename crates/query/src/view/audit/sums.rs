//! The sums over a table's entries in order, and the violations where an entry does not follow from
//! those before it.
//!
//! Only the log is read; the contents of the files are checked elsewhere.

use std::collections::{BTreeMap, HashMap};

use super::AuditViolation;
use ebbtide_base::ids::{Offset, TopicPartition};
use ebbtide_table::evidence::{
    Evidence, LossCause, OffsetLoss, PartitionEvidence, RewriteEvidence, TableTotals,
};
use ebbtide_table::log::{AddedFile, LogEntry};
use ebbtide_table::segment::cell_records;

/// The sums over the entries in order.
#[derive(Default)]
pub(super) struct EvidenceSums {
    pub(super) commits: u64,
    pub(super) foreign_commits: u64,
    /// Rows that other engines added after the newest commit of Ebbtide.
    pub(super) foreign_rows: u64,
    pub(super) totals: Option<TableTotals>,
    pub(super) ends: BTreeMap<TopicPartition, Offset>,
    pub(super) broken: Vec<AuditViolation>,
    /// The records of each active file whose entry was read.
    files: HashMap<String, u64>,
}

impl EvidenceSums {
    /// Adds the next entry to the sums.
    pub(super) fn enter(&mut self, entry: &LogEntry) {
        let removed: Vec<Option<u64>> = entry
            .removed
            .iter()
            .map(|path| self.files.remove(path))
            .collect();
        self.files.extend(
            entry
                .added
                .iter()
                .filter_map(|file| Some((file.path.clone(), records(file)?))),
        );
        let changed = || entry.added.iter().filter(|file| file.data_change);
        let rows: u64 = changed().filter_map(AddedFile::rows).sum();
        let Some(evidence) = &entry.evidence else {
            // The first entry and those that change columns add no file and have no evidence,
            // although they are of Ebbtide.
            if !entry.added.is_empty() || !entry.removed.is_empty() {
                self.foreign_commits += 1;
                self.foreign_rows += entry.foreign_rows();
            }
            return;
        };
        self.commits += 1;
        match &evidence.rewrite {
            None => self.balance(entry.version, evidence, rows),
            Some(did) => {
                // Includes the files of a compaction, which changes no row and must have all
                // records.
                let added = entry.added.iter().filter_map(records).sum();
                self.rewritten(entry.version, did, removed.into_iter().sum(), added);
            }
        }
        self.add_up(entry.version, evidence);
        for moved in &evidence.partitions {
            let loss = evidence
                .losses
                .iter()
                .find(|loss| loss.partition == moved.partition);
            if !is_explained(moved, loss) {
                let (version, partition) = (entry.version, moved.partition.to_string());
                self.broken.push(AuditViolation::Loss {
                    version,
                    partition,
                    from: offset_text(moved.from),
                    next: moved.next,
                });
            }
            let expected = self.ends.insert(moved.partition.clone(), moved.next);
            if expected.is_some() && expected != moved.from {
                self.broken.push(AuditViolation::Chain {
                    version: entry.version,
                    partition: moved.partition.to_string(),
                    from: offset_text(moved.from),
                    expected: offset_text(expected),
                });
            }
        }
    }

    /// Skips an entry that cannot be read: the entries after it begin new sums.
    pub(super) fn skip(&mut self, what: String) {
        self.totals = None;
        self.ends.clear();
        self.files.clear();
        self.broken.push(AuditViolation::Log { what });
    }

    fn balance(&mut self, version: u64, evidence: &Evidence, rows: u64) {
        if !evidence.conserves() {
            let accounted = evidence.accounted();
            self.broken.push(AuditViolation::Unaccounted {
                version,
                read: evidence.read,
                accounted,
            });
        }
        if evidence.stored != rows {
            self.broken.push(AuditViolation::Rows {
                version,
                stored: evidence.stored,
                rows,
            });
        }
    }

    /// Checks the counts of a rewrite. `removed` is the number of records of the removed files, if
    /// all of them are known.
    fn rewritten(&mut self, version: u64, did: &RewriteEvidence, removed: Option<u64>, added: u64) {
        if !did.conserves() {
            let accounted = did.records_out + did.removed + did.suppressed;
            self.broken.push(AuditViolation::Ended {
                version,
                records: did.records_in,
                accounted,
            });
        }
        if let Some(found) = removed.filter(|found| *found != did.records_in) {
            self.broken.push(AuditViolation::TakenOut {
                version,
                reported: did.records_in,
                found,
            });
        }
        if added != did.records_out {
            self.broken.push(AuditViolation::PutBack {
                version,
                reported: did.records_out,
                found: added,
            });
        }
    }

    fn add_up(&mut self, version: u64, evidence: &Evidence) {
        let before = self.totals.replace(evidence.totals);
        let first = evidence.totals.commits == 1;
        let foreign = std::mem::take(&mut self.foreign_rows);
        let before = before.or(first.then(TableTotals::default));
        let before = before.map(|before| TableTotals {
            foreign: before.foreign + foreign,
            ..before
        });
        if before.is_some_and(|before| before.plus(evidence) != evidence.totals) {
            self.broken.push(AuditViolation::Totals { version });
        }
    }
}

/// Returns true if an offset moved forwards, or if a decision about lost offsets explains the move
/// and the number of skipped offsets.
fn is_explained(moved: &PartitionEvidence, loss: Option<&OffsetLoss>) -> bool {
    let from = moved.from.unwrap_or(Offset::ZERO);
    match loss {
        None => moved.next > from || (moved.from.is_none() && moved.next == from),
        Some(OffsetLoss {
            cause: LossCause::Deleted,
            offsets,
            ..
        }) => u64::try_from(moved.next.0 - from.0).is_ok_and(|skipped| skipped == *offsets),
        Some(_) => moved.records == 0,
    }
}

/// Returns the number of records that a file's rows stand for, by the log.
fn records(file: &AddedFile) -> Option<u64> {
    cell_records(&file.path).or_else(|| file.rows())
}

fn offset_text(offset: Option<Offset>) -> String {
    offset.map_or_else(|| "the beginning".to_owned(), |offset| offset.to_string())
}

//! Cells: turns what is left of one bucket and profile into counted rows that identify no one.
//!
//! A published cell represents at least `k` distinct subjects. No published sum consists mostly of
//! the values of one subject. Every record is in a cell or is counted as suppressed. The result
//! does not reveal the order of the records. The code has no side effects, and a budget limits its
//! memory. Must never output a subject or anything derived from one.
//!
//! # What is published, and why nothing more can be derived from it
//!
//! * **Subjects are counted, not records.** A null or empty subject identifies no one and is not
//!   counted. Subjects are counted by a 64-bit hash with keys that are random for every run. Two
//!   subjects with the same hash count as one, so a count can only be too low. The hashes are of no
//!   use to anyone after the run.
//! * **`other`.** Cells under `k` are merged into one row whose cell columns are null. If this row
//!   is also under `k`, it is suppressed. The ordinary cell whose columns are all null is always
//!   part of `other`. If it were published separately, there would be two rows that look the same.
//!   A reader who knows how many records lack all these columns could distinguish the two rows and
//!   subtract one from the other. With the merge there is one row, and it says less about each
//!   part.
//! * **Exactly one cell under `k`** is the whole of `other`, and is suppressed: its columns and
//!   sums are removed, and only the number of suppressed records is published. Nothing else can be
//!   calculated by subtraction, because no total of a bucket is published anywhere: cells do not
//!   partition a known margin, the evidence counts records only, and there is no total of a sum to
//!   subtract from. For the same reason there is no second, complementary suppression. Two cells
//!   under `k` that have `k` subjects together are published together; it is intended that they
//!   cannot be distinguished.
//! * **A null sum** stays unknown for the same reason: there is no total. If a second sum is a
//!   function of the first (such as a price per segment), the same subject has the same share of
//!   both, so both are null.
//! * **Dominance.** A subject dominates a sum if more than half of the sum of absolute values
//!   belongs to it. Records without a subject may all belong to one person, and that person may be
//!   any of the known subjects. So their weight is added to the weight of the heaviest subject. If
//!   their weight is more than a quarter of the whole, the sum is null without further checks. No
//!   subject dominates a sum of zeros.
//! * **Exact or null.** A sum is null and counted if it does not fit its column, or if it includes
//!   a value that cannot be added (in a column of floats: NaN, or an absolute value of 2^63 or
//!   more). Floats are added as fixed-point numbers with 64 binary places, because the result of
//!   floating-point addition would reveal the order of the records.
//! * **Order.** Rows are sorted by the columns of their cells, `other` first. The same records in
//!   any order give the same bytes.
//!
//! The limit of this protection: `k` people who combine what they know about themselves can
//! subtract themselves from their cell, as from any count.

mod error;
mod groups;
mod hash;
mod heavy;
mod make;
mod numbers;
mod pass;
mod pending;
mod plan;
mod rows;
mod subjects;
mod sums;
mod view;
mod weigh;

pub use error::{CellPlanError, CellsError};
pub use make::{CellCounts, CellResources, Cells, cells};
pub use plan::CellPlan;

#[cfg(test)]
mod tests;

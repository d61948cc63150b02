//! Cells: what is left of one bucket and profile in, counted rows that identify nobody out.
//!
//! Promises that a published cell stands for at least `k` distinct subjects, that no published sum is mostly one
//! subject's, that every record is in a cell or counted as suppressed, and that the result says nothing of the order of
//! the records. Pure, in memory bounded by a budget. Must never let a subject, or anything made of one, into its output.
//!
//! # What is published, and why no more can be told from it
//!
//! * **Subjects, not records, are counted.** A null or empty subject names nobody and counts as none. Subjects are
//!   counted by a 64-bit hash under keys drawn anew for every run; two that collide count as one, so a count can only err
//!   downwards, and what is kept for counting is of no use to anyone after the run.
//! * **`other`.** Cells under `k` are merged into one row whose cell columns are null; if that too is under `k`, it is
//!   suppressed. The ordinary cell whose columns are all null already is always part of `other`. Published beside it, it
//!   would be a second row of the same look, and whoever knows how many records lack all these columns could tell which is
//!   which and take the one from the other; merged, there is one row, and it says less about each.
//! * **Exactly one cell under `k`** is then `other` all by itself, and suppressed: its columns and sums are gone, and all
//!   that remains is how many records were suppressed. Nothing else can be had by subtraction, because no total of a
//!   bucket is published anywhere: cells are no partition of a known margin, the evidence counts records only, and a
//!   sum has no total to be taken from. For the same reason there is no second, complementary suppression.
//!   Two cells under `k` that are `k` together are published together; that their parts are not told apart is the point.
//! * **A nulled sum** stays unknown for the same want of a total. Where a second sum is a function of the first (a price of
//!   so much a segment), the same subject weighs the same in both, so both are null.
//! * **Dominance.** A subject dominates a sum when more than half of the sum of absolute values is its own. Records without
//!   a subject may all be of one person, and that person may be any of the others: their weight is added to the heaviest
//!   subject's, and when it is more than a quarter of the whole the sum is null at once. A sum of nothing but zeros is
//!   dominated by nobody.
//! * **Exact or null.** A sum that does not fit its column, or that met a value that cannot be added (a number that is
//!   none, or beyond 2^63 in a column of floats), is null and counted. Floats are added as fixed-point numbers of 64 binary places, because
//!   their own addition would tell the order of the records.
//! * **Order.** Rows stand in the order of their cells' columns, `other` first. The same records in any order give the same
//!   bytes.
//!
//! What it cannot do: `k` people who put together what they know of themselves can subtract themselves from their cell, as
//! they can from any count.

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

pub use error::{CellsError, PlanError};
pub use make::{Cells, Counts, Work, cells};
pub use plan::CellPlan;

#[cfg(test)]
mod tests;

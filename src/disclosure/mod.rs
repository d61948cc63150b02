//! What those who must answer regulators, courts and people ask of the tables: which records there are of somebody.
//!
//! Promises to show what a sweep at that moment would leave, no less and no more, and to say of which version of each table the
//! answer is. Changes nothing. Must never let what is looked for into a log, an error or a metric.

mod allowed;
mod desk;
mod inquiry;
mod terms;

pub use allowed::HELD_BY;
pub use desk::{Answer, Desk, FindError, Piece, Progress, Summary};
pub use inquiry::{Inquiry, InquiryError, Passed, Tables};

#[cfg(test)]
mod tests;

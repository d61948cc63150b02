//! The history of a table: what was done to it, commit by commit, from the evidence in its log.
//!
//! Changes nothing. Shows all evidence of a commit, whichever version of the program wrote it.

use std::collections::VecDeque;

use futures::TryStreamExt;
use serde::Serialize;

use ebbtide_base::ids::ProductKey;
use ebbtide_base::problem::nearest;
use ebbtide_query::{CommitFilter, CommitRecord, HistorySpan, ViewError};
use ebbtide_table::{OPERATIONS, Root};

/// The commits to show.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryRequest {
    /// The product of the table.
    pub product: ProductKey,
    /// The conditions for a commit.
    pub filter: CommitFilter,
    /// The number of the newest commits to return; all if absent.
    pub last: Option<usize>,
}

/// The commits of a table, newest last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryReport {
    /// The product of the table.
    pub product: ProductKey,
    /// The range of versions that the log still has.
    #[serde(flatten)]
    pub span: HistorySpan,
    /// The commits.
    pub commits: VecDeque<CommitRecord>,
}

/// The reason why there is no history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The times exclude every commit.
    #[error("--since is not before --until, so no commit can be between them")]
    Never,
    /// No commit has such an operation.
    #[error("--operation: no commit of {product} is a `{operation}`{near}")]
    Operation {
        /// The product.
        product: ProductKey,
        /// The operation.
        operation: String,
        /// The nearest operation that exists, as a question.
        near: String,
    },
    /// The table cannot be read, or does not exist.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// Returns the commits of a table that meet the request.
pub async fn history(root: &Root, request: HistoryRequest) -> Result<HistoryReport, HistoryError> {
    let HistoryRequest {
        product,
        filter,
        last,
    } = request;
    if let (Some(since), Some(until)) = (filter.since, filter.until)
        && since >= until
    {
        return Err(HistoryError::Never);
    }
    let operation = filter.operation.clone();
    let (span, found) = ebbtide_query::history(root, &product, filter).await?;
    let mut found = std::pin::pin!(found);
    let mut commits = VecDeque::new();
    while let Some(commit) = found.try_next().await? {
        commits.push_back(commit);
        if last.is_some_and(|last| commits.len() > last) {
            commits.pop_front();
        }
    }
    if let Some(operation) = operation.filter(|_| commits.is_empty()) {
        check_operation(&product, operation)?;
    }
    Ok(HistoryReport {
        product,
        span,
        commits,
    })
}

/// Refuses an operation that no commit can have: an empty answer would be misleading.
fn check_operation(product: &ProductKey, operation: String) -> Result<(), HistoryError> {
    if OPERATIONS.contains(&operation.as_str()) {
        return Ok(());
    }
    let near = nearest(&operation, OPERATIONS);
    let near = near.map_or_else(
        || format!("; it may be {}", OPERATIONS.join(", ")),
        |near| format!("; did you mean `{near}`?"),
    );
    Err(HistoryError::Operation {
        product: product.clone(),
        operation,
        near,
    })
}

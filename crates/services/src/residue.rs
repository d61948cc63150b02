//! The search for values in every byte under the root. A report never has a value, only its line.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use ebbtide_query::residue::{
    PrepareValuesError, ResidueOutcome, ResidueProgress, ResidueReport, ResidueSearchError,
    SearchValues, default_countries, search,
};
use ebbtide_table::Root;

/// The values to search for.
pub struct ResidueRequest<'a> {
    /// The name of the list, for errors.
    pub file: &'a Path,
    /// The list: one value per line, in any encoding that a list may have.
    pub list: &'a [u8],
    /// True if values of fewer than 4 bytes are accepted.
    pub allow_short: bool,
}

/// The result of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ResidueAnswer {
    /// The result in one word.
    pub verdict: ResidueOutcome,
    /// The findings, and the parts that could not be searched.
    #[serde(flatten)]
    pub residue: ResidueReport,
}

/// The reason why nothing was searched.
#[derive(Debug, thiserror::Error)]
pub enum ResidueError {
    /// The values cannot be searched for.
    #[error("{}: {error}", file.display())]
    Values {
        /// The name of the list.
        file: PathBuf,
        /// The reason.
        error: PrepareValuesError,
    },
    /// There is nothing to search.
    #[error(transparent)]
    Search(#[from] ResidueSearchError),
}

/// Searches everything under the root for the values. `progress` is called from several threads.
pub fn residue(
    root: &Root,
    request: &ResidueRequest<'_>,
    progress: &(dyn Fn(ResidueProgress) + Sync),
) -> Result<ResidueAnswer, ResidueError> {
    let countries = default_countries(root);
    let values = SearchValues::parse(request.list, request.allow_short, &countries);
    let values = values.map_err(|error| ResidueError::Values {
        file: request.file.to_owned(),
        error,
    })?;
    let residue = search(root, &Arc::new(values), progress)?;
    Ok(ResidueAnswer {
        verdict: residue.verdict(),
        residue,
    })
}

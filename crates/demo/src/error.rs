//! The errors of the demo.

use std::path::PathBuf;

use rdkafka::error::KafkaError;

use super::broker::StartBrokerError;
use super::months::SimulateMonthsError;
use super::traffic::TrafficError;
use ebbtide_base::metrics::MetricsError;
use ebbtide_base::problem::Problem;
use ebbtide_query::ViewError;
use ebbtide_query::residue::ResidueSearchError;
use ebbtide_services::instance::InstanceError;
use ebbtide_table::RootError;

/// The reason why the demo did not start or did not finish.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The files of the demo cannot be written to the folder.
    #[error("{folder:?} cannot be laid out: {why}")]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The error of the system.
        why: std::io::Error,
    },
    /// The shipped policy or the demo's configuration is not valid. A test would have found that.
    #[error("the demo's own files are wrong: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Files(Vec<Problem>),
    /// The broker did not start.
    #[error(transparent)]
    Broker(#[from] StartBrokerError),
    /// The traffic cannot be generated.
    #[error(transparent)]
    Traffic(#[from] TrafficError),
    /// The producers failed.
    #[error("the demo's producers failed: {0}")]
    Producers(#[from] KafkaError),
    /// The metrics are not valid. A test would have found that.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Ebbtide itself failed.
    #[error(transparent)]
    App(#[from] InstanceError),
    /// The root is not valid.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A table cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The months cannot pass.
    #[error(transparent)]
    Months(Box<SimulateMonthsError>),
    /// The search for values that are left failed.
    #[error(transparent)]
    Search(ResidueSearchError),
    /// The planted values cannot be written to their file.
    #[error("{file:?} cannot be written: {why}")]
    Values {
        /// The file.
        file: PathBuf,
        /// The error of the system.
        why: std::io::Error,
    },
    /// The screen cannot be written to.
    #[error("the screen cannot be written to: {0}")]
    Screen(#[source] std::io::Error),
    /// A part of the demo ended because of a bug.
    #[error("a part of the demo ended by a bug")]
    Bug,
}

impl From<SimulateMonthsError> for DemoError {
    fn from(error: SimulateMonthsError) -> Self {
        DemoError::Months(Box::new(error))
    }
}

impl From<ResidueSearchError> for DemoError {
    fn from(error: ResidueSearchError) -> Self {
        DemoError::Search(error)
    }
}

//! The screen that shows the demo.

use std::time::Duration;

use super::months_snapshot::MonthsSnapshot;
use super::snapshot::DemoSnapshot;

/// The output of the demo.
pub trait Screen {
    /// Returns the interval between two boards.
    fn every(&self) -> Duration;
    /// Shows a board. Returns true if the user wants to end.
    fn show(&mut self, board: &DemoSnapshot) -> std::io::Result<bool>;
    /// Shows a moment of the months. Returns true if the user wants to end.
    fn pass(&mut self, snapshot: &MonthsSnapshot) -> std::io::Result<bool>;
    /// Reports an event, if the screen does not show it with the next moment.
    fn tell(&mut self, event: &str) -> std::io::Result<()>;
}

//! The fetching of a product's partitions: stopped while the product is paused or its dead letters
//! are not acknowledged. The lane continues with its other products.

use super::ProductIngest;
use crate::lane_io::{LaneIo, LaneRestart};

impl ProductIngest {
    /// Pauses the product after a failed step. Each pause is longer than the one before, until a
    /// commit succeeds.
    pub(super) fn pause_after_failure(&mut self, io: &LaneIo) -> Result<(), LaneRestart> {
        self.pause.fail(io.now());
        self.stop_fetching(io)
    }

    /// Stops fetching the partitions of the product.
    pub(super) fn stop_fetching(&mut self, io: &LaneIo) -> Result<(), LaneRestart> {
        if std::mem::replace(&mut self.pause.stops_fetching, true) {
            return Ok(());
        }
        io.pause(self.partitions.keys())
    }

    /// Fetches the partitions of the product again, apart from those that wait for a schema or are
    /// refused.
    pub(super) fn resume(&mut self, io: &LaneIo) -> Result<(), LaneRestart> {
        self.pause.stops_fetching = false;
        let ready = self
            .partitions
            .iter()
            .filter(|(id, owned)| owned.schema_wait.is_none() && !io.refused.contains_key(id));
        io.resume(ready.map(|(id, _)| id))
    }

    /// Stops fetching partitions that were assigned while fetching was stopped.
    pub fn stop_fetching_new(&mut self, io: &LaneIo) -> Result<(), LaneRestart> {
        if std::mem::take(&mut self.pause.stops_fetching) {
            self.stop_fetching(io)?;
        }
        Ok(())
    }
}

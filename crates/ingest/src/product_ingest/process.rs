//! One pass over the partitions of a product: messages that wait are gathered. A partition whose
//! schema is not known yet waits alone.

use std::time::Duration;

use super::ProductIngest;
use crate::lane_io::{LaneIo, LaneRestart};
use crate::partition_buffer::PartitionBuffer;
use crate::schema_search::SchemaSearch;

/// The longest time that the lane waits for look-ups of schemas in one pass over its partitions.
const PATIENCE: Duration = Duration::from_millis(500);

/// One pass of a lane over the messages that wait.
#[derive(Debug, Clone, Copy)]
pub struct ProcessingPass {
    /// Processes every buffer that is not empty; otherwise those with at least half a batch.
    pub all: bool,
    /// The number of messages that make a batch.
    pub batch_messages: usize,
    /// The number of bytes of one partition that make a batch.
    pub batch_bytes: usize,
    /// The start of the pass, on the monotonic clock.
    pub began: Duration,
}

impl ProcessingPass {
    fn takes(&self, buffer: &PartitionBuffer) -> bool {
        let enough = self.all
            || buffer.len() >= self.batch_messages / 2
            || buffer.bytes() >= self.batch_bytes / 2;
        enough && !buffer.is_empty()
    }
}

impl ProductIngest {
    /// Gathers the messages that wait, unless the product is held. Partitions that wait for a schema
    /// are skipped until it is time to request the schema again.
    ///
    /// Errors if the lane must join again.
    pub fn process_waiting(
        &mut self,
        io: &LaneIo,
        pass: &ProcessingPass,
    ) -> Result<(), LaneRestart> {
        if self.is_held() {
            return Ok(());
        }
        let product_paused = self.pause.stops_fetching;
        for (partition, owned) in &mut self.partitions {
            let waits = owned.schema_wait.is_some_and(|until| pass.began < until);
            if waits || !pass.takes(&owned.buffer) {
                continue;
            }
            let patience = PATIENCE.saturating_sub(io.now().saturating_sub(pass.began));
            match self.pipeline.resolve(io, owned, patience) {
                Ok(()) => owned.end_schema_wait(io, partition, product_paused)?,
                Err(retry_after) => {
                    owned.wait_for_schema(io, partition, retry_after)?;
                    continue;
                }
            }
            self.pipeline
                .gather(io, partition, owned)
                .map_err(LaneRestart::because)?;
            owned.buffer.clear(pass.batch_bytes);
            owned.search = SchemaSearch::default();
        }
        Ok(())
    }
}

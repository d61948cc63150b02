//! The commits of a lane's products: when they are due, when memory runs short, and at the end.

use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::Lane;
use crate::lane_io::LaneRestart;
use crate::product_ingest::ProductIngest;

impl Lane {
    /// Commits every product whose batch is large or old enough, and the largest while all together
    /// are too large. Continues the products whose pause has ended.
    ///
    /// Errors if the lane must join again.
    pub(super) fn commit_due(&mut self, now: Duration) -> Result<(), LaneRestart> {
        let Self { io, products, .. } = self;
        if std::mem::take(&mut self.fresh) {
            for product in products.iter_mut() {
                product.stop_fetching_new(io)?;
            }
        }
        for product in products.iter_mut() {
            product.attend(io, now)?;
        }
        // The rest of the memory is for the client's queue, the batch that is being processed, and
        // the segments that are being closed and written.
        let budget = io.deps.lane_memory / 4;
        while products.iter().map(ProductIngest::memory).sum::<usize>() > budget {
            let largest = products
                .iter_mut()
                .filter(|product| !product.is_held())
                .max_by_key(|product| product.memory());
            match largest {
                Some(largest) if largest.memory() > 0 => largest.commit(io)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// Commits the remaining data and leaves the group, within the time that a stop may take.
    pub(super) fn finish(&mut self) -> Result<(), LaneRestart> {
        let until = self.io.now() + self.io.deps.settings.shutdown_timeout / 2;
        self.process_waiting(true)?;
        self.pass_gaps();
        let Self { io, products, .. } = self;
        for product in products.iter_mut() {
            if io.now() >= until {
                break;
            }
            product.finish(io)?;
        }
        while products.iter().any(ProductIngest::is_delivering) && io.now() < until {
            std::thread::sleep(Duration::from_millis(20));
            for product in products
                .iter_mut()
                .filter(|product| product.is_delivering())
            {
                product.advance(io)?;
            }
        }
        io.consumer.unsubscribe();
        Ok(())
    }
}

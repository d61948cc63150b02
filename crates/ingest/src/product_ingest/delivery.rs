//! The dead letters of a batch: delivered before its commit.

use std::time::Duration;

use super::ProductIngest;
use crate::dead_letters::DeliveryOutcome;
use crate::lane_io::{LaneIo, LaneRestart};
use ebbtide_base::health::Component;

/// The time that a lane waits for the delivery of dead letters before it continues with other
/// products.
const PROMPT: Duration = Duration::from_millis(200);
/// The time that a delivery may take before it is reported.
const SLOW: Duration = Duration::from_secs(10);

impl ProductIngest {
    /// Delivers the dead letters of the pending batch, as far as the brokers accept them now.
    /// Returns true if no letter is left.
    pub(super) fn deliver(&mut self, io: &LaneIo) -> Result<bool, LaneRestart> {
        let now = io.now();
        let Some(pending) = &mut self.pending else {
            return Ok(false);
        };
        let mut delivery = match pending.delivery.take() {
            Some(delivery) if !delivery.is_finished() => {
                pending.delivery = Some(delivery);
                self.report_slow(io, now);
                return Ok(false);
            }
            Some(delivery) => delivery,
            None if pending.letters.is_empty() => return Ok(true),
            None => {
                let letters = std::mem::take(&mut pending.letters);
                let deps = &io.deps;
                deps.dead_letters
                    .start(&deps.runtime, Some(&self.product), letters)
            }
        };
        let done = io
            .deps
            .runtime
            .block_on(async { tokio::time::timeout(PROMPT, &mut delivery).await });
        let Ok(done) = done else {
            pending.delivery = Some(delivery);
            self.stop_fetching(io)?;
            return Ok(false);
        };
        let DeliveryOutcome {
            undelivered,
            waiting,
        } = done.map_err(|error| LaneRestart::because(format!("dead letters: {error}")))?;
        let product = self.product.clone();
        let Some(wait) = waiting else {
            io.deps.health.over(&Component::Letters(product));
            return Ok(true);
        };
        pending.letters = undelivered;
        if io
            .deps
            .health
            .trouble(Component::Letters(product.clone()), wait.to_string())
        {
            tracing::error!(%product, letters = pending.letters.len(), "waiting: {wait}");
        }
        self.pause_after_failure(io)?;
        Ok(false)
    }

    /// Reports a delivery that the brokers do not acknowledge.
    fn report_slow(&self, io: &LaneIo, now: Duration) {
        let Some(began) = self.pending.as_ref().map(|pending| pending.began) else {
            return;
        };
        // After a failure, the reason of the failure is more specific.
        if self.pause.failures() == 0 && now.saturating_sub(began) > SLOW {
            let topic = io.deps.dead_letters.topic();
            let why = format!(
                "topic {topic} has not acknowledged dead letters; the client goes on trying"
            );
            if io
                .deps
                .health
                .trouble(Component::Letters(self.product.clone()), why.clone())
            {
                tracing::warn!(product = %self.product, "waiting: {why}");
            }
        }
    }
}

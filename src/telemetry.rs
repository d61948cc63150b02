//! The log: lines of text or JSON on stderr, through `tracing`, from the one call that sets it up.
//!
//! A readable message and dotted fields, each event once: `warn!(topic.name = %t, "the topic keeps records too long")`.
//! Redaction is by construction: a field holds an id, a count, a duration, a code or an error type of this crate. An event
//! must never be given a record, a payload, a key, a header, a subject or tenant, a whole configuration, nor the `Debug`
//! of anything that holds one.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use crate::config::{Log, LogFormat};

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level does not parse.
    #[error("the log level does not parse: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// It was set up before.
    #[error("the log is already set up")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets the process' log up. Errors if called twice, or with a level that `config` did not check.
pub fn init(settings: &Log) -> Result<(), TelemetryError> {
    let colours = std::io::stderr().is_terminal();
    let filter: Targets = settings.level.parse()?;
    let most = Layer::<Registry>::max_level_hint(&filter);
    tracing_subscriber::registry().with(layer(settings, colours, std::io::stderr)?).try_init()?;
    // The binding of librdkafka traces each message twice: what nobody wants to read ends before it is made.
    log::set_max_level(most.and_then(|most| most.to_string().parse().ok()).unwrap_or(log::LevelFilter::Trace));
    Ok(())
}

fn layer<W>(log: &Log, colours: bool, to: W) -> Result<Box<dyn Layer<Registry> + Send + Sync>, TelemetryError>
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    // Around the whole stack and not on the layer: a filter of one layer keeps a state for each thread, and a record of the
    // `log` crate that it refuses (one of librdkafka's) leaves it so that the next event of that thread is lost.
    let filter: Targets = log.level.parse()?;
    Ok(match log.format {
        LogFormat::Text => filter.and_then(fmt::layer().with_ansi(colours).with_writer(to)).boxed(),
        LogFormat::Json => {
            // Fields stand at the top level, so that a log store indexes `kafka.topic` and not `fields.kafka.topic`.
            filter.and_then(fmt::layer().json().flatten_event(true).with_ansi(false).with_writer(to)).boxed()
        }
    })
}

#[cfg(test)]
mod tests;

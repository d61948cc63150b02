//! The log: lines of text or JSON on stderr, through `tracing`. One call sets it up.
//!
//! An event has a readable message and dotted fields, and is logged once:
//! `warn!(topic.name = %t, "the topic keeps records too long")`. Nothing is redacted afterwards: a
//! field is an id, a count, a duration, a code or an error type of this crate. An event must never
//! be given a record, a payload, a key, a header, a subject or tenant, a whole configuration, or
//! the `Debug` of anything that contains one of these.

use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use ebbtide_config::{LogConfig, LogFormat};

/// The reason why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The level does not parse.
    #[error("the log level does not parse: {0}")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// It was set up before.
    #[error("the log is already set up")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
}

/// Sets up the log of the process. Errors if called twice, or with a level that `config` did not
/// check.
pub fn init(settings: &LogConfig) -> Result<(), TelemetryError> {
    let colours = std::io::stderr().is_terminal();
    let filter: Targets = settings.level.parse()?;
    let most = Layer::<Registry>::max_level_hint(&filter);
    tracing_subscriber::registry()
        .with(layer(settings, colours, std::io::stderr)?)
        .try_init()?;
    // The binding of librdkafka traces each message twice: events that no one wants are dropped
    // before they are created.
    log::set_max_level(
        most.and_then(|most| most.to_string().parse().ok())
            .unwrap_or(log::LevelFilter::Trace),
    );
    Ok(())
}

fn layer<W>(
    log: &LogConfig,
    colours: bool,
    to: W,
) -> Result<Box<dyn Layer<Registry> + Send + Sync>, TelemetryError>
where
    W: for<'w> fmt::MakeWriter<'w> + Send + Sync + 'static,
{
    // The filter applies to the whole stack and not to the layer: the filter of a single layer has
    // state for each thread, and after it refuses a record of the `log` crate (one of
    // librdkafka's), the next event of that thread is lost.
    let filter: Targets = log.level.parse()?;
    Ok(match log.format {
        LogFormat::Text => filter
            .and_then(fmt::layer().with_ansi(colours).with_writer(to))
            .boxed(),
        LogFormat::Json => {
            // Fields are at the top level, so that a log store indexes `kafka.topic` and not
            // `fields.kafka.topic`.
            filter
                .and_then(
                    fmt::layer()
                        .json()
                        .flatten_event(true)
                        .with_ansi(false)
                        .with_writer(to),
                )
                .boxed()
        }
    })
}

#[cfg(test)]
mod tests;

//! Tests of the log: the line in each format, and the filter by the level of each part.

use std::sync::{Arc, Mutex};

use tracing::{info, warn};

use super::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(format: LogFormat, level: &str, events: impl FnOnce()) -> String {
    let lines = Lines::default();
    let to = lines.clone();
    let log = LogConfig {
        format,
        level: level.to_owned(),
    };
    let subscriber =
        tracing_subscriber::registry().with(layer(&log, false, move || to.clone()).unwrap());
    tracing::subscriber::with_default(subscriber, events);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_json_line_has_its_message_and_dotted_fields_at_the_top() {
    let line = logged(LogFormat::Json, "info", || {
        info!(
            kafka.topic = "traffic.sms",
            kafka.partition = 3,
            "the partition is assigned"
        );
    });
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["message"], "the partition is assigned");
    assert_eq!(json["kafka.topic"], "traffic.sms");
    assert_eq!(json["kafka.partition"], 3);
    assert_eq!(json["level"], "INFO");
    assert!(json["timestamp"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn a_text_line_is_a_sentence_followed_by_its_fields() {
    let line = logged(LogFormat::Text, "info", || {
        info!(kafka.topic = "traffic.sms", "the partition is assigned")
    });
    assert!(line.contains(" INFO "), "{line}");
    assert!(
        line.trim_end()
            .ends_with("the partition is assigned kafka.topic=\"traffic.sms\""),
        "{line}"
    );
    assert!(!line.contains('\u{1b}'), "no colours outside a terminal");
}

#[test]
fn the_level_is_by_part() {
    let lines = logged(LogFormat::Text, "info,librdkafka=warn", || {
        info!(target: "librdkafka", "chatter");
        warn!(target: "librdkafka", "trouble");
        tracing::debug!("detail");
        info!("news");
    });
    assert!(
        !lines.contains("chatter") && !lines.contains("detail"),
        "{lines}"
    );
    assert!(
        lines.contains("trouble") && lines.contains("news"),
        "{lines}"
    );
}

#[test]
fn every_level_that_the_configuration_accepts_is_one() {
    for level in [
        "off",
        "warn",
        "info,librdkafka=warn",
        "error,ebbtide::ingest=trace,ebbtide=debug",
    ] {
        logged(LogFormat::Text, level, || {});
    }
}

#[test]
fn a_secret_in_a_field_is_hidden() {
    let secret = ebbtide_config::Secret::new("hunter2");
    let lines = logged(
        LogFormat::Json,
        "info",
        || info!(auth.token = %secret, auth.debug = ?secret, "logged in"),
    );
    assert!(!lines.contains("hunter2"), "{lines}");
}

//! Selection over a table of very many segments. Its log is written by hand, in the form that
//! commits have: only the log entries of the segments are read.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};
use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_table::{MaintenanceSettings, Table, TableSpec};
use ebbtide_testkit::tables::{shipped_policy, sms};

use crate::{root, sweeper};

/// Measures the time to open the table and its list of segments from a checkpoint, and the time of
/// a plan.
pub async fn select(parent: &Path, segments: usize) {
    let (_folder, root) = root(parent);
    let policy = Arc::new(shipped_policy());
    let now = SystemClock::new().now();
    let spec = Arc::new(TableSpec::of(&policy, &sms::product()).expect("a product with records"));
    drop(sms::fill(&root, &policy, now, 1000, 1000).await);
    let log = root
        .local()
        .expect("a folder")
        .join("tables")
        .join(sms::product().as_str())
        .join("_delta_log");
    let model =
        std::fs::read_to_string(log.join("00000000000000000001.json")).expect("the first commit");
    let add = model
        .lines()
        .find(|line| line.starts_with("{\"add\""))
        .expect("an add");
    std::fs::write(
        log.join("00000000000000000002.json"),
        many(add, segments, now),
    )
    .expect("a log entry");
    let mut table = Table::open(&root, Arc::clone(&spec))
        .await
        .expect("the table");
    table
        .maintain(
            now,
            &MaintenanceSettings {
                checkpoint_every: 1,
                ..MaintenanceSettings::default()
            },
        )
        .await
        .expect("a checkpoint");
    let before = allocated();
    let started = Instant::now();
    let mut sweeper = sweeper(&root, &policy, now).await;
    let opened = started.elapsed();
    let held = allocated().saturating_sub(before);
    let started = Instant::now();
    let (works, more) = sweeper
        .plan(now + TimeDelta::days(200))
        .await
        .expect("a plan");
    let planned = started.elapsed();
    println!(
        "{segments} segments: opened from a checkpoint in {:.3} s ({} MiB resident more); {} pieces of work selected (more: \
         {more}) in {:.3} s (bar: together under 1 s)",
        opened.as_secs_f64(),
        held >> 20,
        works.len(),
        planned.as_secs_f64()
    );
}

/// Returns `segments` log entries that add a segment each, spread over years of buckets.
fn many(add: &str, segments: usize, now: DateTime<Utc>) -> String {
    let value: serde_json::Value = serde_json::from_str(add).expect("JSON");
    let mut text = String::new();
    for number in 0..segments {
        let mut value = value.clone();
        let day = (now - TimeDelta::days((number % 700) as i64))
            .format("%Y-%m-%d")
            .to_string();
        let add = &mut value["add"];
        let profile = add["partitionValues"]["profile"]
            .as_str()
            .expect("a profile")
            .to_owned();
        add["path"] = format!(
            "bucket={day}/profile={profile}/{}.parquet",
            uuid::Uuid::new_v4()
        )
        .into();
        add["partitionValues"]["bucket"] = day.into();
        let _ = writeln!(text, "{value}");
    }
    text
}

/// Returns the resident memory of the process in bytes.
fn allocated() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or("0 kB");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<usize>()
        .unwrap_or(0)
        << 10
}

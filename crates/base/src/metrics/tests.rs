//! Tests of the metrics against their documentation, the label rule and `promtool`.

use std::io::Write;
use std::process::{Command, Stdio};

use super::*;
use crate::ids::{Partition, Topic};
use crate::record::Fault;

const PAGE: &str = include_str!("../../../../docs/metrics.md");

fn partition() -> TopicPartition {
    TopicPartition {
        topic: Topic::new("traffic.sms").unwrap(),
        partition: Partition(3),
    }
}

/// Returns all metrics, each with at least one series.
fn with_series() -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.add_product(
        &ProductKey::new("sms").unwrap(),
        &[Category::new("content").unwrap()],
    );
    for gauges in [
        &metrics.lag_seconds,
        &metrics.lag_records,
        &metrics.refused_partitions,
    ] {
        gauges.with_label_values(&["traffic.sms", "3"]).set(1);
    }
    for gauges in [&metrics.overdue_fields, &metrics.held_fields] {
        gauges.with_label_values(&["sms", "content"]).set(0);
    }
    metrics
        .due_fields
        .with_label_values(&["sms", "content", "7d"])
        .set(1);
    metrics
        .topic_retention_ok
        .with_label_values(&["traffic.sms"])
        .set(1);
    for gauges in [
        &metrics.unswept_files,
        &metrics.orphans,
        &metrics.unlink_backlog,
        &metrics.bucket_segments,
    ] {
        gauges.with_label_values(&["sms"]).set(0);
    }
    for gauges in [
        &metrics.unlink_overdue_files,
        &metrics.unlink_overdue_seconds,
        &metrics.unlink_known,
    ] {
        gauges.with_label_values(&["sms"]).set(0);
    }
    metrics
        .commit_seconds
        .with_label_values(&["sms"])
        .observe(0.2);
    metrics
}

/// Returns the cells of every row of the page's tables whose first cell is a code span with
/// `prefix`.
fn rows(prefix: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| {
        let cells = line.trim().trim_matches('|').split('|');
        cells
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect::<Vec<_>>()
    };
    PAGE.lines()
        .filter(|line| line.starts_with(&format!("| `{prefix}")))
        .map(cells)
        .collect()
}

#[test]
fn the_page_names_every_metric_with_its_type_and_labels_and_no_other() {
    let metrics = Metrics::new().unwrap();
    let row = |name: &str, kind: &str, labels: &str| format!("{name} {kind} [{labels}]");
    let mut declared: Vec<String> = metrics
        .declared()
        .iter()
        .map(|m| row(&m.name, m.kind.as_str(), &m.labels.join(", ")))
        .collect();
    let is_metric =
        |row: &Vec<String>| matches!(row[1].as_str(), "counter" | "gauge" | "histogram");
    let mut written: Vec<String> = rows("ebbtide_")
        .iter()
        .filter(|row| is_metric(row))
        .map(|cells| row(&cells[0], &cells[1], &cells[2]))
        .collect();
    declared.sort();
    written.sort();
    assert_eq!(declared, written);
}

#[test]
fn the_page_explains_every_code_of_a_dead_letter_and_no_other() {
    let codes = PAGE.split_once("## Codes of dead letters").unwrap().1;
    let mut written: Vec<&str> = codes
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let mut known: Vec<&str> = Fault::ALL.iter().map(|fault| fault.code()).collect();
    written.sort_unstable();
    known.sort_unstable();
    assert_eq!(known, written);
}

#[test]
fn the_page_explains_every_outcome() {
    for outcome in [
        &RECORD_OUTCOMES[..],
        &COMMIT_OUTCOMES,
        &REBALANCE_OUTCOMES,
        &FETCH_OUTCOMES,
        &SWEEP_ACTIONS,
        &SWEPT_OUTCOMES,
        &ENDED_OUTCOMES,
    ]
    .concat()
    {
        assert!(
            PAGE.contains(&format!("`{outcome}`")),
            "docs/metrics.md does not explain the outcome `{outcome}`"
        );
    }
}

#[test]
fn the_pages_alerts_name_metrics_that_exist() {
    let metrics = Metrics::new().unwrap();
    let names = regex::Regex::new("ebbtide_[a-z_]+").unwrap();
    for found in names.find_iter(PAGE) {
        let known = metrics
            .declared()
            .iter()
            .any(|metric| metric.name == found.as_str());
        assert!(
            known,
            "docs/metrics.md names `{}`, which is not exported",
            found.as_str()
        );
    }
}

#[test]
fn no_label_could_name_a_person_a_tenant_a_file_or_an_offset() {
    for metric in Metrics::new().unwrap().declared() {
        for label in &metric.labels {
            assert!(
                LABELS.contains(&label.as_str()),
                "{}: the label `{label}` is not allowed",
                metric.name
            );
        }
    }
}

#[test]
fn exported_metrics_are_the_declared_ones() {
    let metrics = with_series();
    let exposition = metrics.exposition().unwrap();
    for metric in metrics.declared() {
        let line = format!("# TYPE {} {}", metric.name, metric.kind.as_str());
        assert!(exposition.contains(&line), "no `{line}`");
    }
    assert_eq!(
        exposition.matches("# TYPE ").count(),
        metrics.declared().len()
    );
}

#[test]
fn a_products_counters_are_zero_before_its_first_record() {
    let exposition = with_series().exposition().unwrap();
    for line in [
        "ebbtide_records_total{outcome=\"stored\",product=\"sms\"} 0",
        "ebbtide_dead_letters_total{code=\"bad_utf8\",product=\"sms\"} 0",
        "ebbtide_late_fields_total{category=\"content\",product=\"sms\"} 0",
        "ebbtide_schema_fetches_total{outcome=\"unavailable\"} 0",
    ] {
        assert!(exposition.lines().any(|found| found == line), "no `{line}`");
    }
}

#[test]
fn a_partition_that_is_given_away_has_no_lag_any_more() {
    let metrics = with_series();
    metrics.forget_partition(&partition());
    metrics.forget_partition(&partition());
    let exposition = metrics.exposition().unwrap();
    assert!(!exposition.contains("partition=\"3\""), "{exposition}");
}

/// Returns the output of `promtool` for `input`, with the exit status if it fails.
fn promtool(arguments: &[&str], input: &str) -> String {
    let promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = promtool.expect("promtool is missing: apt-get install prometheus");
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    if output.status.success() {
        said
    } else {
        format!("{}: {said}", output.status)
    }
}

#[test]
fn promtool_finds_nothing_to_complain_of() {
    assert_eq!(
        promtool(&["check", "metrics"], &with_series().exposition().unwrap()),
        ""
    );
}

#[test]
fn every_expression_that_pages_is_one_that_prometheus_takes() {
    let pages = PAGE
        .split_once("## What pages")
        .unwrap()
        .1
        .split_once("\n## ")
        .unwrap()
        .0;
    let rows: Vec<&str> = pages
        .lines()
        .filter(|line| line.starts_with("| `"))
        .collect();
    let mut rules = "groups:\n  - name: ebbtide\n    rules:\n".to_owned();
    for (number, row) in rows.iter().enumerate() {
        let expression = row.split('`').nth(1).unwrap();
        let time = row.split('|').nth(2).unwrap().trim();
        rules += &format!(
            "      - alert: Alert{number}\n        expr: {expression}\n        for: {time}\n"
        );
    }
    let said = promtool(&["check", "rules", "/dev/stdin"], &rules);
    assert!(
        said.contains(&format!("SUCCESS: {} rules found", rows.len())),
        "{said}\n{rules}"
    );
}

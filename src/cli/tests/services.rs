//! The JSON of a command is the report of its service, so a handler of another interface needs no
//! logic of its own.

use std::sync::Arc;

use serde::Serialize;

use super::{ebbtide, json};
use crate::cli::CommandOutput;
use crate::cli::testing::CommandFixture;
use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::testing::{order, signature};
use ebbtide_controls::{HoldOrder, Scope, place};
use ebbtide_maintenance::testing::number;
use ebbtide_policy::{ExplainRequest, Policy};
use ebbtide_query::RecordKey;
use ebbtide_services::find::{FindRequest, JsonRecords, find};
use ebbtide_services::policy_file::read_policy;
use ebbtide_services::record_search::{RecordSearch, SearchRequest};
use ebbtide_services::tables::TableView;
use ebbtide_services::why::{WhyRequest, why};
use ebbtide_services::{holds, policy};
use ebbtide_table::MaintenanceSettings;

/// Creates a table of twenty texts and a hold on their tenant.
fn filled() -> CommandFixture {
    let mut fixture = CommandFixture::new("remove", "", |_, _, _| CommandOutput::default());
    // The commands use the machine's clock, by which the records must not have expired.
    fixture.world.clock.set_wall(SystemClock::new().now());
    fixture.ingest(20);
    let scope = Scope {
        tenant: Some("acme".to_owned()),
        ..Scope::default()
    };
    let order = HoldOrder {
        until: SystemClock::new().now() + chrono::TimeDelta::days(30),
        ..order(scope)
    };
    let by = signature();
    let placing = place(&fixture.world.root, order, &by);
    fixture.runtime.block_on(placing).unwrap();
    fixture
}

/// Returns the JSON that a command prints, and asserts that it prints nothing else. `HERE` in `line`
/// is the folder of the fixture.
fn printed(fixture: &CommandFixture, line: &str) -> String {
    let here = fixture.folder.path().display().to_string();
    let line = format!("{line} --output json").replace("HERE", &here);
    let outcome = ebbtide(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(outcome.err, "", "{line}");
    outcome.out
}

fn assert_same(fixture: &CommandFixture, line: &str, report: &impl Serialize) {
    assert_eq!(printed(fixture, line), json(report), "{line}");
}

fn sms() -> ProductKey {
    "sms".parse().unwrap()
}

fn loaded_policy(fixture: &CommandFixture) -> Policy {
    let checked = read_policy(&fixture.folder.path().join("policy.yaml"));
    checked.unwrap().policy.unwrap()
}

#[test]
fn policy_explain_prints_the_report_of_its_service() {
    let fixture = filled();
    let request = ExplainRequest {
        product: "sms",
        country: None,
        tenant: Some("acme"),
        field: None,
        now: SystemClock::new().now(),
    };
    let file = fixture.folder.path().join("policy.yaml");
    let report = policy::explain(&file, &request).unwrap();
    let line = "policy explain --product sms --tenant acme --policy HERE/policy.yaml";
    assert_same(&fixture, line, &report);
}

#[test]
fn table_show_prints_the_report_of_its_service() {
    let fixture = filled();
    let view = TableView {
        root: &fixture.world.root,
        now: SystemClock::new().now(),
        maintenance: &MaintenanceSettings::default(),
    };
    let report = fixture.runtime.block_on(view.show(&sms())).unwrap();
    assert_eq!(report.overview.records, 20);
    assert_same(
        &fixture,
        "table show sms --config HERE/ebbtide.yaml",
        &report,
    );
}

#[test]
fn hold_list_prints_the_report_of_its_service() {
    let fixture = filled();
    let listing = holds::list(&fixture.world.root, SystemClock::new().now(), false);
    let report = fixture.runtime.block_on(listing).unwrap();
    assert_eq!(report.len(), 1);
    assert_same(&fixture, "hold list --config HERE/ebbtide.yaml", &report);
}

#[test]
fn why_prints_the_report_of_its_service() {
    let fixture = filled();
    let policy = loaded_policy(&fixture);
    let request = WhyRequest {
        product: sms(),
        key: RecordKey::Value {
            column: "recipient".to_owned(),
            value: number(3),
        },
        bucket: None,
        policy: Some(&policy),
        now: SystemClock::new().now(),
    };
    let report = fixture.runtime.block_on(why(&fixture.world.root, &request));
    let report = report.unwrap();
    assert!(report.is_known());
    assert_eq!(report.records[0].held_by.len(), 1);
    let line = format!(
        "why --product sms --id recipient={} --config HERE/ebbtide.yaml",
        number(3)
    );
    assert_same(&fixture, &line, &report);
}

#[test]
fn find_prints_what_its_service_writes() {
    let fixture = filled();
    let policy = Arc::new(loaded_policy(&fixture));
    let request = FindRequest {
        search: SearchRequest {
            tenant: Some("acme".to_owned()),
            ..SearchRequest::default()
        },
        limit: None,
        now: SystemClock::new().now(),
    };
    let search = Arc::new(RecordSearch::new(
        fixture.world.root.clone(),
        policy,
        1 << 20,
    ));
    let mut written = Vec::new();
    let mut sink = JsonRecords::new(&mut written);
    let report = fixture.runtime.block_on(async {
        let tables = search.tables(&request.search).await?;
        find::<_, anyhow::Error>(&search, &tables, &request, &mut sink, |_| ()).await
    });
    let report = report.unwrap();
    assert_eq!((report.records(), report.is_complete()), (20, true));
    sink.end(&report).unwrap();
    let file = fixture.folder.path().join("found.json");
    let line = "find --tenant acme --config HERE/ebbtide.yaml --file HERE/found.json --output json";
    let here = fixture.folder.path().display().to_string();
    let line = line.replace("HERE", &here);
    let outcome = ebbtide(&line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(
        std::fs::read_to_string(file).unwrap(),
        String::from_utf8(written).unwrap()
    );
}

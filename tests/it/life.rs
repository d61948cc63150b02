//! A whole retention life with a clock that runs 28,800 times as fast as the machine's (a day is
//! three seconds), against real Kafka: traffic of all products, changes of policy, holds, contract
//! ends and withdrawals, and three instances, of which one is killed every week. Nothing is overdue
//! at any look, no byte of expired data is left, the audit finds no error, every record is
//! accounted for, and segments stay few.
//!
//! `LIFE_KEEP=DIR` in the environment keeps the looks and events there; `make life` draws
//! `docs/life.svg` from them.

mod end;
mod stage;

use std::fs;

use ebbtide_testkit::{kafka, registry};
use end::{judge, looks, residue};
use serde_json::json;
use stage::Stage;

/// An event of a day.
enum Act {
    Contract(&'static str),
    Withdrawal,
    /// A hold on a tenant's SMS and calls.
    HoldTenant(&'static str),
    /// A hold on the SMS and calls of a person, which stays.
    HoldPerson,
    /// The tenant's hold is released.
    Release,
    Policy(usize),
}

/// Lives for `days` days, with each act on its day.
fn live(days: f64, acts: &[(f64, Act)]) {
    let mut stage = Stage::new();
    let (mut week, mut next, mut held) = (1.0, 0, String::new());
    while stage.day() < days {
        stage.all_run();
        if stage.day() >= 7.0 * week {
            week = (stage.day() / 7.0).floor() + 1.0;
            stage.kill();
        }
        if let Some((day, act)) = acts.get(next).filter(|(day, _)| stage.day() >= *day) {
            println!("day {:.1} (for {day}), {} kills", stage.day(), stage.kills);
            next += 1;
            match act {
                Act::Contract(tenant) => stage.contract_ends(tenant),
                Act::Withdrawal => stage.consent_is_withdrawn(),
                Act::HoldTenant(tenant) => {
                    held = stage.hold("2026-1", ("--tenant", tenant), json!({"tenant": tenant}));
                }
                Act::HoldPerson => {
                    let person = stage.planted_person("sms", "recipient");
                    let canonical = person.trim_start_matches('+').to_owned();
                    let subject = format!("phone:{person}");
                    stage.hold(
                        "2026-2",
                        ("--subject", &subject),
                        json!({"subject": canonical}),
                    );
                }
                Act::Release => {
                    let now = stage.now().timestamp_micros();
                    println!("held: {}", judge(&stage, (now, now), true));
                    stage.release(&held);
                }
                Act::Policy(nth) => stage.activate(*nth),
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(next, acts.len(), "everything happened");
    stage.end();
    let at = stage.settle();
    if let Ok(folder) = std::env::var("LIFE_KEEP") {
        fs::create_dir_all(&folder).unwrap();
        for file in [stage.samples(), stage.events()] {
            fs::copy(
                &file,
                std::path::Path::new(&folder).join(file.file_name().unwrap()),
            )
            .unwrap();
        }
    }
    println!("{} kills; {}", stage.kills, judge(&stage, at, false));
    let looks = looks(&stage);
    residue(&stage);
    println!("{} looks, the last: {}", looks.len(), looks.last().unwrap());
}

#[test]
#[ignore = "a quarter of an hour: make soak"]
fn eight_months_in_which_nothing_is_overdue_lost_or_left() {
    let (_, _) = (kafka::shared(), registry::shared());
    live(
        243.0,
        &[
            (25.0, Act::Contract("tenant-0005")),
            (30.0, Act::Withdrawal),
            (40.0, Act::HoldTenant("tenant-0007")),
            (60.0, Act::HoldPerson),
            (80.0, Act::Policy(2)),
            (100.0, Act::Contract("tenant-0011")),
            (104.0, Act::Contract("tenant-0002")),
            (110.0, Act::Withdrawal),
            (150.0, Act::Release),
            (165.0, Act::Policy(3)),
            (180.0, Act::Contract("tenant-0017")),
            (190.0, Act::Withdrawal),
            (200.0, Act::Contract("tenant-0023")),
        ],
    );
}

#[test]
#[ignore = "two minutes on a machine that does nothing else: make soak"]
fn five_weeks_in_which_nothing_is_overdue_lost_or_left() {
    let (_, _) = (kafka::shared(), registry::shared());
    live(
        36.0,
        &[
            (5.0, Act::Contract("tenant-0005")),
            (8.0, Act::Withdrawal),
            (10.0, Act::HoldTenant("tenant-0007")),
            (12.0, Act::HoldPerson),
            (20.0, Act::Policy(2)),
            (27.0, Act::Release),
        ],
    );
}

//! A table with overdue records, so that an instance on it sweeps.

use std::path::Path;

use chrono::TimeDelta;
use ebbtide_base::clock::{Clock, SystemClock};
use ebbtide_table::Root;
use ebbtide_testkit::tables::{shipped_policy, sms};

/// The number of days over which the records are spread.
const DAYS: usize = 20;

/// Stores about `records` SMS that are more than two years old. All but a few are past all their
/// deadlines now. Returns the number of records.
pub fn fill(place: &Path, records: usize) -> usize {
    let root = Root::parse(place.to_str().expect("a text path")).expect("a root");
    let policy = shipped_policy();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let first = SystemClock::new().now() - TimeDelta::days(1000);
    for day in 0..DAYS {
        let at = first + TimeDelta::days(day as i64);
        runtime.block_on(sms::fill(&root, &policy, at, records / DAYS, 1 << 20));
    }
    records / DAYS * DAYS
}

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

use super::{ClockBounds, TimeSources, check_clock, explain};
use crate::clock::guard::ClockStatus::{
    self, Ahead, BeforeCommit, BeforeTrusted, Jumped, StoreDiffers, Trusted,
};
use ebbtide_table::{ClockJump, Confirmation};

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap()
}

fn days(days: i64) -> DateTime<Utc> {
    noon() + TimeDelta::days(days)
}

const BOUNDS: ClockBounds = ClockBounds {
    tolerance: TimeDelta::minutes(5),
    settle: TimeDelta::minutes(10),
    max_step: TimeDelta::days(3),
};

fn trusted(at: DateTime<Utc>) -> TimeSources {
    TimeSources {
        last_trusted: Some(at),
        newest_commit: Some(at),
        ..TimeSources::default()
    }
}

fn confirmation(
    newest_commit: Option<DateTime<Utc>>,
    ahead_of_store: Option<TimeDelta>,
) -> Option<Confirmation> {
    let ahead_of_store = ahead_of_store.map(|ahead| ahead.num_seconds());
    Some(Confirmation {
        id: "a".to_owned(),
        at: noon(),
        by: None,
        newest_commit,
        ahead_of_store,
    })
}

#[test]
fn clock_is_bounded_by_the_last_trusted_time() {
    let minutes = |minutes| noon() + TimeDelta::minutes(minutes);
    let table: [(DateTime<Utc>, ClockStatus); 9] = [
        (noon(), Trusted),
        (minutes(-5), Trusted),
        (minutes(-6), BeforeCommit),
        (days(-100), BeforeCommit),
        (days(3), Trusted),
        (days(3) + TimeDelta::seconds(1), Ahead),
        (days(8), Ahead),
        (days(100), Ahead),
        (days(36_500), Ahead),
    ];
    for (wall, expected) in table {
        assert_eq!(
            check_clock(wall, &trusted(noon()), &BOUNDS),
            expected,
            "{wall}"
        );
    }
    let no_commit = TimeSources {
        newest_commit: None,
        ..trusted(noon())
    };
    assert_eq!(check_clock(minutes(-6), &no_commit, &BOUNDS), BeforeTrusted);
}

#[test]
fn root_without_records_is_bounded_by_its_newest_commit() {
    let commit = TimeSources {
        newest_commit: Some(noon()),
        ..TimeSources::default()
    };
    let table = [
        (noon(), Trusted),
        (days(2), Trusted),
        (days(100), Ahead),
        (days(-1), BeforeCommit),
    ];
    for (wall, expected) in table {
        assert_eq!(check_clock(wall, &commit, &BOUNDS), expected, "{wall}");
    }
    assert_eq!(
        check_clock(days(100), &TimeSources::default(), &BOUNDS),
        Trusted,
        "an empty root has nothing to delete"
    );
}

#[test]
fn commit_of_a_wrong_clock_speaks_for_no_clock_that_is_ahead() {
    let sources = TimeSources {
        newest_commit: Some(days(100)),
        ..trusted(noon())
    };
    assert_eq!(check_clock(days(100), &sources, &BOUNDS), Ahead);
    assert_eq!(
        check_clock(noon(), &sources, &BOUNDS),
        BeforeCommit,
        "a person decides which of both is wrong"
    );
    let confirmed = TimeSources {
        confirmation: confirmation(Some(days(100)), None),
        ..sources
    };
    assert_eq!(check_clock(noon(), &confirmed, &BOUNDS), Trusted);
    let later = TimeSources {
        newest_commit: Some(days(101)),
        ..confirmed
    };
    assert_eq!(
        check_clock(noon(), &later, &BOUNDS),
        BeforeCommit,
        "it was dated after the confirmation"
    );
}

#[test]
fn store_that_agrees_outweighs_old_records() {
    for (wall, store, expected) in [
        // The process was idle for months.
        (days(200), days(200), Trusted),
        (days(200), days(200) + TimeDelta::minutes(4), Trusted),
        // The last trusted time was that of a wrong clock.
        (days(-200), days(-200), Trusted),
        (days(200), noon(), StoreDiffers),
        // Within the bound of the last trusted time, and still not the store's time.
        (days(2), noon(), StoreDiffers),
        (noon() - TimeDelta::minutes(7), noon(), StoreDiffers),
        (noon(), noon() + TimeDelta::seconds(50), Trusted),
    ] {
        let sources = TimeSources {
            store_time: Some(store),
            ..trusted(noon())
        };
        assert_eq!(
            check_clock(wall, &sources, &BOUNDS),
            expected,
            "{wall} {store}"
        );
    }
}

#[test]
fn difference_from_the_store_that_a_person_confirmed_is_accepted() {
    let ahead = TimeDelta::days(30);
    let sources = |store| TimeSources {
        store_time: Some(store),
        confirmation: confirmation(None, Some(ahead)),
        ..trusted(noon())
    };
    assert_eq!(
        check_clock(noon(), &sources(noon() - ahead), &BOUNDS),
        Trusted
    );
    assert_eq!(
        check_clock(noon(), &sources(noon() - ahead * 2), &BOUNDS),
        StoreDiffers
    );
    assert_eq!(
        check_clock(noon(), &sources(noon()), &BOUNDS),
        Trusted,
        "the store was corrected"
    );
}

#[test]
fn recorded_jump_is_distrusted_until_it_settles_or_the_clock_is_set() {
    let jump = |by: TimeDelta| TimeSources {
        jump: Some(ClockJump {
            expected: noon(),
            shown: noon() + by,
        }),
        last_trusted: Some(noon() - TimeDelta::minutes(1)),
        ..TimeSources::default()
    };
    let (two_days, hour) = (TimeDelta::days(2), TimeDelta::hours(1));
    let minutes = TimeDelta::minutes;
    for (by, wall, expected) in [
        (two_days, days(2) + minutes(1), Jumped),
        (two_days, days(2) + minutes(9), Jumped),
        (two_days, days(2) + minutes(10), Trusted),
        (two_days, noon() + minutes(1), Trusted),
        (hour, noon() + hour + minutes(2), Jumped),
        (hour, noon() + minutes(2), Trusted),
        // A jump beyond the bound does not settle.
        (TimeDelta::days(100), days(100) + hour, Ahead),
        // Back by a little: the clock is not before the last trusted time.
        (minutes(-6), noon() - minutes(5), Jumped),
        (minutes(-6), noon() + minutes(5), Trusted),
    ] {
        assert_eq!(
            check_clock(wall, &jump(by), &BOUNDS),
            expected,
            "{by} {wall}"
        );
    }
}

#[test]
fn reason_names_both_times_and_the_command() {
    insta::assert_snapshot!(explain(Ahead, days(100), &trusted(noon())), @"the clock shows 2026-12-30T14:13:20Z, 100 days after the last trusted time, 2026-09-21T14:13:20Z; nothing is deleted until the clock is corrected, or `ebbtide clock confirm` says that it is right");
    insta::assert_snapshot!(explain(BeforeCommit, noon() - TimeDelta::minutes(7), &trusted(noon())), @"the clock shows 2026-09-21T14:06:20Z, 7 minutes before the newest commit, 2026-09-21T14:13:20Z; nothing is deleted until the clock is corrected, or `ebbtide clock confirm` says that it is right");
    insta::assert_snapshot!(explain(Jumped, noon(), &trusted(noon())), @"the clock shows 2026-09-21T14:13:20Z and jumped; it is trusted once it has run evenly for sweep.clock_settle; nothing is deleted until the clock is corrected, or `ebbtide clock confirm` says that it is right");
}

proptest! {
    /// Without a store that agrees, no clock far ahead of the last trusted time is trusted,
    /// whatever the other sources show.
    #[test]
    fn no_clock_beyond_the_bound_is_trusted(
        ahead in 3 * 86_400 + 1..10_000_000_i64,
        commit in prop::option::of(-10_000_000..10_000_000_i64),
        jump in prop::option::of((-10_000_000..10_000_000_i64, -10_000_000..10_000_000_i64)),
    ) {
        let at = |seconds: i64| noon() + TimeDelta::seconds(seconds);
        let sources = TimeSources {
            last_trusted: Some(noon()),
            newest_commit: commit.map(at),
            store_time: None,
            confirmation: confirmation(commit.map(at), None),
            jump: jump.map(|(expected, shown)| ClockJump { expected: at(expected), shown: at(shown) }),
        };
        prop_assert_ne!(check_clock(at(ahead), &sources, &BOUNDS), Trusted);
    }
}

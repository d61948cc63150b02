//! Tests of the grace after a deadline.

use super::*;
use crate::testing::{policy, sms};

#[test]
fn the_strictest_rule_gives_the_grace_and_periods_count_at_their_shortest() {
    let content: Category = "content".parse().unwrap();
    assert_eq!(
        least_grace(&policy("remove"), &sms(), &content),
        TimeDelta::hours(6)
    );
    assert_eq!(shortest(RetentionPeriod::Days(2)), TimeDelta::hours(47));
    assert_eq!(
        shortest(RetentionPeriod::Months(1)),
        TimeDelta::hours(28 * 24 - 1)
    );
    assert_eq!(shortest(RetentionPeriod::Days(0)), TimeDelta::zero());
}

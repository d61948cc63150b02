use super::retry::FIRST;
use super::*;
use ebbtide_table::RewriteError;
use ebbtide_table::testing::stored_segment;

#[test]
fn segment_that_is_named_waits_alone_and_all_wait_if_none_is_named() {
    let segments = ["a", "b"].map(stored_segment);
    let damaged = |path: &str| {
        SweepError::Rewrite(RewriteError::Damaged {
            path: path.to_owned(),
            why: "bytes".to_owned(),
        })
    };
    let now = Duration::from_secs(100);
    for (path, others, waiting) in [
        ("a", true, [true, false]),
        ("b", true, [false, true]),
        ("part", false, [true, true]),
    ] {
        let mut reviews = SegmentReviews::default();
        assert_eq!(
            reviews.record_failure(RetryKind::Sweep, &segments, &damaged(path), now),
            others,
            "{path}"
        );
        let waits = reviews.waiting(RetryKind::Sweep, now);
        assert_eq!(["a", "b"].map(|of| waits.contains(of)), waiting, "{path}");
        assert!(reviews.waiting(RetryKind::Merge, now).is_empty(), "{path}");
        let later = reviews.waiting(RetryKind::Sweep, now + FIRST);
        assert!(later.is_empty(), "{path}");
        reviews.forget_failures(RetryKind::Sweep, &segments);
        assert!(reviews.waiting(RetryKind::Sweep, now).is_empty(), "{path}");
    }
}

#[test]
fn wait_doubles_with_each_failure_up_to_a_quarter_of_an_hour() {
    let segments = ["a"].map(stored_segment);
    let missing = || {
        SweepError::Rewrite(RewriteError::SegmentDeleted {
            path: "a".to_owned(),
        })
    };
    let (mut reviews, mut now) = (SegmentReviews::default(), Duration::ZERO);
    let waits = |reviews: &SegmentReviews, at| !reviews.waiting(RetryKind::Merge, at).is_empty();
    for seconds in [10, 20, 40, 80, 160, 320, 640, 900, 900] {
        reviews.record_failure(RetryKind::Merge, &segments, &missing(), now);
        now += Duration::from_secs(seconds);
        assert!(waits(&reviews, now - Duration::from_millis(1)) && !waits(&reviews, now));
    }
}

#[test]
fn check_results_are_valid_only_for_the_holds_and_activation_they_saw() {
    let (a, b) = (HoldsMark(1), HoldsMark(2));
    let mut reviews = SegmentReviews::default();
    reviews.record_held("x".into(), a);
    reviews.record_held("y".into(), b);
    assert!(reviews.is_held_by("x", a) && !reviews.is_held_by("x", b));
    assert!(reviews.is_held("x") && !reviews.is_held("z"));
    reviews.keep_held_by(b);
    assert!(!reviews.is_held("x") && reviews.is_held("y"));
    reviews.settle("x".into(), ControlsVersion(4));
    assert!(reviews.is_settled("x", ControlsVersion(4)));
    assert!(!reviews.is_settled("x", ControlsVersion(5)));
    assert!(!reviews.is_settled("y", ControlsVersion(4)));
}

#[test]
fn older_check_does_not_undo_a_newer_one_and_ends_with_its_segment() {
    let mut reviews = SegmentReviews::default();
    reviews.record_triggers("x".into(), ControlsVersion(3));
    reviews.record_triggers("x".into(), ControlsVersion(2));
    assert_eq!(reviews.triggers("x"), ControlsVersion(3));
    reviews.record_stale("x".into(), ControlsVersion(3), Vec::new());
    assert!(reviews.stale("x", ControlsVersion(3)).is_some());
    assert!(reviews.stale("x", ControlsVersion(4)).is_none());
    reviews.retain(7, |path| path != "x");
    assert_eq!(reviews.triggers("x"), ControlsVersion(0));
    assert!(reviews.stale("x", ControlsVersion(3)).is_none());
}

#[test]
fn index_older_than_one_before_forgets_nothing() {
    let mut reviews = SegmentReviews::default();
    reviews.retain(7, |_| true);
    reviews.record_held("new".into(), HoldsMark(1));
    reviews.retain(6, |_| false);
    assert!(reviews.is_held("new"));
    reviews.retain(7, |_| false);
    assert!(!reviews.is_held("new"));
}

//! Offsets without records: markers, aborted and open transactions, compaction, retention. They are
//! treated neither as records nor as losses, and lag is 0 once everything readable is committed.

use std::thread::sleep;
use std::time::Duration;

use crate::program;
use ebbtide_testkit::ebbtide::Ebbtide;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{eventually, kafka, registry};

const PATIENCE: Duration = Duration::from_secs(60);

fn scene(partitions: u32) -> Scene<'static> {
    Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        partitions,
    )
}

/// Asserts that no record waits, no partition is refused, and no lane left the group because of a
/// gap.
fn is_idle(ebbtide: &mut Ebbtide) {
    eventually("lag returns to 0", Duration::from_secs(20), || {
        assert!(
            ebbtide.process.ended().is_none(),
            "{}",
            ebbtide.process.tail()
        );
        let (_, metrics) = ebbtide.ask("/metrics")?;
        let lags: Vec<&str> = metrics
            .lines()
            .filter(|line| line.starts_with("ebbtide_ingest_lag_"))
            .collect();
        (!lags.is_empty() && lags.iter().all(|line| line.ends_with(" 0"))).then_some(())
    });
    assert_eq!(ebbtide.metric("ebbtide_refused_partitions"), 0.0);
    let (_, metrics) = ebbtide.ask("/metrics").unwrap();
    assert!(
        metrics.contains("ebbtide_rebalances_total{outcome=\"rejoined\"} 0\n"),
        "{}",
        ebbtide.process.tail()
    );
}

#[test]
fn markers_are_passed_and_their_removal_by_retention_is_no_loss() {
    let scene = scene(2);
    let mut acked = vec![scene.produce_in("commit", 60, "one").finish(PATIENCE)];
    let mut ebbtide = scene.start("first", &[]);
    // The ends are after the markers, and so are the table's offsets.
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    acked.push(scene.produce_in("commit", 60, "two").finish(PATIENCE));
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    ebbtide.stop();
    for (partition, end) in (0..).zip(scene.kafka.ends(&scene.topics)[0].1.clone()) {
        scene.kafka.delete_before(&scene.topics[0], partition, end);
    }
    let mut ebbtide = scene.start("again", &[]);
    ebbtide.ready();
    acked.push(scene.produce_in("commit", 60, "three").finish(PATIENCE));
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    ebbtide.stop();
    scene.check(&acked, "duckdb");
}

#[test]
fn aborted_records_at_the_end_are_passed_even_if_the_process_is_killed() {
    let scene = scene(1);
    let mut acked = vec![scene.produce_in("commit", 40, "kept").finish(PATIENCE)];
    scene.produce_in("abort", 700, "aborted").finish(PATIENCE);
    let mut ebbtide = scene.start("first", &[]);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    scene
        .produce_in("abort", 90, "aborted again")
        .finish(PATIENCE);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    ebbtide.process.kill();
    let end = scene.kafka.ends(&scene.topics)[0].1[0];
    assert!(end > 800, "aborted records have offsets: {end}");
    scene.kafka.delete_before(&scene.topics[0], 0, end);
    let mut ebbtide = scene.start("again", &[]);
    acked.push(scene.produce_in("commit", 40, "later").finish(PATIENCE));
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    ebbtide.stop();
    scene.check(&acked, "duckdb");
}

#[test]
fn an_open_transaction_is_no_lag_and_what_was_aborted_before_it_is_passed() {
    let scene = scene(1);
    let mut acked = vec![scene.produce(30, 0, "plain").finish(PATIENCE)];
    let mut open = scene.produce_in("open", 50, "open");
    eventually("the transaction has records", PATIENCE, || {
        let written = std::fs::read_to_string(&open.acked).ok()?;
        (written.lines().count() == 50).then_some(())
    });
    // No record after the first one of the open transaction may be read, whichever producer wrote
    // it.
    scene.produce_in("abort", 20, "aborted").finish(PATIENCE);
    acked.push(scene.produce_in("commit", 20, "committed").finish(PATIENCE));
    let mut ebbtide = scene.start("ebbtide", &[]);
    eventually("what is before the transaction is stored", PATIENCE, || {
        (scene.committed(&scene.topics[0], 0) >= 30).then_some(())
    });
    is_idle(&mut ebbtide);
    sleep(Duration::from_secs(5));
    is_idle(&mut ebbtide);
    acked.push(open.stop(PATIENCE));
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    ebbtide.stop();
    scene.check(&acked, "duckdb");
}

#[test]
fn partitions_that_retention_emptied_before_the_first_start_have_no_lag() {
    let scene = scene(2);
    scene.produce(100, 0, "deleted").finish(PATIENCE);
    for (partition, end) in (0..).zip(scene.kafka.ends(&scene.topics)[0].1.clone()) {
        scene.kafka.delete_before(&scene.topics[0], partition, end);
    }
    let mut ebbtide = scene.start("first", &[]);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    let acked = scene.produce(100, 0, "later").finish(PATIENCE);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    ebbtide.stop();
    scene.check(&[acked], "duckdb");
}

#[test]
fn lane_that_returns_to_the_offset_of_a_marker_continues_after_it() {
    let mut scene = scene(4);
    // Two lanes would share the partitions, and an eager rebalance would revoke all of them.
    scene.set("lanes", "1");
    scene.property("partition.assignment.strategy", "cooperative-sticky");
    let mut acked = vec![scene.produce_in("commit", 80, "one").finish(PATIENCE)];
    scene.produce_in("abort", 80, "aborted").finish(PATIENCE);
    let mut first = scene.start("first", &[]);
    scene.caught_up(PATIENCE, &mut [&mut first.process]);
    first.stop();
    scene.set("commit_age", "40s");
    let mut first = scene.start("first", &[]);
    first.ready();
    sleep(Duration::from_secs(4));
    // These records are buffered and not committed when the second instance takes partitions: the
    // first one returns to the table's offsets.
    scene
        .produce_in("abort", 80, "aborted again")
        .finish(PATIENCE);
    acked.push(scene.produce_in("commit", 80, "two").finish(PATIENCE));
    sleep(Duration::from_secs(2));
    scene.set("commit_age", "500ms");
    let mut second = scene.start("second", &[]);
    eventually("the first goes back", PATIENCE, || {
        first.process.log().contains("going back").then_some(())
    });
    scene.caught_up(
        Duration::from_secs(120),
        &mut [&mut first.process, &mut second.process],
    );
    is_idle(&mut first);
    is_idle(&mut second);
    first.stop();
    second.stop();
    scene.check(&acked, "duckdb");
}

#[test]
fn a_restart_in_the_middle_of_what_compaction_removed_continues() {
    let scene = scene(1);
    scene.kafka.delete(&scene.topics);
    let compacted = [
        "cleanup.policy=compact,delete",
        "segment.bytes=1048576",
        "segment.ms=1000",
        "min.cleanable.dirty.ratio=0.01",
        "max.compaction.lag.ms=1000",
    ];
    scene.kafka.create(&scene.topics, 1, &compacted);
    let mut ebbtide = scene.start("first", &[]);
    scene.produce_keyed(5, 100, "one").finish(PATIENCE);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    ebbtide.stop();
    let stopped_at = scene.committed(&scene.topics[0], 0);
    assert_eq!(scene.stored("sms"), 100);
    // All but the newest record of each key are removed, also every record from the table's offset
    // up to the last records.
    scene.produce_keyed(5, 100, "two").finish(PATIENCE);
    sleep(Duration::from_secs(2));
    scene
        .produce_keyed(5, 1, "rolls the segment")
        .finish(PATIENCE);
    eventually("the topic is compacted", Duration::from_secs(120), || {
        let left = scene.kafka.dump(&scene.topics[0]);
        let after = left
            .iter()
            .filter(|message| message["offset"].as_i64().unwrap() >= stopped_at)
            .count();
        (after < 20).then_some(())
    });
    let left = scene.kafka.dump(&scene.topics[0]);
    let left = left
        .iter()
        .filter(|message| message["offset"].as_i64().unwrap() >= stopped_at)
        .count();
    let mut ebbtide = scene.start("again", &[]);
    scene.caught_up(PATIENCE, &mut [&mut ebbtide.process]);
    is_idle(&mut ebbtide);
    ebbtide.stop();
    assert_eq!(scene.stored("sms"), 100 + left as u64);
    scene.audit();
}

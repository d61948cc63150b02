//! Compares predictions with a count over every row.

mod apply;
mod columns;
mod notices;
mod subjects;

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::testing::{SmsRecord, World, policy_text, read, sms, start, with_rules};
use crate::{DeadlineMoves, Migration, ProductEffect, SegmentProfiles, StoredTerms, survey};
use ebbtide_base::clock::Clock;
use ebbtide_base::ids::{Category, Country};
use ebbtide_policy::{Calendar, CheckedPolicy, FieldDiff, Policy, RecordTriggers, Resolver};
use ebbtide_table::testing::stored_segment;
use ebbtide_table::{SegmentIndex, StoredSegment};

const CATEGORIES: [&str; 2] = ["content", "phone_number"];

/// The counts of moved deadlines, by category and jurisdiction.
type Counts = BTreeMap<(String, String), DeadlineMoves>;

/// Counts every stored field by resolving the policy for each row.
async fn brute(world: &World, new: &Policy, now: DateTime<Utc>) -> Counts {
    let calendar = Calendar::new(new.zone, new.bucket);
    let resolver = Resolver::new(new, &sms()).unwrap();
    let table = world.table().await;
    let index = SegmentIndex::load(&table).await.unwrap();
    let columns = [
        "jurisdiction",
        "customer_id",
        "ingested_at",
        "sent_at",
        "expires_content",
        "expires_phone_number",
    ];
    let mut counts = Counts::new();
    for segment in index.iter() {
        let mut rows = table
            .read_columns(std::slice::from_ref(segment), &columns, None)
            .unwrap();
        while let Some(batch) = rows.next().await {
            let batch = batch.unwrap().rows;
            for row in 0..batch.num_rows() {
                let text = |column: usize| {
                    let column = batch.column(column).as_string::<i32>();
                    column.is_valid(row).then(|| column.value(row).to_owned())
                };
                let at = |column: usize| {
                    let column = batch
                        .column(column)
                        .as_primitive::<TimestampMicrosecondType>();
                    column
                        .is_valid(row)
                        .then(|| DateTime::from_timestamp_micros(column.value(row)).unwrap())
                };
                let country: Country = text(0).unwrap().parse().unwrap();
                let profile = resolver.profile(country, resolver.tenant_class(text(1).as_deref()));
                let came = at(2).max(at(3)).unwrap();
                let late = calendar.distance(segment.bucket, calendar.bucket_of(came).unwrap());
                let profile = profile.with_late(late);
                let deadlines = profile.deadlines(&calendar, segment.bucket);
                for (number, category) in CATEGORIES.iter().enumerate() {
                    let Some(before) = at(4 + number) else {
                        continue;
                    };
                    let category: Category = category.parse().unwrap();
                    let term = profile
                        .terms
                        .iter()
                        .position(|term| term.category == category)
                        .unwrap();
                    let after = deadlines[term].unwrap().0;
                    let moved = counts
                        .entry((category.to_string(), country.to_string()))
                        .or_default();
                    moved.earlier += u64::from(after < before);
                    moved.later += u64::from(after > before);
                    moved.due_at_once += u64::from(after <= now && before > now);
                }
            }
        }
    }
    counts.retain(|_, moved| *moved != DeadlineMoves::default());
    counts
}

/// Compares a prediction with the counts, by the jurisdictions that the rules distinguish.
fn alike(effect: &ProductEffect, counted: &Counts) {
    let mut left = counted.clone();
    let named: Vec<Country> = effect
        .moved
        .iter()
        .flat_map(|moved| moved.jurisdictions.clone())
        .collect();
    for moved in &effect.moved {
        let mine = |(category, country): &(String, String)| {
            let country: Country = country.parse().unwrap();
            *category == moved.category.as_str()
                && if moved.jurisdictions.is_empty() {
                    !named.contains(&country)
                } else {
                    moved.jurisdictions.contains(&country)
                }
        };
        let mut sum = DeadlineMoves::default();
        left.retain(|key, found| {
            if mine(key) {
                sum.earlier += found.earlier;
                sum.later += found.later;
                sum.due_at_once += found.due_at_once;
            }
            !mine(key)
        });
        assert_eq!(
            moved.movement, sum,
            "{} in {:?}: {counted:?}",
            moved.category, moved.jurisdictions
        );
    }
    assert_eq!(left, Counts::new(), "it was not foretold");
}

fn rules(random: &mut StdRng) -> Vec<String> {
    let usual = "boundary: at_most, trigger: event, grace: 6 hours, bases: [eu-gdpr:A6-1-b]";
    let keep = |random: &mut StdRng| [3, 7, 20, 30, 45].choose(random).copied().unwrap();
    let mut rules = vec![format!("id: all, keep: {} days, {usual}", keep(random))];
    let matches = [
        "jurisdictions: [NL]",
        "jurisdictions: [DE, IT]",
        "tenants: [acme]",
        "categories: [content]",
        "categories: [content], jurisdictions: [DE]",
        "categories: [content], tenants: [bond]",
    ];
    for (number, matching) in matches.iter().enumerate() {
        if random.random_bool(0.4) {
            let boundary = if random.random_bool(0.3) {
                usual.replace("at_most", "at_least")
            } else {
                usual.to_owned()
            };
            rules.push(format!(
                "id: rule-{number}, {matching}, keep: {} days, {boundary}",
                keep(random)
            ));
        }
    }
    rules
}

fn policy(version: &str, random: &mut StdRng) -> CheckedPolicy {
    loop {
        // Two equally specific rules may clash, which makes the policy invalid.
        let checked = with_rules(version, &rules(random));
        if checked.policy.is_some() {
            return checked;
        }
    }
}

fn messages(random: &mut StdRng, now: DateTime<Utc>, count: usize) -> Vec<SmsRecord> {
    let one = |_| SmsRecord {
        recipient: format!(
            "{}{:08}",
            ["316", "4915", "39347", "336"].choose(random).unwrap(),
            random.random_range(0..99_999_999)
        ),
        body: "a text".to_owned(),
        // Some arrive days late.
        sent_at: now - TimeDelta::hours(random.random_range(0..72)),
        customer: (*["acme", "bond", "corp"].choose(random).unwrap()).to_owned(),
        status: "delivered".to_owned(),
    };
    (0..count).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_survey_predicts_what_a_count_over_every_row_gives() {
    for seed in 0..40 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::new("remove");
        let old = policy("1", &mut random).policy.unwrap();
        world.adopt(old.clone());
        for _ in 0..3 {
            let sent = messages(&mut random, world.clock.now(), 30);
            world.ingest(&sent).await;
            world.pass(TimeDelta::days(2));
        }
        world.pass(TimeDelta::days(random.random_range(0..8)));
        world.sweep().await;
        let new = policy("2", &mut random).policy.unwrap();
        let now = world.clock.now();
        let effects = survey(&world.root, &old, &new, now, |_| {}).await.unwrap();
        let counted = brute(&world, &new, now).await;
        alike(&effects.products[0], &counted);
        let records = world.rows().await.len() as u64;
        assert_eq!(effects.products[0].records, records, "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_segment_is_opened_whose_rows_all_change_alike() {
    let mut world = World::new("remove");
    let mut random = StdRng::seed_from_u64(1);
    let sent = messages(&mut random, world.clock.now(), 50);
    world.ingest(&sent).await;
    let old = (*world.policy).clone();
    let shorter = read(
        &policy_text("remove")
            .replace("test-1", "test-2")
            .replace("keep: 7 days", "keep: 1 days"),
    );
    let mut seen = 0;
    let effects = survey(
        &world.root,
        &old,
        &shorter.policy.unwrap(),
        world.clock.now(),
        |_| seen += 1,
    )
    .await
    .unwrap();
    let effect = &effects.products[0];
    let total: u64 = effect
        .moved
        .iter()
        .map(|moved| moved.movement.earlier)
        .sum();
    assert!(
        seen > 1 && effect.opened == 0,
        "{seen} segments, {} opened",
        effect.opened
    );
    assert_eq!((effect.records, effect.stale, total), (50, 50, 50));
    assert!(effect.bytes_copied > 0 && effect.bytes_rewritten == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dropped_and_reclassified_columns_are_listed_with_their_records() {
    let mut world = World::new("remove");
    let sent = messages(&mut StdRng::seed_from_u64(1), start(), 50);
    world.ingest(&sent).await;
    let old = (*world.policy).clone();
    let text = policy_text("remove").replace("test-1", "test-2");
    let without = read(
        &text
            .replace("      status: none\n", "      status: content\n")
            .replace("      segments: none\n", ""),
    );
    let effects = survey(&world.root, &old, &without.policy.unwrap(), start(), |_| {})
        .await
        .unwrap();
    let changes: Vec<(&FieldDiff, u64, u64)> = effects.products[0]
        .columns
        .iter()
        .map(|of| (&of.change, of.records, of.movement.earlier))
        .collect();
    let [
        (FieldDiff::Removed { column: old, .. }, 50, 0),
        (FieldDiff::Reclassified { column, .. }, 50, 50),
    ] = &changes[..]
    else {
        panic!("{changes:?}");
    };
    assert_eq!((old.as_str(), column.as_str()), ("segments", "status"));
    assert!(effects.products[0].moved.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_left_out_only_once_nothing_of_it_is_stored() {
    let mut world = World::new("remove");
    world
        .ingest(&messages(&mut StdRng::seed_from_u64(1), start(), 5))
        .await;
    let old = (*world.policy).clone();
    let mut without = old.clone();
    without.products.clear();
    let effects = survey(&world.root, &old, &without, start(), |_| {})
        .await
        .unwrap();
    assert_eq!(effects.diff.refused.len(), 1);
    assert!(
        effects.diff.refused[0]
            .what
            .contains("5 of its records are stored"),
        "{:?}",
        effects.diff.refused
    );
    world.pass(TimeDelta::days(40));
    world.sweep().await;
    let effects = survey(&world.root, &old, &without, world.clock.now(), |_| {})
        .await
        .unwrap();
    assert!(effects.diff.refused.is_empty());
}

#[test]
fn the_state_of_a_trigger_survives_a_change_of_policy() {
    let rule = |days: u32| {
        [format!(
            "id: all, keep: {days} days, trigger: contract_end, bases: [eu-gdpr:A6-1-b]"
        )]
    };
    let (old, new) = (
        with_rules("1", &rule(30)).policy.unwrap(),
        with_rules("2", &rule(20)).policy.unwrap(),
    );
    let migration = Migration::new(&old, &new, &sms()).unwrap();
    let bucket = "2026-11-24".parse().unwrap();
    let ended = RecordTriggers {
        contract_end: Some("2026-12-01".parse().unwrap()),
        withdrawn: None,
    };
    let open = migration
        .pairs
        .before(migration.kind(Some("NL"), None))
        .unwrap();
    let profile = open.with_triggered(ended, migration.calendar(), bucket);
    let segment = StoredSegment {
        bucket,
        profile: profile.id.clone(),
        policy_version: Some("1".parse().unwrap()),
        ..stored_segment("s3-one")
    };
    let promised = StoredTerms::new(&segment, Some(&profile.text));
    let SegmentProfiles::One(now) = migration.answer(&promised) else {
        panic!("all of its rows are of one kind")
    };
    let due: Vec<String> = now
        .deadlines(migration.calendar(), bucket)
        .iter()
        .map(|at| at.unwrap().to_string())
        .collect();
    assert_eq!(
        due, ["2026-12-21T00:00:00Z"; 2],
        "twenty days from the contract's end, not open again"
    );
    assert_eq!(
        migration.kinds(&promised),
        [migration.kind(Some("NL"), None)]
    );
}

//! Subjects that were stored in earlier canonical forms: they are found and held as stored, and a
//! policy converts them to the new form.

use chrono::TimeDelta;

use super::apply::{column, swept, take};
use crate::survey;
use crate::testing::{SmsRecord, World, policy_text, read, start, texts};
use ebbtide_base::clock::Clock;
use ebbtide_controls::{Scope, Subject};
use ebbtide_policy::CheckedPolicy;
use ebbtide_table::SegmentIndex;

/// Spellings of one number, and two values that are not numbers.
const STORED: [&str; 6] = [
    "390612345678",
    "tel:+39-06-1234-5678",
    "<sip:+390612345678@h:5060>",
    "+39 (06) 12345678;npdi",
    "ACME",
    "12345",
];

/// Italian numbers are kept for 60 days.
const ITALY: &str = "  - { id: it, jurisdictions: [IT], categories: [phone_number], keep: 60 days, boundary: at_least, \
                     bases: [eu-gdpr:A6-1-c] }\n";

fn version(version: &str, home: &str) -> CheckedPolicy {
    let text = policy_text("remove").replace("test-1", version) + ITALY;
    read(&text.replace("    jurisdiction:", &format!("{home}    jurisdiction:")))
}

fn sent(recipients: &[&str]) -> Vec<SmsRecord> {
    let with = |(mut sms, recipient): (SmsRecord, &&str)| {
        sms.recipient = (*recipient).to_owned();
        sms
    };
    texts(start(), recipients.len() as u32)
        .into_iter()
        .zip(recipients)
        .map(with)
        .collect()
}

/// Creates a table of records that were stored as an earlier version stored them: as text, of no
/// country.
async fn stored(recipients: &[&str]) -> World {
    let text = (policy_text("remove") + ITALY)
        .replace("subjects: { recipient: phone }\n    ", "")
        .replace("{ country_of: recipient }", "unknown");
    let mut world = World::of(tempfile::tempdir().unwrap(), read(&text).policy.unwrap());
    world.ingest(&sent(recipients)).await;
    world.adopt(version("test-1", "").policy.unwrap());
    world
}

fn person(text: &str) -> Scope {
    Scope {
        subject: Some(text.parse::<Subject>().unwrap()),
        ..Scope::default()
    }
}

async fn recipients(world: &World) -> Vec<String> {
    column(world, "recipient")
        .await
        .into_iter()
        .flatten()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_covers_what_is_stored_in_an_earlier_form() {
    let world = stored(&STORED).await;
    world.hold(person("phone:+39 06 1234 5678")).await;
    world.pass(TimeDelta::days(31));
    swept(&world).await;
    let mut left = recipients(&world).await;
    left.sort();
    let mut held = STORED[..4].to_vec();
    held.sort_unstable();
    assert_eq!(left, held);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_brings_stored_subjects_to_their_form_and_their_country() {
    let mut world = stored(&STORED).await;
    let (old, new) = (version("test-1", ""), version("test-2", ""));
    let effects = survey(
        &world.root,
        old.policy.as_ref().unwrap(),
        new.policy.as_ref().unwrap(),
        world.clock.now(),
        |_| {},
    )
    .await
    .unwrap();
    let effect = &effects.products[0];
    assert_eq!((effect.reformed, effect.stale), (3, 6), "{effect:?}");
    take(&mut world, (&old, &new)).await;
    assert_eq!(swept(&world).await.did.retagged, 6);
    let mut wanted = vec!["390612345678".to_owned(); 4];
    wanted.splice(0..0, ["12345".to_owned()]);
    wanted.push("ACME".to_owned());
    assert_eq!(recipients(&world).await, wanted);
    let mut countries: Vec<_> = column(&world, "jurisdiction")
        .await
        .into_iter()
        .flatten()
        .collect();
    countries.sort();
    // A value in the new form keeps the country that it was stored with.
    assert_eq!(countries, ["IT", "IT", "IT", "ZZ", "ZZ", "ZZ"]);
    let table = world.table().await;
    let index = SegmentIndex::load(&table).await.unwrap();
    assert!(
        index
            .iter()
            .all(|segment| segment.forms() == table.spec().forms && segment.forms().is_some())
    );
    // Nothing is left to do, and the Italian minimum applies to the values that were text.
    assert_eq!(world.sweep().await.works, 0);
    world.pass(TimeDelta::days(31));
    swept(&world).await;
    assert_eq!(recipients(&world).await, vec!["390612345678".to_owned(); 3]);
    world.pass(TimeDelta::days(31));
    swept(&world).await;
    assert_eq!(recipients(&world).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_country_reads_national_numbers_that_are_stored() {
    let mut world = World::of(
        tempfile::tempdir().unwrap(),
        version("test-1", "").policy.unwrap(),
    );
    world
        .ingest(&sent(&[
            "0612345678",
            "+31687654321",
            "06 1111 2222",
            "ACME",
        ]))
        .await;
    let home = "    default_country: NL\n";
    let (old, new) = (version("test-1", ""), version("test-2", home));
    let effects = survey(
        &world.root,
        old.policy.as_ref().unwrap(),
        new.policy.as_ref().unwrap(),
        world.clock.now(),
        |_| {},
    )
    .await
    .unwrap();
    assert_eq!(effects.products[0].reformed, 2);
    take(&mut world, (&old, &new)).await;
    // Before the sweep, a hold finds both spellings; the new form is found in the records that
    // contain it.
    world.ingest(&sent(&["0612345678"])).await;
    let held = world.hold(person("phone:+31612345678")).await;
    world.release(&held).await;
    swept(&world).await;
    let wanted = [
        "31611112222",
        "31612345678",
        "31612345678",
        "31687654321",
        "ACME",
    ];
    assert_eq!(recipients(&world).await, wanted);
    let countries: Vec<_> = column(&world, "jurisdiction")
        .await
        .into_iter()
        .flatten()
        .collect();
    assert_eq!(countries, ["NL", "NL", "NL", "NL", "ZZ"]);
    assert_eq!(world.sweep().await.works, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_row_waits_in_its_earlier_form_and_stays_held() {
    let mut world = stored(&["tel:+390612345678", "tel:+390687654321"]).await;
    let hold = world.hold(person("phone:+390612345678")).await;
    let (old, new) = (version("test-1", ""), version("test-2", ""));
    take(&mut world, (&old, &new)).await;
    swept(&world).await;
    assert_eq!(
        recipients(&world).await,
        ["390687654321", "tel:+390612345678"]
    );
    world.pass(TimeDelta::days(100));
    swept(&world).await;
    assert_eq!(recipients(&world).await, ["tel:+390612345678"]);
    world.release(&hold).await;
    swept(&world).await;
    assert_eq!(recipients(&world).await, [""; 0]);
}

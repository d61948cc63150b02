//! All products of the shipped policy, from an independent producer to three foreign readers.

use std::time::Duration;

use crate::program;
use ebbtide_testkit::readers::ALL;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{kafka, registry};

#[test]
fn three_readers_see_every_row_of_every_product_with_the_oracles_tags() {
    let scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &[],
        2,
    );
    let acked = scene
        .produce_of(true, 5200, 0, "all")
        .finish(Duration::from_secs(120));
    let mut ebbtide = scene.start("ebbtide", &[]);
    ebbtide.ready();
    scene.caught_up(Duration::from_secs(300), &mut [&mut ebbtide.process]);
    ebbtide.stop();
    let counts = scene.check(&[acked], ALL);
    let stored = counts["stored"].as_object().unwrap();
    assert_eq!(stored.len(), 3, "{counts}");
    assert!(
        stored
            .values()
            .all(|rows| rows.as_i64() > Some(5000) && rows == &stored["duckdb"]),
        "{counts}"
    );
    assert!(
        counts["expired"].as_i64() > Some(10),
        "the producer must make records past all their deadlines: {counts}"
    );
}

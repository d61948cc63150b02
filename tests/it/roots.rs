//! Folders with names that are special in URLs work as roots: tables are written, swept, searched
//! and read by others.

use std::time::Duration;

use crate::program;
use ebbtide_testkit::scene::Scene;
use ebbtide_testkit::{kafka, registry};

/// Commands that must succeed on a root; `{config}`, `{root}` and `{values}` stand for the scene's
/// files.
const COMMANDS: [&str; 11] = [
    "config check {config}",
    "sweep --config {config}",
    "sweep --dry-run --config {config}",
    "compact --config {config}",
    "table list --root {root}",
    "table show sms --root {root}",
    "table audit sms --root {root}",
    "history sms --root {root}",
    "hold list --root {root}",
    "contract list --root {root}",
    "residue --values {values} --root {root}",
];

fn run(scene: &Scene<'_>, command: &str, ahead: u64) {
    let values = scene.scratch.join("values.txt");
    std::fs::write(&values, "a value that is nowhere\n").unwrap();
    let fill = |word: &str| match word {
        "{config}" => scene.config().display().to_string(),
        "{root}" => scene.root.display().to_string(),
        "{values}" => values.display().to_string(),
        word => word.to_owned(),
    };
    let words: Vec<String> = command.split(' ').map(fill).collect();
    let said = program().run_ahead(ahead, &words);
    assert_eq!(
        said.code,
        0,
        "{command} on {}: {}{}",
        scene.root.display(),
        said.out,
        said.err
    );
}

/// Asserts that tables work in a root of that name. `readers` are the foreign engines that find the
/// files of such a root: several do not decode their own URLs correctly.
fn holds_tables(name: &str, readers: Option<&str>) {
    let mut scene = Scene::new(
        program(),
        kafka::shared(),
        registry::shared().base(),
        &["sms"],
        1,
    );
    scene.root = scene.scratch.join(name).join("store");
    scene.seen = scene.root.clone();
    scene.sections =
        "maintain:\n  checkpoint_every: 2\n  orphan_age: 3650d\n  readers_grace: 1s\n".to_owned();
    let mut acked = Vec::new();
    for part in ["first", "second"] {
        let mut instance = scene.start(part, &[]);
        for again in ["a", "b"] {
            acked.push(
                scene
                    .produce(150, 0, &format!("{part}{again}"))
                    .finish(Duration::from_secs(60)),
            );
            scene.caught_up(Duration::from_secs(60), &mut [&mut instance.process]);
        }
        instance.stop();
    }
    match readers {
        Some(readers) => println!("{}", scene.check(&acked, readers)),
        None => scene.audit(),
    }
    for command in COMMANDS {
        run(&scene, command, 0);
    }
    // The content is due then: the rewritten table is complete too.
    run(&scene, "sweep --config {config}", 400 * 86_400);
    scene.audit();
    let beside = std::fs::read_dir(scene.scratch.path())
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(beside.count(), 1, "something was written beside the root");
}

#[test]
fn a_root_with_percent_signs_in_its_name_holds_tables() {
    for name in ["100%", "50%25 off", "a%2Fb%zz"] {
        holds_tables(name, None);
    }
}

#[test]
fn a_root_with_spaces_and_signs_of_urls_in_its_name_holds_tables() {
    for name in ["a b#1 c?d+e", "dæta ü 数据"] {
        holds_tables(name, Some("duckdb"));
    }
}

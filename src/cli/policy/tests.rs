use chrono::TimeDelta;
use clap::Parser;

use super::Args;
use crate::cli::Outcome;
use crate::clock::Clock;
use crate::controls::Controls;
use crate::expiry::testing::{SCHEMA, World, policy_text, start, texts};
use crate::store::ControlsVersion;

#[derive(Parser)]
#[command(name = "ebbtide policy")]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// A table of twenty texts, and beside it the configuration, the policy in use and new ones.
struct Place {
    world: World,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    fn filled() -> Place {
        let mut place = Place {
            world: World::new("remove"),
            folder: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap(),
        };
        let root = place.world.root.folder().display().to_string();
        place.write(
            "ebbtide.yaml",
            &format!("policy: policy.yaml\nroot: {root}\nkafka: {{ bootstrap_servers: 'a:1' }}\n"),
        );
        place.write("sms.avsc", SCHEMA);
        place.write("policy.yaml", &policy_text("remove"));
        let sent = texts(start(), 20);
        place.runtime.block_on(place.world.ingest(&sent));
        place
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Writes a policy of that version with words of the first replaced.
    fn policy(&self, version: &str, words: &[(&str, &str)]) {
        let text = policy_text("remove").replace("version: test-1", &format!("version: {version}"));
        let text = words.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "nothing to replace: {from}");
            text.replace(from, to)
        });
        self.write(&format!("{version}.yaml"), &text);
    }

    fn says(&self, line: &str) -> (u8, String) {
        let here = self.folder.path().display().to_string();
        let line = line.replace("HERE", &here);
        let config = format!("{here}/ebbtide.yaml");
        let words = ["policy"].into_iter().chain(line.split_whitespace()).chain(["--config", &config]);
        let Outcome { out, err, code } = Line::parse_from(words).args.run_at(self.world.clock.now());
        let text = (out + &err).replace(&here, "HERE");
        let text = regex::Regex::new(r"\d+ bytes").unwrap().replace_all(&text, "N bytes");
        let text =
            regex::Regex::new(r#""bytes_(copied|rewritten)": \d+"#).unwrap().replace_all(&text, "\"bytes_$1\": 0");
        (code, regex::Regex::new("[0-9a-f]{64}").unwrap().replace_all(&text, "DIGEST").into_owned())
    }
}

const SHORTER: (&str, &str) = ("keep: 7 days", "keep: 1 days");

#[test]
fn a_plan_tells_what_moves_what_goes_and_what_it_costs() {
    let place = Place::filled();
    place.world.pass(TimeDelta::days(3));
    place.policy(
        "test-2",
        &[
            SHORTER,
            ("keep: 30 days", "keep: 40 days"),
            ("      segments: none\n", ""),
            ("status: none", "status: content"),
        ],
    );
    let (code, text) = place.says("plan HERE/test-2.yaml");
    assert_eq!(code, 0, "{text}");
    insta::assert_snapshot!("plan", text);
    let (code, text) = place.says("plan HERE/test-2.yaml --output json");
    assert_eq!(code, 0);
    insta::assert_snapshot!("plan_json", text);
    place.policy("test-3", &[]);
    insta::assert_snapshot!("plan_of_nothing", place.says("plan HERE/test-3.yaml").1);
    assert!(!place.world.root.controls_folder().exists(), "a plan changes nothing");
}

#[test]
fn what_cannot_be_carried_out_is_refused_by_plan_and_activate_alike() {
    let place = Place::filled();
    let basis = "keep: 7 days, trigger: event, boundary: at_most, grace: 6 hours, bases: [eu-gdpr:A6-1-b]";
    let longer = "keep: 9 days, trigger: event, boundary: at_most, grace: 6 hours";
    place.policy("test-2", &[(basis, longer), ("zone: UTC", "zone: Europe/Amsterdam")]);
    let (code, planned) = place.says("plan HERE/test-2.yaml");
    assert_eq!(code, 1);
    insta::assert_snapshot!("refused", planned);
    let (code, refused) = place.says("activate HERE/test-2.yaml");
    assert_eq!(code, 1);
    let complaints =
        |text: &str| text.lines().filter(|line| line.contains(": error: ")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(complaints(&refused), complaints(&planned));
    place.policy("test-3", &[("event_time: sent_at", "event_time: sent")]);
    assert_eq!(place.says("activate HERE/test-3.yaml").0, 1, "it does not even pass the check");
    assert!(!place.world.root.controls_folder().exists());
}

#[test]
fn a_policy_is_activated_once_and_its_history_told() {
    let place = Place::filled();
    place.policy("test-2", &[SHORTER]);
    let mut told = String::new();
    for line in [
        "history",
        "activate HERE/test-2.yaml --dry-run",
        "activate HERE/test-2.yaml",
        // As after an answer that was lost.
        "activate HERE/test-2.yaml",
        "activate HERE/test-1.yaml",
        "history",
        "history --output json",
    ] {
        place.policy("test-1", &[]);
        let (code, text) = place.says(line);
        told += &format!("--- {line}: {code}\n{text}");
    }
    insta::assert_snapshot!("a_life", told);
    let controls = place.runtime.block_on(Controls::load(&place.world.root, ControlsVersion(0))).unwrap();
    assert_eq!(controls.iter().count(), 1);
    place.policy("test-2", &[("keep: 7 days", "keep: 2 days")]);
    let (code, text) = place.says("activate HERE/test-2.yaml");
    assert_eq!(code, 1);
    assert!(text.contains("another policy has the version `test-2` already"), "{text}");
    let (code, text) = place.says("history --show test-2");
    assert!(code == 0 && text.contains("keep: 1 days"), "{text}");
}

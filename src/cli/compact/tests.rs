use std::sync::Arc;

use chrono::TimeDelta;
use clap::{CommandFactory, Parser};

use super::Args;
use crate::cli::Outcome;
use crate::clock::{Clock, ManualClock};
use crate::expiry::testing::{ANONYMIZE, SCHEMA, World, policy_text, texts};

#[derive(Parser)]
#[command(name = "ebbtide compact")]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// A world, and beside it the configuration, the policy and the schema that the command reads.
struct Place {
    world: World,
    folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    /// Two days of three segments each.
    fn filled() -> Place {
        let mut place = Place {
            world: World::new(ANONYMIZE),
            folder: tempfile::tempdir().unwrap(),
            runtime: tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap(),
        };
        let root = place.world.root.folder().display();
        let config = format!("policy: policy.yaml\nroot: {root}\nkafka: {{ bootstrap_servers: 'a:1' }}\n");
        for (name, text) in
            [("ebbtide.yaml", &config), ("policy.yaml", &policy_text(ANONYMIZE)), ("sms.avsc", &SCHEMA.to_owned())]
        {
            std::fs::write(place.folder.path().join(name), text).unwrap();
        }
        for _ in 0..2 {
            for count in [20, 10, 15] {
                let sent = texts(place.world.clock.now(), count);
                place.runtime.block_on(place.world.ingest(&sent));
            }
            place.world.pass(TimeDelta::days(1));
        }
        place.world.pass(TimeDelta::hours(12));
        place
    }

    /// The exit code and all that is said.
    fn says(&self, line: &str) -> (u8, String) {
        let words = ["compact"].into_iter().chain(line.split_whitespace()).map(str::to_owned);
        let config = self.folder.path().join("ebbtide.yaml");
        let words = words.chain(["--config".to_owned(), config.display().to_string()]);
        let clock = Arc::new(ManualClock::at(self.world.clock.now()));
        let Outcome { out, err, code } = Line::parse_from(words).args.outcome(clock);
        (code, plain(&(out + &err)).replace(&self.folder.path().display().to_string(), "HERE"))
    }

    /// How many files of rows the table lists.
    fn segments(&self) -> u64 {
        let product = "sms".parse().unwrap();
        let found = self.runtime.block_on(crate::store::audit(&self.world.root, &product)).unwrap();
        assert!(found.holds(), "{:?}", found.broken);
        found.segments
    }
}

/// Without what another version of a library may write otherwise.
fn plain(text: &str) -> String {
    let text = regex::Regex::new(r"\d+ bytes").unwrap().replace_all(text, "N bytes");
    let text = regex::Regex::new(r#""bytes(_in|_out)?": \d+"#).unwrap().replace_all(&text, "\"bytes$1\": 0");
    text.into_owned()
}

#[test]
fn the_help_tells_what_it_does_and_what_its_exit_codes_mean() {
    let help = Line::command().term_width(120).render_long_help().to_string();
    insta::assert_snapshot!("help", help);
}

#[test]
fn a_dry_run_tells_what_would_become_one_and_changes_nothing() {
    let place = Place::filled();
    let (code, text) = place.says("--dry-run");
    assert_eq!(code, 0);
    insta::assert_snapshot!("dry_run", text);
    insta::assert_snapshot!("dry_run_json", place.says("--dry-run --output json").1);
    assert_eq!(place.segments(), 6);
}

#[test]
fn what_became_one_is_told_and_more_that_is_left_is_an_exit_code_of_its_own() {
    let place = Place::filled();
    let (code, text) = place.says("--steps 1");
    let mut told = format!("--- one step: {code}\n{text}");
    assert_eq!(place.segments(), 4);
    let (code, text) = place.says("--product sms --output json");
    told += &format!("--- the rest: {code}\n{text}");
    assert_eq!(place.segments(), 2);
    let (code, text) = place.says("");
    told += &format!("--- once more: {code}\n{text}");
    told += &place.says("--dry-run").1;
    insta::assert_snapshot!("results", told);
    assert_eq!(place.runtime.block_on(place.world.rows()).len(), 90);
}

#[test]
fn what_fails_is_told_and_its_neighbours_become_one() {
    let place = Place::filled();
    let files = walkdir::WalkDir::new(place.world.root.folder()).into_iter().map(|entry| entry.unwrap().into_path());
    let of_the_first = |path: &std::path::PathBuf| path.display().to_string().contains("bucket=2026-11-24");
    let damaged = files.filter(|path| path.extension().is_some_and(|kind| kind == "parquet")).find(of_the_first);
    std::fs::write(damaged.unwrap(), "damaged").unwrap();
    let (code, text) = place.says("");
    assert_eq!(code, 1);
    assert!(text.starts_with("2 merges: 5 segments became 2"), "{text}");
    assert!(text.ends_with("1 merge failed; the log says why\n"), "{text}");
}

#[test]
fn a_wrong_use_is_told_and_nothing_is_done() {
    let place = Place::filled();
    let (code, text) = place.says("--product voice");
    let mut told = format!("{code} {text}");
    std::fs::write(place.folder.path().join("policy.yaml"), "version: 1\n").unwrap();
    let (code, text) = place.says("");
    told += &format!("{code} {text}");
    std::fs::remove_file(place.folder.path().join("ebbtide.yaml")).unwrap();
    let (code, text) = place.says("");
    told += &format!("{code} {text}");
    insta::assert_snapshot!("wrong_uses", told);
    assert_eq!(place.segments(), 6);
}

use std::path::Path;

use chrono::{DateTime, Utc};

use super::policy::{check, explain};
use super::*;
use ebbtide_policy::ExplainRequest;

mod services;

const SHIPPED: &str = "config/policy.yaml";

fn today() -> DateTime<Utc> {
    "2026-11-24T10:00:00Z".parse().unwrap()
}

fn ask<'a>(
    product: &'a str,
    country: Option<&str>,
    tenant: Option<&'a str>,
    field: Option<&'a str>,
) -> ExplainRequest<'a> {
    ExplainRequest {
        product,
        country: country.map(|country| country.parse().unwrap()),
        tenant,
        field,
        now: today(),
    }
}

fn explained(ask: &ExplainRequest<'_>, output: OutputFormat) -> String {
    let outcome = explain(Path::new(SHIPPED), ask, output);
    assert_eq!((outcome.code, outcome.err.as_str()), (0, ""));
    outcome.out
}

/// Runs the command line as `run` does, without printing. Returns the parser's error and exit code
/// if it refuses.
fn ebbtide(args: &[&str]) -> CommandOutput {
    match Cli::try_parse_from(["ebbtide"].iter().chain(args)) {
        Ok(cli) => cli.command.run(),
        Err(error) => CommandOutput {
            err: error.to_string(),
            code: if error.use_stderr() { 2 } else { 0 },
            ..CommandOutput::default()
        },
    }
}

#[test]
fn check_reports_every_problem_of_every_fixture() {
    let mut names: Vec<_> = std::fs::read_dir("tests/policies")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    names.sort();
    let clean = ["good", "idle", "lost_subjects"];
    for name in names {
        let outcome = check(
            Path::new(&format!("tests/policies/{name}.yaml")),
            OutputFormat::Text,
        );
        assert_eq!(
            outcome.code,
            u8::from(!clean.contains(&name.as_str())),
            "{name}"
        );
        insta::assert_snapshot!(format!("check_{name}"), outcome.out);
    }
}

#[test]
fn the_shipped_policy_is_clean() {
    insta::assert_snapshot!(check(Path::new(SHIPPED), OutputFormat::Text).out, @"config/policy.yaml: no problems");
}

#[test]
fn problems_come_as_json_too() {
    let outcome = check(
        Path::new("tests/policies/unclassified.yaml"),
        OutputFormat::Json,
    );
    assert_eq!(outcome.code, 1);
    insta::assert_snapshot!("check_json", outcome.out);
}

#[test]
fn a_record_without_a_country_of_its_own_is_explained() {
    insta::assert_snapshot!(
        "explain_sms",
        explained(&ask("sms", None, None, None), OutputFormat::Text)
    );
}

#[test]
fn a_country_with_a_minimum_is_explained_field_by_field() {
    insta::assert_snapshot!(
        "explain_voice_it",
        explained(
            &ask("voice", Some("IT"), None, Some("callee")),
            OutputFormat::Text
        )
    );
}

#[test]
fn a_tenants_own_period_is_explained() {
    let ask = ask("cdp", None, Some("tenant-0002"), Some("name"));
    insta::assert_snapshot!("explain_cdp_tenant", explained(&ask, OutputFormat::Text));
}

#[test]
fn an_open_deadline_and_a_fixed_jurisdiction_are_explained() {
    insta::assert_snapshot!(
        "explain_push",
        explained(&ask("push", Some("IT"), None, None), OutputFormat::Text)
    );
}

#[test]
fn an_explanation_comes_as_json_too() {
    insta::assert_snapshot!(
        "explain_json",
        explained(
            &ask("sms", Some("CH"), None, Some("recipient")),
            OutputFormat::Json
        )
    );
}

#[test]
fn a_field_that_is_not_personal_is_said_to_be_so() {
    let text = explained(&ask("sms", None, None, Some("status")), OutputFormat::Text);
    assert!(text.ends_with("\nnot personal: status\n"), "{text}");
}

#[test]
fn an_unknown_name_is_a_wrong_use_with_the_nearest_known_one() {
    let asked = [
        ask("emial", None, None, None),
        ask("numbers", None, None, None),
        ask("sms", None, None, Some("recipent")),
    ];
    let outcomes: Vec<_> = asked
        .iter()
        .map(|ask| explain(Path::new(SHIPPED), ask, OutputFormat::Text))
        .collect();
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.code == 2 && outcome.out.is_empty())
    );
    insta::assert_snapshot!(outcomes.into_iter().map(|outcome| outcome.err).collect::<String>(), @r"
    error: there is no product `emial`; did you mean `email`?
    error: `numbers` has no records of its own, so there is nothing to keep
    error: `sms` has no field `recipent`; did you mean `recipient`?
    ");
}

#[test]
fn explaining_a_broken_policy_says_what_is_wrong_with_it() {
    let outcome = explain(
        Path::new("tests/policies/holes.yaml"),
        &ask("sms", None, None, None),
        OutputFormat::Text,
    );
    assert_eq!(
        outcome,
        check(Path::new("tests/policies/holes.yaml"), OutputFormat::Text)
    );
}

#[test]
fn exit_codes_are_0_for_clean_1_for_problems_and_2_for_a_wrong_use() {
    let code = |args: &[&str]| ebbtide(args).code;
    assert_eq!(code(&["policy", "check", SHIPPED]), 0);
    assert_eq!(code(&["policy", "check", "tests/policies/idle.yaml"]), 0);
    assert_eq!(code(&["policy", "check", "tests/policies/holes.yaml"]), 1);
    assert_eq!(code(&["policy", "check", "tests/policies/no_such.yaml"]), 2);
    assert_eq!(code(&["policy", "check", "--output", "xml"]), 2);
    assert_eq!(code(&["policy", "explain"]), 2);
    assert_eq!(
        code(&[
            "policy",
            "explain",
            "--product",
            "sms",
            "--country",
            "Italy"
        ]),
        2
    );
    assert_eq!(code(&["policy", "schema", "--output", "json"]), 0);
    assert_eq!(code(&["no-such-thing"]), 2);
    assert_eq!(code(&["--help"]), 0);
}

#[test]
fn the_help_is_worth_reading() {
    let mut command = program().term_width(100);
    command.build();
    let policy = command.find_subcommand_mut("policy").unwrap();
    let mut text = policy.render_long_help().to_string();
    for name in ["check", "explain", "schema"] {
        text += &format!(
            "\n--- {name}\n{}",
            policy.find_subcommand_mut(name).unwrap().render_long_help()
        );
    }
    insta::assert_snapshot!("help", text);
}

/// Calls `visit` with the path and the long help of every command below `command`.
fn visit_help(command: &mut clap::Command, path: &str, visit: &mut impl FnMut(&str, String)) {
    visit(path, command.render_long_help().to_string());
    for below in command.get_subcommands_mut() {
        let path = format!("{path} {}", below.get_name());
        visit_help(below, &path, visit);
    }
}

fn whole_help() -> Vec<(String, String)> {
    let mut command = program().term_width(100);
    command.build();
    let mut all = Vec::new();
    visit_help(&mut command, "ebbtide", &mut |path, help| {
        all.push((path.to_owned(), help))
    });
    all
}

#[test]
fn help_of_the_program_lists_every_command_in_one_line() {
    insta::assert_snapshot!("program_help", whole_help().remove(0).1);
}

#[test]
fn help_of_every_command_that_scripts_call_lists_its_exit_codes() {
    let all = whole_help();
    for (path, codes) in [
        ("run", "012"),
        ("sweep", "01234"),
        ("compact", "01234"),
        ("find", "012"),
        ("residue", "012"),
        ("history", "012"),
        ("why", "012"),
        ("clock show", "012"),
        ("clock confirm", "012"),
        ("contract end", "0124"),
        ("consent withdraw", "0124"),
        ("notice confirm", "0124"),
        ("notice reject", "0124"),
        ("hold place", "012"),
        ("hold release", "0124"),
        ("policy activate", "0124"),
        ("partition accept-loss", "0124"),
        ("table audit", "012"),
    ] {
        let (_, help) = all
            .iter()
            .find(|(name, _)| *name == format!("ebbtide {path}"))
            .unwrap();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, listed) = help
            .split_once("Exit code 0: ")
            .unwrap_or_else(|| panic!("{path}: {help}"));
        for code in codes.chars().skip(1) {
            assert!(
                listed.contains(&format!(". {code}: ")),
                "{path}: {code} is not in: {help}"
            );
        }
    }
}

#[test]
fn help_has_no_words_of_the_old_dialect() {
    let words = r"(?i)\b(told|tells?|anew|at once|somebody|nobody|whoever|mend|go on|goes|gone|books|stands?)\b";
    let more = r"(?i)\b(so many|noted?|look into|of whom|fare|behind)\b";
    let dialect = [words, more].map(|words| regex::Regex::new(words).unwrap());
    for (path, help) in whole_help() {
        // The example of a list of values to search for has this name.
        let help = help.replace("gone.txt", "");
        let found: Vec<&str> = dialect
            .iter()
            .flat_map(|words| words.find_iter(&help))
            .map(|found| found.as_str())
            .collect();
        assert!(found.is_empty(), "{path}: {found:?}\n{help}");
    }
}

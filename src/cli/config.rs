//! `ebbtide config`: reports the errors in a configuration, and shows the effective configuration
//! with the environment's overrides.
//!
//! Changes nothing and contacts no server. Must never print a secret.

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{CommandFailure, CommandOutput, OutputFormat, report};
use ebbtide_config::{Config, ConfigInputs};
use ebbtide_services::instance::check_config_text;
use ebbtide_services::problem_report::ProblemReport;

#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Report every error in a configuration file and in the EBBTIDE_ variables that override it.
    ///
    /// Reads the files of its secrets, and the policy: settings are checked against it and against
    /// each other. Creates each Kafka client, so that librdkafka checks its properties. Contacts no
    /// broker, registry or table.
    #[command(after_help = "Example:\n  ebbtide config check config/ebbtide.yaml")]
    Check {
        /// The configuration file.
        #[arg(default_value = "config/ebbtide.yaml")]
        file: PathBuf,
        /// The format of the result.
        #[arg(long, value_enum, default_value_t)]
        output: OutputFormat,
    },
    /// Print the effective configuration: file, EBBTIDE_ variables and defaults; secrets are
    /// hidden.
    #[command(
        after_help = "Example:\n  EBBTIDE_INGEST_MEMORY=1GiB ebbtide config show config/ebbtide.yaml"
    )]
    Show {
        /// The configuration file.
        #[arg(default_value = "config/ebbtide.yaml")]
        file: PathBuf,
    },
}

impl ConfigArgs {
    pub(super) fn run(self) -> CommandOutput {
        match self.command {
            Command::Check { file, output } => check(&file, &ConfigInputs::of(&file), output),
            Command::Show { file } => show(&file, &ConfigInputs::of(&file)),
        }
    }
}

pub(super) fn check(file: &Path, around: &ConfigInputs, output: OutputFormat) -> CommandOutput {
    match std::fs::read_to_string(file) {
        Ok(text) => report::problems(&check_config_text(file, &text, around), output),
        Err(error) => unreadable(file, &error),
    }
}

pub(super) fn show(file: &Path, around: &ConfigInputs) -> CommandOutput {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => return unreadable(file, &error),
    };
    let checked = Config::parse(&file.display().to_string(), &text, around);
    match checked.config {
        Some(config) => CommandOutput::done(config.to_string()),
        None => {
            let report = ProblemReport::new(file, checked.problems);
            report::problems(&report, OutputFormat::Text)
        }
    }
}

fn unreadable(file: &Path, error: &std::io::Error) -> CommandOutput {
    CommandFailure::usage(format!("{} cannot be read: {error}", file.display())).outcome()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the shipped file as `check` and `show` see it, without the environment of the test
    /// process.
    fn shipped() -> (PathBuf, ConfigInputs) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/ebbtide.yaml");
        let folder = PathBuf::from("config");
        (
            file,
            ConfigInputs {
                folder,
                ..ConfigInputs::default()
            },
        )
    }

    #[test]
    fn the_shipped_configuration_has_no_problems() {
        let (file, around) = shipped();
        let outcome = check(&file, &around, OutputFormat::Text);
        assert_eq!(
            (outcome.code, outcome.out),
            (0, format!("{}: no problems\n", file.display()))
        );
    }

    #[test]
    fn a_bad_variable_is_a_problem_in_text_and_in_json() {
        let (file, mut around) = shipped();
        around
            .variables
            .insert("EBBTIDE_LOG_LEVEL".to_owned(), "loud".to_owned());
        let outcome = check(&file, &around, OutputFormat::Text);
        assert_eq!(outcome.code, 1);
        assert!(
            outcome
                .out
                .starts_with("EBBTIDE_LOG_LEVEL:0:0: error: log.level: "),
            "{}",
            outcome.out
        );
        let json: serde_json::Value =
            serde_json::from_str(&check(&file, &around, OutputFormat::Json).out).unwrap();
        assert_eq!(json["errors"], 1);
        assert_eq!(json["problems"][0]["path"], "log.level");
        assert_eq!(show(&file, &around).code, 1);
    }

    #[test]
    fn config_is_shown_with_defaults_and_variables_and_without_secrets() {
        let (file, mut around) = shipped();
        for (name, value) in [
            ("EBBTIDE_INGEST_LANES", "3"),
            ("EBBTIDE_KAFKA_PROPERTIES_SASL_PASSWORD", "hunter2"),
            ("EBBTIDE_SCHEMAS_REGISTRY_URL", "https://registry:8081"),
            ("EBBTIDE_SCHEMAS_REGISTRY_BASIC_USER", "ebbtide"),
            ("EBBTIDE_SCHEMAS_REGISTRY_BASIC_PASSWORD", "hunter2"),
        ] {
            around.variables.insert(name.to_owned(), value.to_owned());
        }
        let outcome = show(&file, &around);
        assert_eq!(outcome.code, 0);
        insta::assert_snapshot!(outcome.out, @r#"
        policy: "config/policy.yaml"
        root: "config/../data"
        store:
          virtual_hosted_style: false
          allow_http: false
          timeout: 30s
          retry_for: 1m
        kafka:
          properties:
            bootstrap.servers: "localhost:9092"
            sasl.password: "[hidden]"
          group: "ebbtide"
          dead_letter_topic: "ebbtide.dead-letters"
          retention_check: refuse
        notices:
          earliest: 2000-01-01
          contract_ahead: 3650d
          max_share: 0.2
          max_share_from: 1000
        schemas:
          registry:
            url: "https://registry:8081/"
            basic: { user: "ebbtide", password: "[hidden]" }
            timeout: 10s
            unknown_schema_wait: 30s
          folder: "config/../schemas"
        ingest:
          lanes: 3
          memory: 512MiB
          commit_bytes: 128MiB
          commit_age: 10s
          future_tolerance: 1h
          shutdown_timeout: 30s
          max_message_bytes: 1MiB
        maintain:
          checkpoint_every: 100
          log_retention: 30d
          orphan_age: 6h
          readers_grace: 1h
          quarantine_retention: 7d
        sweep:
          enabled: true
          every: 1m
          memory: 128MiB
          takeover: 10m
          clock_tolerance: 5m
          clock_settle: 10m
          clock_max_step: 3d
        compact:
          enabled: true
          every: 10m
          late: 1h
          target: 1GiB
          memory: 256MiB
        http:
          listen: "127.0.0.1:9464"
        log:
          format: text
          level: "info,librdkafka=warn,buoyant_kernel=off,deltalake_core=warn"
        "#);
    }

    #[test]
    fn an_unknown_librdkafka_property_is_a_problem_that_quotes_no_secret() {
        let (file, mut around) = shipped();
        around.variables.insert(
            "EBBTIDE_KAFKA_PROPERTIES_SASL_PASSWROD".to_owned(),
            "hunter2".to_owned(),
        );
        let outcome = check(&file, &around, OutputFormat::Text);
        assert_eq!(outcome.code, 1);
        assert!(
            outcome
                .out
                .contains("kafka.properties.sasl.passwrod: No such configuration property"),
            "{}",
            outcome.out
        );
        assert!(!outcome.out.contains("hunter2"), "{}", outcome.out);
    }

    #[test]
    fn a_file_that_is_not_there_is_a_wrong_use() {
        let outcome = check(
            Path::new("nowhere.yaml"),
            &ConfigInputs::default(),
            OutputFormat::Text,
        );
        assert_eq!(outcome.code, 2);
        assert!(
            outcome
                .err
                .starts_with("error: nowhere.yaml cannot be read: "),
            "{}",
            outcome.err
        );
    }
}

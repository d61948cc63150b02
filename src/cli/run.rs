//! `ebbtide run`: reads records from Kafka into the tables until a signal stops it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{CommandOutput, clock};
use crate::api::OperationsPort;
use ebbtide_base::health::Health;
use ebbtide_base::metrics::Metrics;
use ebbtide_base::problem::{Problem, Severity};
use ebbtide_config::Config;
use ebbtide_policy::LoadedPolicy;
use ebbtide_services::instance::{Instance, PolicyInUse, check_settings};
use ebbtide_services::policy_file::read_policy;
use ebbtide_services::telemetry;

/// Read records from Kafka into the tables, and delete expired data, until SIGTERM or Ctrl-C.
///
/// After the signal, the records that were read are committed and the instance leaves the consumer
/// group.
#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// The configuration. The variable EBBTIDE_<SECTION>_<KEY> overrides a key
    #[arg(
        long,
        short,
        value_name = "FILE",
        default_value = "config/ebbtide.yaml"
    )]
    config: PathBuf,
}

impl RunArgs {
    pub(super) fn run(self) -> CommandOutput {
        match self.start() {
            Ok(problems) if problems.is_empty() => CommandOutput::default(),
            Ok(problems) => CommandOutput::failure(
                problems
                    .iter()
                    .map(|problem| format!("{problem}\n"))
                    .collect(),
            ),
            Err(error) => CommandOutput::failure(format!("error: {error:#}\n")),
        }
    }

    /// Runs until a signal comes. Returns the problems that prevented the start, if any.
    fn start(&self) -> anyhow::Result<Vec<Problem>> {
        let checked = Config::load(&self.config);
        let Some(config) = checked.config else {
            return Ok(checked.problems);
        };
        telemetry::init(&config.log)?;
        warn(&checked.problems);
        let checked = read_policy(&config.policy)?;
        let problems = checked.problems.clone();
        let Some(loaded) = checked.loaded() else {
            return Ok(problems);
        };
        warn(&problems);
        let problems = check_settings(
            &config,
            PolicyInUse {
                policy: &loaded.policy,
                text: &loaded.text,
            },
        );
        if problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
        {
            return Ok(problems);
        }
        warn(&problems);
        serve(config, loaded)?;
        Ok(Vec::new())
    }
}

fn warn(problems: &[Problem]) {
    for problem in problems {
        tracing::warn!("{problem}");
    }
}

/// Runs an instance and its operations port until a signal comes.
fn serve(config: Config, LoadedPolicy { policy, text }: LoadedPolicy) -> anyhow::Result<()> {
    let listen = config.http.listen;
    let clock = clock();
    let instance = Instance {
        config: Arc::new(config),
        policy,
        text,
        health: Arc::new(Health::starting(Arc::clone(&clock))),
        metrics: Metrics::new()?,
        clock,
    };
    #[cfg(feature = "failpoints")]
    let _watched = ebbtide_base::failpoint::watch();
    let runtime = super::runtime()?;
    runtime.block_on(async {
        let (ask, asked) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            // An error means that the instance has already ended.
            let _ = ask.send(true);
            // The sender is kept: a channel without its sender would ask for a stop too.
            ask.closed().await;
        });
        // Bound before anything else starts, so that a port in use is reported immediately.
        let port = OperationsPort::bind(listen).await?;
        let mut done = asked.clone();
        tokio::spawn(port.serve(
            Arc::clone(&instance.health),
            instance.metrics.clone(),
            async move {
                // An error means that the sender was dropped, which is a stop too.
                let _ = done.wait_for(|stop| *stop).await;
            },
        ));
        Ok(instance.run(asked).await?)
    })
}

//! The program `ebbtide-demo`: runs synthetic traffic of every product through all of Ebbtide, in
//! one process.
//!
//! Exit codes: 0 every record is accounted for, 1 one is not or the demo failed, 2 wrong use.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the program's output"
)]

use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyModifiers};
use tokio::sync::watch;

use ebbtide_base::clock::{SharedClock, SystemClock};
use ebbtide_config::{LogConfig, LogFormat};
use ebbtide_demo::draw::{draw, draw_months};
use ebbtide_demo::error::DemoError;
use ebbtide_demo::months_snapshot::MonthsSnapshot;
use ebbtide_demo::producer::TrafficRate;
use ebbtide_demo::run::{DemoOptions, run};
use ebbtide_demo::screen::Screen;
use ebbtide_demo::snapshot::DemoSnapshot;
use ebbtide_demo::summary::DemoReport;
use ebbtide_demo::text::line;
use ebbtide_services::telemetry;

/// Run synthetic traffic through all of Ebbtide without other services, and show it in the
/// terminal.
///
/// Shows which records arrive, where they are stored and when they are due. Then two years pass in
/// seconds: expired data is deleted, anonymous cells stay, a number is held and released. At the
/// end every byte is searched for data that must be deleted. The tables are kept.
#[derive(Debug, Parser)]
#[command(name = "ebbtide-demo", version)]
struct DemoArgs {
    /// The time in seconds in which records arrive: the curve of a whole day
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(5..=3600))]
    seconds: u32,
    /// The shortest time in seconds for the two years after that
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=3600))]
    months: u32,
    /// Records per second, on average
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    rate: u32,
    /// The folder for the tables, empty or new. Without it, a new temporary folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Print lines, as without a terminal
    #[arg(long)]
    plain: bool,
    /// The seed of the random traffic: the same seed sends the same people, texts and faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match demo(&DemoArgs::parse()) {
        Ok(summary) => {
            println!("\n{}", summary.text().trim_end_matches('\n'));
            ExitCode::from(u8::from(!summary.holds()))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &DemoArgs) -> anyhow::Result<DemoReport> {
    let plain = args.plain || !stdout().is_terminal();
    // Log lines would damage the picture. The summary has the results.
    let level = if plain { "error,librdkafka=off" } else { "off" };
    telemetry::init(&LogConfig {
        format: LogFormat::Text,
        level: level.to_owned(),
    })?;
    let folder = folder(args.keep.as_ref())?;
    let clock: SharedClock = Arc::new(SystemClock::new());
    let length = Duration::from_secs(args.seconds.into());
    let months = Duration::from_secs(args.months.into());
    let options = DemoOptions {
        pace: TrafficRate {
            rate: args.rate,
            length,
        },
        months,
        folder: folder.clone(),
        seed: args.seed,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        let stop = on_ctrl_c();
        if plain {
            writeln!(
                stdout(),
                "{} records/s for {} s; the tables go to {}",
                args.rate,
                args.seconds,
                folder.display()
            )
            .map_err(DemoError::Screen)?;
            run(options, clock.clone(), &mut LineScreen { clock }, stop).await
        } else {
            let terminal = ratatui::try_init().map_err(DemoError::Screen)?;
            let mut picture = TerminalScreen {
                terminal,
                clock: clock.clone(),
                folder: folder.display().to_string(),
            };
            let done = run(options, clock, &mut picture, stop).await;
            ratatui::try_restore().map_err(DemoError::Screen)?;
            done
        }
    });
    // Does not wait for a read of a table that is still running.
    runtime.shutdown_background();
    Ok(done?)
}

/// Creates the folder and returns its full path: the output has lines to copy that contain the
/// tables' paths. Errors if the folder is not empty.
fn folder(keep: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    let folder = match keep {
        Some(folder) => folder.clone(),
        None => std::env::temp_dir().join(format!(
            "ebbtide-demo-{}",
            &uuid::Uuid::new_v4().to_string()[..8]
        )),
    };
    let shown = folder.display().to_string();
    std::fs::create_dir_all(&folder).with_context(|| format!("{shown} cannot be made"))?;
    anyhow::ensure!(
        std::fs::read_dir(&folder)?.next().is_none(),
        "{shown} is not empty: name a new folder"
    );
    folder
        .canonicalize()
        .with_context(|| format!("{shown} cannot be found"))
}

/// Returns a receiver that becomes true at the first Ctrl-C or SIGTERM.
fn on_ctrl_c() -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let mut terminate =
            match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
                Ok(terminate) => terminate,
                Err(_) => return,
            };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        // An error means that the demo has already ended.
        let _ = sender.send(true);
        sender.closed().await;
    });
    receiver
}

/// A screen that prints a line every few seconds, for a pipe or a log.
struct LineScreen {
    clock: SharedClock,
}

impl Screen for LineScreen {
    fn every(&self) -> Duration {
        Duration::from_secs(3)
    }

    fn show(&mut self, board: &DemoSnapshot) -> std::io::Result<bool> {
        writeln!(stdout(), "{}", line(board, self.clock.now()))?;
        Ok(false)
    }

    fn pass(&mut self, snapshot: &MonthsSnapshot) -> std::io::Result<bool> {
        writeln!(stdout(), "{}", snapshot.line())?;
        Ok(false)
    }

    fn tell(&mut self, event: &str) -> std::io::Result<()> {
        writeln!(stdout(), "{event}")
    }
}

/// A screen that uses the whole terminal.
struct TerminalScreen {
    terminal: DefaultTerminal,
    clock: SharedClock,
    folder: String,
}

impl Screen for TerminalScreen {
    fn every(&self) -> Duration {
        Duration::from_millis(250)
    }

    fn show(&mut self, board: &DemoSnapshot) -> std::io::Result<bool> {
        let now = self.clock.now();
        self.terminal
            .draw(|frame| draw(frame, board, now, &self.folder))?;
        asked_to_end()
    }

    fn pass(&mut self, snapshot: &MonthsSnapshot) -> std::io::Result<bool> {
        self.terminal
            .draw(|frame| draw_months(frame, snapshot, &self.folder))?;
        asked_to_end()
    }

    fn tell(&mut self, _: &str) -> std::io::Result<()> {
        // The next picture shows the event.
        Ok(())
    }
}

/// Returns true if a pressed key asks to end. The terminal is in raw mode, where Ctrl-C is a key
/// like any other.
fn asked_to_end() -> std::io::Result<bool> {
    let mut ended = false;
    while event::poll(Duration::ZERO)? {
        ended |= matches!(event::read()?, Event::Key(key) if ends(key));
    }
    Ok(ended)
}

fn ends(key: KeyEvent) -> bool {
    match key.code {
        KeyCode::Char('q') | KeyCode::Esc => true,
        KeyCode::Char('c') => key.modifiers.contains(KeyModifiers::CONTROL),
        _ => false,
    }
}

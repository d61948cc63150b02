//! Fuzzes the decoder against apache-avro with random schemas, random bodies and damaged bodies,
//! for a given time.
//!
//! The seed alone reproduces each case. Exits with 1 on a finding.
//! Run it with `cargo test --release -p ebbtide-policy --test fuzz -- --seconds 60`.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "the fuzzer runs for a time and prints what it found"
)] // A program for the terminal, run by the clock.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ebbtide_policy::testing::differential;

const USAGE: &str = "usage: fuzz [--seconds N] [--seed S] [--cases N]";
const BODIES: usize = 48;
const MOST_FINDINGS: u64 = 10;

struct Limits {
    time: Duration,
    cases: u64,
    seed: u64,
}

fn limits(args: &[String]) -> Option<Limits> {
    let mut limits = Limits {
        time: Duration::from_secs(60),
        cases: u64::MAX,
        seed: 0,
    };
    for pair in args.chunks(2) {
        let [name, value] = pair else { return None };
        let value = value.parse().ok()?;
        match name.as_str() {
            "--seconds" => limits.time = Duration::from_secs(value),
            "--cases" => limits.cases = value,
            "--seed" => limits.seed = value,
            _ => return None,
        }
    }
    Some(limits)
}

fn main() -> ExitCode {
    let args = std::env::args().skip(1).collect::<Vec<_>>();
    let Some(limits) = limits(&args) else {
        println!("{USAGE}");
        return ExitCode::from(2);
    };
    let start = Instant::now();
    let (mut cases, mut bodies, mut accepted, mut findings) = (0, 0, 0, 0);
    while cases < limits.cases && start.elapsed() < limits.time && findings < MOST_FINDINGS {
        let seed = limits.seed.wrapping_add(cases);
        match catch_unwind(|| differential::case(seed, BODIES)) {
            Ok(Ok(ran)) => {
                bodies += ran.bodies;
                accepted += ran.accepted;
            }
            Ok(Err(finding)) => {
                findings += 1;
                println!("finding: {finding}\n");
            }
            Err(_) => {
                findings += 1;
                println!("finding: seed {seed} panics\n");
            }
        }
        cases += 1;
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = bodies as f64 / seconds.max(0.001);
    println!(
        "{cases} cases from seed {}, {bodies} bodies ({accepted} accepted) in {seconds:.0} s: {rate:.0} a second",
        limits.seed
    );
    println!("{findings} findings");
    ExitCode::from(u8::from(findings > 0))
}

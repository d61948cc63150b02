//! The program itself in a separate process, from its start until its metrics show that every
//! record is durably committed.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::broker::free_port;
use crate::fill::Filled;

/// The measurements of one run.
pub struct Run {
    /// The time from the first assignment to the last record durably committed, as the metrics show
    /// it.
    pub wall: Duration,
    /// The CPU time of the process from its start to the last record durably committed.
    pub cpu: Duration,
    /// The largest resident size in KiB.
    pub peak_kib: u64,
    /// The number of records that a sweep ended until then.
    pub ended: f64,
}

/// Runs an instance over all filled records, with a consumer group of its own, on the tables under
/// `root`. Deletes these tables at the end.
pub fn run(root: &Path, bootstrap: &str, filled: &Filled) -> Run {
    let port = free_port();
    let config = root.with_extension("yaml");
    let group = root.file_name().expect("a folder's name").to_string_lossy();
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policy.yaml");
    let text = format!(
        "policy: {}\nroot: {}\nkafka:\n  bootstrap_servers: {bootstrap}\n  group: {group}\n  \
         dead_letter_topic: dead\n  retention_check: warn\ningest:\n  commit_age: 1s\nhttp:\n  listen: 127.0.0.1:{port}\nlog:\n  level: error\n",
        policy.display(),
        root.display()
    );
    std::fs::write(&config, text).expect("the instance's configuration");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ebbtide"))
        .args(["run", "--config"])
        .arg(&config)
        .stdout(Stdio::null())
        .spawn()
        .expect("the program");
    let mut started = None;
    let (wall, ended) = loop {
        std::thread::sleep(Duration::from_millis(50));
        assert!(
            child.try_wait().expect("a child").is_none(),
            "the instance ended early"
        );
        let scrape = scrape(port);
        // The assignment comes before the first message is taken, so the time includes all
        // messages.
        if value(&scrape, "ebbtide_rebalances_total", "outcome=\"assigned\"") > 0.0 {
            started.get_or_insert_with(Instant::now);
        }
        if passed(&scrape) as u64 >= filled.records {
            let wall = started.map_or(Duration::ZERO, |started: Instant| started.elapsed());
            break (wall, value(&scrape, "ebbtide_ended_records_total", ""));
        }
    };
    let (cpu, peak_kib) = (cpu(child.id()), peak(child.id()));
    stop(&mut child);
    std::fs::remove_dir_all(root).expect("the run's own tables");
    Run {
        wall,
        cpu,
        peak_kib,
        ended,
    }
}

fn stop(child: &mut Child) {
    let asked = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .expect("kill");
    assert!(asked.success());
    let ended = child.wait().expect("a child");
    assert!(
        ended.success(),
        "the instance did not stop cleanly: {ended}"
    );
}

/// Returns the number of records that a commit has covered. All of them are good, so all are
/// stored.
fn passed(scrape: &str) -> f64 {
    let all = value(scrape, "ebbtide_records_total", "");
    let stored = value(scrape, "ebbtide_records_total", "outcome=\"stored\"");
    assert!(
        all == stored,
        "{} of {all} records were not stored",
        all - stored
    );
    all
}

/// Returns the sum of a metric's series that carry `label`.
fn value(scrape: &str, name: &str, label: &str) -> f64 {
    scrape
        .lines()
        .filter(|line| line.starts_with(name) && line.contains(label))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

fn scrape(port: u16) -> String {
    let mut answer = String::new();
    if let Ok(mut socket) = TcpStream::connect(("127.0.0.1", port)) {
        let _ =
            socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n");
        let _ = socket.read_to_string(&mut answer);
    }
    answer
}

/// Returns the user and system time of all threads of a process.
pub fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .expect("fields")
        .split_whitespace()
        .collect();
    let ticks: u64 =
        fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    // Linux counts in hundredths of a second on every architecture that this runs on.
    Duration::from_millis(ticks * 10)
}

fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("a peak");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("KiB")
}

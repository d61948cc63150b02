//! A real Kafka broker for the measurement, from the cache that `tools/servers` fills, with the
//! default settings of the JIT.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running broker. It is stopped when this value is dropped.
pub struct Broker {
    child: Child,
    port: u16,
}

impl Broker {
    /// Starts a broker with its data under `folder` and waits until it listens.
    pub fn start(folder: &Path) -> Self {
        let jars = format!("{}/libs/*", tool("servers", &["kafka"]));
        let java = tool("java", &["17"]);
        let (port, controller) = (free_port(), free_port());
        let properties = folder.join("server.properties");
        let text = format!(
            "process.roles=broker,controller\nnode.id=1\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.listener.names=CONTROLLER\n\
             listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\nlog.dirs={}\n\
             offsets.topic.replication.factor=1\noffsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             share.coordinator.state.topic.replication.factor=1\nshare.coordinator.state.topic.min.isr=1\n\
             group.initial.rebalance.delay.ms=0\nauto.create.topics.enable=false\n",
            folder.join("kafka").display()
        );
        std::fs::write(&properties, text).expect("the broker's configuration");
        let formatted = Command::new(&java)
            .args([
                "-cp",
                &jars,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                "MkU3OEVBNTcwNTJENDM2Qg",
                "-c",
            ])
            .arg(&properties)
            .stdout(Stdio::null())
            .status()
            .expect("java");
        assert!(
            formatted.success(),
            "the broker's storage could not be formatted"
        );
        let log4j = repo().join("tests/servers/log4j2.properties");
        let child = Command::new(&java)
            .args([
                "-Xmx1g",
                &format!("-Dlog4j2.configurationFile={}", log4j.display()),
                "-cp",
                &jars,
                "kafka.Kafka",
            ])
            .arg(&properties)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("java");
        let broker = Self { child, port };
        let until = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "the broker does not listen");
            std::thread::sleep(Duration::from_millis(100));
        }
        broker
    }

    /// Returns the address of the broker: `host:port`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Returns the CPU time that the broker has used.
    pub fn cpu(&self) -> Duration {
        crate::instance::cpu(self.child.id())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn repo() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn tool(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(repo().join("tools").join(name))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .expect("a tool of the repository");
    assert!(output.status.success(), "tools/{name} failed");
    String::from_utf8(output.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

/// Returns a port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a free port")
        .port()
}

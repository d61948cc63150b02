use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::Parser;

use super::PartitionArgs;
use crate::cli::CommandOutput;
use crate::cli::testing::CommandFixture;
use ebbtide_base::clock::{ManualClock, SharedClock};

#[derive(Parser)]
#[command(name = "ebbtide partition")]
struct TestCli {
    #[command(flatten)]
    args: PartitionArgs,
}

fn answer(line: &[&str], config: &Path, at: DateTime<Utc>) -> CommandOutput {
    let words = ["partition"]
        .iter()
        .chain(line)
        .map(|word| (*word).to_owned());
    let words = words.chain(["--config".to_owned(), config.display().to_string()]);
    let clock: SharedClock = Arc::new(ManualClock::at(at));
    TestCli::parse_from(words).args.outcome(&clock)
}

#[test]
fn refused_kafka_property_is_a_wrong_use() {
    let fixture = CommandFixture::new("remove", "", answer);
    let root = fixture.world.root.folder().display().to_string();
    fixture.write(
        "ebbtide.yaml",
        &format!(
            "policy: policy.yaml\nroot: {root}\nkafka: {{ properties: {{ bootstrap.servers: 'a:1', no.such.thing: 1 }} }}\n"
        ),
    );
    for line in ["list", "accept-loss --topic traffic.sms --partition 0"] {
        let (code, text) = fixture.says(line);
        assert!(text.contains("no.such.thing"), "{line}: {text}");
        assert_eq!(code, 2, "{line}: {text}");
    }
}

//! The properties of the Kafka client library that an operator may set, and the problems of the
//! others.
//!
//! Ebbtide's guarantees depend on some properties; others contradict each other or the group's
//! protocol. Each is refused with its place and a fix before any client is created. The values may
//! be secrets: no text here quotes one.

use std::collections::BTreeMap;

use super::property::Property;

/// The default session time-out of the lanes' consumers, in milliseconds.
pub const SESSION_TIMEOUT_MS: u64 = 30_000;
/// The minimum of `receive.message.max.bytes`: a fetch of 1 MiB with its framing must fit.
const LEAST_RECEIVE_BYTES: u64 = 2 << 20;
/// The minimum of `queue.buffering.max.kbytes`: the largest record with its headers must fit
/// (`ingest.max_message_bytes` is 256 MiB at most).
const LEAST_QUEUE_KBYTES: u64 = 512 << 10;
/// The longest interval between two statistics of the client: lag and the state of the brokers are
/// read from them.
const MOST_STATISTICS_MS: u64 = 60_000;

/// A property with the values that Ebbtide accepts. If there are none, the property must not be
/// set.
struct FixedProperty {
    name: &'static str,
    allowed: &'static [&'static str],
    what: &'static str,
    fix: &'static str,
}

const NO: &[&str] = &["false", "f", "0"];
const YES: &[&str] = &["true", "t", "1"];

const fn never(name: &'static str, what: &'static str, fix: &'static str) -> FixedProperty {
    FixedProperty {
        name,
        allowed: &[],
        what,
        fix,
    }
}

const OFFSETS: &str = "Ebbtide commits offsets with the data";
const LEAVE_OUT: &str = "leave it out";
const MOCK: &str = "it would replace the brokers by a simulation inside the process";
const OLD_BROKERS: &str = "without it records of aborted transactions would be stored, and dead letters lose their headers";

const FIXED: [FixedProperty; 31] = [
    never(
        "group.id",
        "Ebbtide sets `group.id`",
        "write the group as `kafka.group`",
    ),
    never("enable.auto.commit", OFFSETS, LEAVE_OUT),
    never("auto.commit.interval.ms", OFFSETS, LEAVE_OUT),
    never("enable.auto.offset.store", OFFSETS, LEAVE_OUT),
    never("offset.store.method", OFFSETS, LEAVE_OUT),
    never("offset.store.path", OFFSETS, LEAVE_OUT),
    never("offset.store.sync.interval.ms", OFFSETS, LEAVE_OUT),
    never(
        "auto.offset.reset",
        "a partition starts where its table ends, and nothing may be skipped",
        LEAVE_OUT,
    ),
    never(
        "group.protocol.type",
        "the group has no members but consumers",
        LEAVE_OUT,
    ),
    never(
        "enable.idempotence",
        "the dead letters' producer is always idempotent",
        LEAVE_OUT,
    ),
    never(
        "transactional.id",
        "exactly once comes from the table's own commit, not from a Kafka transaction",
        LEAVE_OUT,
    ),
    never(
        "transaction.timeout.ms",
        "Ebbtide uses no Kafka transaction",
        LEAVE_OUT,
    ),
    never(
        "message.timeout.ms",
        "Ebbtide decides how long a dead letter waits before it is sent again",
        LEAVE_OUT,
    ),
    never(
        "message.max.bytes",
        "Ebbtide sets it for the dead letters' producer, the only client that sends records",
        "leave it out; `ingest.max_message_bytes` and the topic's `max.message.bytes` limit a record",
    ),
    never(
        "queuing.strategy",
        "dead letters are sent in their order",
        LEAVE_OUT,
    ),
    never(
        "topic.blacklist",
        "a source topic on it would never be read, and nothing would say so",
        LEAVE_OUT,
    ),
    never(
        "log_level",
        "Ebbtide decides what the client logs",
        "set `log.level`, with librdkafka=debug",
    ),
    never(
        "internal.termination.signal",
        "the client would take the signal that stops this process",
        LEAVE_OUT,
    ),
    never("enabled_events", "Ebbtide sets it", LEAVE_OUT),
    never(
        "broker.version.fallback",
        OLD_BROKERS,
        "leave it out; Kafka 0.11 is the oldest broker that works",
    ),
    never(
        "api.version.fallback.ms",
        OLD_BROKERS,
        "leave it out; Kafka 0.11 is the oldest broker that works",
    ),
    never("test.mock.num.brokers", MOCK, LEAVE_OUT),
    never("test.mock.broker.rtt", MOCK, LEAVE_OUT),
    FixedProperty {
        name: "api.version.request",
        allowed: YES,
        what: OLD_BROKERS,
        fix: LEAVE_OUT,
    },
    FixedProperty {
        name: "isolation.level",
        allowed: &["read_committed"],
        what: "records of aborted transactions would be stored",
        fix: "write read_committed, or leave it out",
    },
    FixedProperty {
        name: "enable.partition.eof",
        allowed: NO,
        what: "the client would report the end of a partition as an error",
        fix: LEAVE_OUT,
    },
    FixedProperty {
        name: "acks",
        allowed: &["all", "-1"],
        what: "a dead letter counts as delivered only when all replicas have it",
        fix: "write all, or leave it out",
    },
    FixedProperty {
        name: "delivery.report.only.error",
        allowed: NO,
        what: "a delivered dead letter would be waited for without end",
        fix: LEAVE_OUT,
    },
    FixedProperty {
        name: "enable.gapless.guarantee",
        allowed: NO,
        what: "one dead letter that its topic refuses would end the producer for good",
        fix: LEAVE_OUT,
    },
    FixedProperty {
        name: "allow.auto.create.topics",
        allowed: NO,
        what: "a missing topic would be created with the default retention of the brokers",
        fix: "leave it out, and create the topics with their retention",
    },
    FixedProperty {
        name: "log.queue",
        allowed: NO,
        what: "the client's log would be lost",
        fix: LEAVE_OUT,
    },
];

/// The problem of a property, and the fix: one sentence each, without a full stop.
pub(super) type PropertyProblem = (String, String);

/// Checks the property `name` among all that are `given`, by their canonical names.
pub(super) fn refusal(name: &str, given: &BTreeMap<String, Property>) -> Option<PropertyProblem> {
    let value = given.get(name)?.expose();
    if let Some(fixed) = FIXED.iter().find(|fixed| fixed.name == name) {
        let allowed = fixed
            .allowed
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(value));
        return (!allowed).then(|| (fixed.what.to_owned(), fixed.fix.to_owned()));
    }
    let of_protocol = if uses_consumer_protocol(given) {
        of_consumer_protocol(name)
    } else {
        of_classic_protocol(name, given)
    };
    of_protocol
        .or_else(|| of_texts(name, value))
        .or_else(|| of_numbers(name, number(given, name)?))
}

/// Returns true if the properties choose the group protocol of Kafka 4 (KIP-848).
#[must_use]
pub fn uses_consumer_protocol(given: &BTreeMap<String, Property>) -> bool {
    given
        .get("group.protocol")
        .is_some_and(|protocol| protocol.expose().eq_ignore_ascii_case("consumer"))
}

fn of_consumer_protocol(name: &str) -> Option<PropertyProblem> {
    let fix = match name {
        "session.timeout.ms" => {
            "leave it out; the brokers decide (group.consumer.session.timeout.ms)"
        }
        "heartbeat.interval.ms" => {
            "leave it out; the brokers decide (group.consumer.heartbeat.interval.ms)"
        }
        "partition.assignment.strategy" => {
            "leave it out; `group.remote.assignor` chooses one of the brokers' assignors"
        }
        _ => return None,
    };
    Some((
        "it is of the classic group protocol and does not go with `group.protocol: consumer`"
            .to_owned(),
        fix.to_owned(),
    ))
}

fn of_classic_protocol(name: &str, given: &BTreeMap<String, Property>) -> Option<PropertyProblem> {
    let session = number(given, "session.timeout.ms").unwrap_or(SESSION_TIMEOUT_MS);
    match name {
        "group.remote.assignor" => Some((
            "only `group.protocol: consumer` uses it".to_owned(),
            "set that too, or write `partition.assignment.strategy`".to_owned(),
        )),
        "heartbeat.interval.ms" if number(given, name)? >= session => Some((
            format!(
                "the group would expel a member between two heartbeats: session.timeout.ms is {session}"
            ),
            format!("write {} or less", (session / 3).max(1)),
        )),
        "session.timeout.ms"
            if number(given, "heartbeat.interval.ms").unwrap_or(3000) >= session =>
        {
            let heartbeat = number(given, "heartbeat.interval.ms").unwrap_or(3000);
            Some((
                format!(
                    "the group would expel a member between two heartbeats: heartbeat.interval.ms is {heartbeat}"
                ),
                format!("write {} or more", heartbeat.saturating_mul(3)),
            ))
        }
        "max.poll.interval.ms" if number(given, name)? < session => Some((
            format!("it is shorter than session.timeout.ms, which is {session}"),
            format!("write {session} or more, or a shorter session.timeout.ms"),
        )),
        _ => None,
    }
}

fn of_texts(name: &str, value: &str) -> Option<PropertyProblem> {
    match name {
        "bootstrap.servers" => {
            let wrong = value
                .split(',')
                .position(|server| !is_server(server.trim()))?;
            Some((
                format!("server {} of the list is not a host and a port", wrong + 1),
                "write HOST:PORT,HOST:PORT".to_owned(),
            ))
        }
        "group.instance.id" if !is_instance_id(value) => Some((
            "the brokers refuse it as an id".to_owned(),
            format!("write letters, digits, `.`, `_` and `-`, {MOST_INSTANCE_ID} at most"),
        )),
        _ => None,
    }
}

/// Returns true for `HOST`, `HOST:PORT` and `[IPV6]:PORT`, each with or without a leading
/// `PROTOCOL://`.
fn is_server(text: &str) -> bool {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
    let is_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
    !host.is_empty()
        && !is_bare_ipv6
        && is_port
        && !host.contains(|c: char| c.is_whitespace() || c == '/')
}

/// Kafka allows 249; a suffix for each member is appended.
const MOST_INSTANCE_ID: usize = 230;

fn is_instance_id(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.len() <= MOST_INSTANCE_ID && text.chars().all(legal)
}

fn of_numbers(name: &str, value: u64) -> Option<PropertyProblem> {
    match name {
        "statistics.interval.ms" if !(100..=MOST_STATISTICS_MS).contains(&value) => Some((
            "lag and the state of the brokers are read from the client's statistics".to_owned(),
            format!("write a value between 100 and {MOST_STATISTICS_MS}, or leave it out (2000)"),
        )),
        "receive.message.max.bytes" if value < LEAST_RECEIVE_BYTES => Some((
            "an answer with the largest fetch does not fit".to_owned(),
            format!("write {LEAST_RECEIVE_BYTES} or more"),
        )),
        "queue.buffering.max.kbytes" if value < LEAST_QUEUE_KBYTES => Some((
            "a dead letter that is larger would never be sent".to_owned(),
            format!("write {LEAST_QUEUE_KBYTES} or more, or leave it out"),
        )),
        "retries" if value == 0 => Some((
            "an idempotent producer needs retries".to_owned(),
            "write 1 or more, or leave it out".to_owned(),
        )),
        "max.in.flight.requests.per.connection" if value > 5 => Some((
            "an idempotent producer keeps the order of at most 5 requests".to_owned(),
            "write 5 or less, or leave it out".to_owned(),
        )),
        "linger.ms" if value >= 10_000 => Some((
            "a dead letter that is not acknowledged after 10 s counts as not delivered".to_owned(),
            "write less than 10000, or leave it out".to_owned(),
        )),
        _ => None,
    }
}

/// Returns a property's whole number; any other value is left to the library to refuse.
fn number(given: &BTreeMap<String, Property>, name: &str) -> Option<u64> {
    given.get(name)?.expose().trim().parse().ok()
}

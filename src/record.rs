//! What can be wrong with one record, and the code under which its dead letter says so.
//!
//! Promises that a fault names a kind and never holds a byte of the record.

/// Why one record goes to the dead letters. Its neighbours are never touched by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Fault {
    /// The message has no value.
    #[error("the message has no value (a tombstone)")]
    Tombstone,
    /// The value has no bytes.
    #[error("the message is empty")]
    Empty,
    /// The value begins with neither a Confluent nor a single-object header.
    #[error("neither a Confluent frame nor Avro single-object encoding")]
    BadMagic,
    /// The frame's schema id or fingerprint is known to nobody.
    #[error("the schema it names, or one that this refers to, is unknown")]
    UnknownSchema,
    /// The schema it names cannot be read as the product's schema.
    #[error("the schema it names does not resolve to the product's schema")]
    IncompatibleSchema,
    /// The body ends inside a value.
    #[error("the body ends too early")]
    Truncated,
    /// Bytes are left over behind the body.
    #[error("bytes are left over behind the record")]
    TrailingBytes,
    /// A varint, length, block count, branch, enum index, boolean or number is impossible.
    #[error("the body is not of its schema")]
    BadBody,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    BadUtf8,
    /// The value is larger than the configured most.
    #[error("the message is larger than allowed")]
    TooLarge,
    /// The policy's event time is null.
    #[error("the event time is missing")]
    MissingEventTime,
    /// The event time is so far from now that no calendar holds it.
    #[error("the event time is absurd")]
    AbsurdEventTime,
    /// The event time lies further in the future than tolerated.
    #[error("the event time lies too far in the future")]
    FutureEventTime,
    /// A message of a topic of notices is none.
    #[error("not a notice of the documented form")]
    BadNotice,
    /// A notice that may not be applied: a contract that would end later without a reason, a withdrawal in the future,
    /// an implausible date.
    #[error("a notice that may not be taken as it is")]
    RefusedNotice,
}

impl Fault {
    /// Those of records, for tables of counts and for documentation.
    pub const ALL: [Fault; 13] = [
        Fault::Tombstone,
        Fault::Empty,
        Fault::BadMagic,
        Fault::UnknownSchema,
        Fault::IncompatibleSchema,
        Fault::Truncated,
        Fault::TrailingBytes,
        Fault::BadBody,
        Fault::BadUtf8,
        Fault::TooLarge,
        Fault::MissingEventTime,
        Fault::AbsurdEventTime,
        Fault::FutureEventTime,
    ];

    /// The code in the dead letter's header and in the metric's label.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Fault::Tombstone => "tombstone",
            Fault::Empty => "empty",
            Fault::BadMagic => "bad_magic",
            Fault::UnknownSchema => "unknown_schema",
            Fault::IncompatibleSchema => "incompatible_schema",
            Fault::Truncated => "truncated",
            Fault::TrailingBytes => "trailing_bytes",
            Fault::BadBody => "bad_body",
            Fault::BadUtf8 => "bad_utf8",
            Fault::TooLarge => "too_large",
            Fault::MissingEventTime => "missing_event_time",
            Fault::AbsurdEventTime => "absurd_event_time",
            Fault::FutureEventTime => "future_event_time",
            Fault::BadNotice => "bad_notice",
            Fault::RefusedNotice => "refused_notice",
        }
    }
}

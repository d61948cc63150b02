//! The faults of a record, each with the code that its dead letter carries.
//!
//! A fault names a kind and never contains a byte of the record.

/// The reason why one record is sent to the dead letters. Other records are not affected.
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
    /// No source knows the frame's schema id or fingerprint.
    #[error("the schema it names, or one that this refers to, is unknown")]
    UnknownSchema,
    /// The schema it names cannot be read as the product's schema.
    #[error("the schema it names does not resolve to the product's schema")]
    IncompatibleSchema,
    /// The body ends inside a value.
    #[error("the body ends too early")]
    Truncated,
    /// Bytes remain after the body.
    #[error("bytes are left over after the record")]
    TrailingBytes,
    /// A varint, length, block count, branch, enum index, boolean or number is impossible.
    #[error("the body is not of its schema")]
    BadBody,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    BadUtf8,
    /// The value is larger than the configured maximum.
    #[error("the message is larger than allowed")]
    TooLarge,
    /// The policy's event time is null.
    #[error("the event time is missing")]
    MissingEventTime,
    /// The event time is so far from now that no calendar contains it.
    #[error("the event time is absurd")]
    AbsurdEventTime,
    /// The event time is further in the future than tolerated.
    #[error("the event time is too far in the future")]
    FutureEventTime,
    /// A message of a notice topic is not a notice.
    #[error("not a notice of the documented form")]
    BadNotice,
    /// A notice that may not be applied: a contract that would end later without a reason, a
    /// withdrawal in the future, an implausible date.
    #[error("a notice that may not be taken as it is")]
    RefusedNotice,
}

impl Fault {
    /// The faults of records, for tables of counts and for documentation.
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

    /// Returns the code in the dead letter's header and in the metric's label.
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

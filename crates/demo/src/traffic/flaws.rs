//! Corrupts good messages, and returns the fault that a reader must then find. Must never change
//! another message.

use super::chance::SplitMix64;
use ebbtide_base::record::Fault;

/// The faults that occur in the traffic.
pub(super) const FLAWS: [Fault; 9] = [
    Fault::Tombstone,
    Fault::Empty,
    Fault::BadMagic,
    Fault::UnknownSchema,
    Fault::Truncated,
    Fault::TrailingBytes,
    Fault::BadUtf8,
    Fault::AbsurdEventTime,
    Fault::FutureEventTime,
];

/// Returns the event time of a record of `at`, both in milliseconds since 1970. It differs from
/// `at` if `flaw` is a fault of the event time.
pub(super) fn event_time(flaw: Option<Fault>, at: i64) -> i64 {
    match flaw {
        Some(Fault::AbsurdEventTime) => 0,
        Some(Fault::FutureEventTime) => at + 400 * 86_400_000,
        _ => at,
    }
}

/// A message that was just written to the end of a buffer.
pub(super) struct WrittenMessage {
    /// The start of the message in the buffer.
    pub(super) start: usize,
    /// The length in bytes of the frame before the body.
    pub(super) header: usize,
    /// The end of the tenant's text in the buffer, if there is one.
    pub(super) tenant_end: Option<usize>,
}

/// Corrupts the last message in the buffer. Returns the fault that it has now.
pub(super) fn spoil(
    flaw: Fault,
    message: &WrittenMessage,
    to: &mut Vec<u8>,
    chance: &mut SplitMix64,
) -> Fault {
    let WrittenMessage {
        start,
        header,
        tenant_end,
    } = *message;
    match (flaw, tenant_end) {
        (Fault::Tombstone | Fault::Empty, _) => to.truncate(start),
        (Fault::BadMagic, _) => to[start] = b'{',
        // An id or a fingerprint that no registry has assigned.
        (Fault::UnknownSchema, _) => to[start + header - 4..start + header].fill(0x7f),
        (Fault::TrailingBytes, _) => to.extend_from_slice(&[0, 2, 4]),
        (Fault::BadUtf8, Some(end)) => to[end - 1] = 0xff,
        (Fault::Truncated | Fault::BadUtf8, _) => {
            let body = (to.len() - start - header) as u64;
            to.truncate(to.len() - 1 - chance.below(body.min(9) - 1) as usize);
            return Fault::Truncated;
        }
        _ => {}
    }
    flaw
}

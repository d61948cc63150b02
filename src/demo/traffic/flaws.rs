//! How a good message is spoilt, and the fault that a reader must then find. Must never touch a neighbour.

use super::chance::Chance;
use crate::record::Fault;

/// The faults that the traffic shows.
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

/// The event time that shows a fault of time, in milliseconds since 1970, for a record of `at`.
pub(super) fn event_time(flaw: Option<Fault>, at: i64) -> i64 {
    match flaw {
        Some(Fault::AbsurdEventTime) => 0,
        Some(Fault::FutureEventTime) => at + 400 * 86_400_000,
        _ => at,
    }
}

/// A message that has just been written to the end of a buffer.
pub(super) struct Written {
    /// Where it begins in the buffer.
    pub(super) start: usize,
    /// How many bytes of frame stand before its body.
    pub(super) header: usize,
    /// Where the text of its tenant ends in the buffer, if it has one.
    pub(super) tenant_end: Option<usize>,
}

/// Spoils a message, which is the last in the buffer, and says which fault it now has.
pub(super) fn spoil(flaw: Fault, message: &Written, to: &mut Vec<u8>, chance: &mut Chance) -> Fault {
    let Written { start, header, tenant_end } = *message;
    match (flaw, tenant_end) {
        (Fault::Tombstone | Fault::Empty, _) => to.truncate(start),
        (Fault::BadMagic, _) => to[start] = b'{',
        // An id or a fingerprint that no registry gave.
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

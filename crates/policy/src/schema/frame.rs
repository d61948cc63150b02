//! The header before a message's body, which identifies the writer schema.
//!
//! Only the header is examined; the body is not copied.

use ebbtide_base::record::Fault;

/// A message's value, split into the identifier of its writer schema and its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// The Confluent format: a zero byte, then the schema's id in the registry.
    Confluent {
        /// The schema's id in the registry.
        id: u32,
        /// The Avro body.
        body: &'a [u8],
    },
    /// Avro's single-object encoding: `C3 01`, then the fingerprint.
    SingleObject {
        /// The CRC-64-AVRO of the schema's parsing canonical form.
        fingerprint: u64,
        /// The Avro body.
        body: &'a [u8],
    },
}

/// Reads the header of a message's value. An absent value is a tombstone; a header that ends early
/// is truncated.
pub fn frame(payload: Option<&[u8]>) -> Result<Frame<'_>, Fault> {
    let payload = payload.ok_or(Fault::Tombstone)?;
    match payload {
        [] => Err(Fault::Empty),
        [0x00, rest @ ..] => match rest.split_first_chunk::<4>() {
            Some((id, body)) => Ok(Frame::Confluent {
                id: u32::from_be_bytes(*id),
                body,
            }),
            None => Err(Fault::Truncated),
        },
        [0xC3] => Err(Fault::Truncated),
        [0xC3, 0x01, rest @ ..] => match rest.split_first_chunk::<8>() {
            Some((fingerprint, body)) => Ok(Frame::SingleObject {
                fingerprint: u64::from_le_bytes(*fingerprint),
                body,
            }),
            None => Err(Fault::Truncated),
        },
        _ => Err(Fault::BadMagic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_header_names_its_schema_and_leaves_the_body() {
        let confluent = frame(Some(&[0, 0, 0, 1, 2, 9, 8]));
        assert_eq!(
            confluent,
            Ok(Frame::Confluent {
                id: 258,
                body: &[9, 8]
            })
        );
        let single = frame(Some(&[0xC3, 1, 8, 7, 6, 5, 4, 3, 2, 1]));
        assert_eq!(
            single,
            Ok(Frame::SingleObject {
                fingerprint: 0x0102_0304_0506_0708,
                body: &[]
            })
        );
    }

    #[test]
    fn each_fault_of_a_header_has_its_own_error() {
        assert_eq!(frame(None), Err(Fault::Tombstone));
        assert_eq!(frame(Some(&[])), Err(Fault::Empty));
        assert_eq!(frame(Some(&[1, 0, 0, 0, 1])), Err(Fault::BadMagic));
        assert_eq!(frame(Some(&[0xC3, 2, 0])), Err(Fault::BadMagic));
        assert_eq!(frame(Some(&[0, 0, 0, 1])), Err(Fault::Truncated));
        assert_eq!(frame(Some(&[0xC3])), Err(Fault::Truncated));
        assert_eq!(
            frame(Some(&[0xC3, 1, 0, 0, 0, 0, 0, 0, 0])),
            Err(Fault::Truncated)
        );
    }
}

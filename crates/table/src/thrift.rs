//! Structs in Thrift's compact form: the length of one, and whether bytes consist only of such
//! structs, as some writers repeat a column's metadata after its pages.
//!
//! Bytes are accepted only if every byte is accounted for: in such bytes a text is stored
//! unencoded, and a search of bytes finds it.

/// The maximum nesting depth of structs.
const DEPTH: usize = 16;

/// Returns true if `bytes` consist of one or more structs in Thrift's compact form, none of them
/// empty.
pub fn is_structs(bytes: &[u8]) -> bool {
    let mut rest = Rest(bytes);
    while let [first, ..] = rest.0 {
        if *first == 0 || rest.structure(DEPTH).is_none() {
            return false;
        }
    }
    true
}

/// Returns the length of the struct at the start of `bytes`; `None` if there is no complete struct.
pub fn struct_length(bytes: &[u8]) -> Option<usize> {
    let mut rest = Rest(bytes);
    rest.structure(DEPTH)?;
    Some(bytes.len() - rest.0.len())
}

/// The unread bytes. Each step returns `None` if the bytes do not fit.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn pass(&mut self, bytes: u64) -> Option<()> {
        self.0 = self.0.get(usize::try_from(bytes).ok()?..)?;
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn structure(&mut self, depth: usize) -> Option<()> {
        loop {
            let header = self.byte()?;
            match (header >> 4, header & 0x0f) {
                (0, 0) => return Some(()),
                // A field's number is stored as the difference from the field before it, or in
                // full.
                (0, _) => drop(self.number()?),
                _ => {}
            }
            // A boolean field has its value in its type.
            if !matches!(header & 0x0f, 1 | 2) {
                self.value(header & 0x0f, depth.checked_sub(1)?)?;
            }
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1..=3 => self.pass(1),
            4..=6 => self.number().map(drop),
            7 => self.pass(8),
            8 => {
                let length = self.number()?;
                self.pass(length)
            }
            9 | 10 => {
                let header = self.byte()?;
                let items = if header >> 4 == 15 {
                    self.number()?
                } else {
                    u64::from(header >> 4)
                };
                self.values(&[header & 0x0f], items, depth)
            }
            11 => {
                let items = self.number()?;
                let kinds = if items == 0 { 0 } else { self.byte()? };
                self.values(&[kinds >> 4, kinds & 0x0f], items, depth)
            }
            12 => self.structure(depth),
            _ => None,
        }
    }

    fn values(&mut self, kinds: &[u8], items: u64, depth: usize) -> Option<()> {
        for _ in 0..items {
            for kind in kinds {
                self.value(*kind, depth.checked_sub(1)?)?;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_distinguished_from_bytes_that_only_begin_like_them() {
        // A field 1 of five bytes, a field 2 that is true, a list of two numbers in field 3.
        let one = b"\x18\x05hello\x11\x19\x25\x02\x04\x00".to_vec();
        assert!(is_structs(&one) && is_structs(&[one.clone(), one.clone()].concat()));
        for cut in 1..one.len() {
            assert!(!is_structs(&one[..cut]), "{cut}");
        }
        assert!(!is_structs(&[one, vec![0]].concat()));
        assert!(
            !is_structs(&[0x1c; 40]),
            "structs in structs without an end"
        );
        assert!(!is_structs(b"\x28\xb5\x2f\xfd and what zstd packs"));
    }
}

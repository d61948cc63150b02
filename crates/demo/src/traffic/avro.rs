//! Avro's binary encoding, written directly into a buffer. The functions must not allocate buffers
//! of their own.

/// Writes a zigzag varint: `int`, `long`, lengths, counts and branches.
pub(super) fn long(value: i64, to: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        to.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

/// Writes bytes or text, with the length before it.
pub(super) fn bytes(value: &[u8], to: &mut Vec<u8>) {
    long(value.len() as i64, to);
    to.extend_from_slice(value);
}

/// Writes the output of `write` as bytes or text, with the length before it. For values that are
/// built in place. The output must have at most 8191 bytes.
pub(super) fn built(to: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = to.len();
    to.push(0);
    write(to);
    let length = to.len() - start - 1;
    if length < 64 {
        to[start] = (length << 1) as u8;
        return;
    }
    // The length takes two bytes: move the text back by one byte.
    to.insert(start, 0);
    to[start] = ((length << 1) & 0x7f) as u8 | 0x80;
    to[start + 1] = (length >> 6) as u8;
}

/// Writes a big-endian two's complement number with the fewest bytes, as `decimal` requires.
pub(super) fn decimal(unscaled: i64, to: &mut Vec<u8>) {
    let all = unscaled.to_be_bytes();
    let sign = if unscaled < 0 { 0xff } else { 0 };
    let skip = all
        .windows(2)
        .take_while(|pair| pair[0] == sign && (pair[1] ^ sign) < 0x80)
        .count();
    bytes(&all[skip..], to);
}

/// Writes a random (version 4) UUID in its text form, from 128 random bits.
pub(super) fn uuid(high: u64, low: u64, to: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let raw = (u128::from(high) << 64) | u128::from(low);
    let raw = (raw & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let mut text = [b'-'; 36];
    let mut place = 0;
    for (nth, byte) in raw.to_be_bytes().into_iter().enumerate() {
        if matches!(nth, 4 | 6 | 8 | 10) {
            place += 1;
        }
        text[place] = HEX[usize::from(byte >> 4)];
        text[place + 1] = HEX[usize::from(byte & 15)];
        place += 2;
    }
    bytes(&text, to);
}

#[cfg(test)]
mod tests {
    use super::*;
    use apache_avro::Schema;
    use apache_avro::reader::datum::GenericDatumReader;
    use apache_avro::types::Value;

    fn read(schema: &str, body: &[u8]) -> Value {
        let schema = Schema::parse_str(schema).unwrap();
        let mut rest = body;
        let value = GenericDatumReader::builder(&schema)
            .build()
            .unwrap()
            .read_value(&mut rest)
            .unwrap();
        assert!(rest.is_empty());
        value
    }

    #[test]
    fn longs_read_back() {
        for value in [
            0,
            -1,
            1,
            63,
            64,
            -64,
            -65,
            1_700_000_000_000,
            i64::MAX,
            i64::MIN,
        ] {
            let mut body = Vec::new();
            long(value, &mut body);
            assert_eq!(read(r#""long""#, &body), Value::Long(value));
        }
    }

    #[test]
    fn texts_built_in_place_read_back_at_every_length() {
        for length in (0..200).chain([8_190, 8_191]) {
            let text = "x".repeat(length);
            let mut body = Vec::new();
            built(&mut body, |to| to.extend_from_slice(text.as_bytes()));
            assert_eq!(read(r#""string""#, &body), Value::String(text));
        }
    }

    #[test]
    fn decimals_take_the_fewest_bytes_and_keep_their_sign() {
        for (value, length) in [
            (0, 1),
            (127, 1),
            (128, 2),
            (-128, 1),
            (-129, 2),
            (1_000_000, 3),
            (i64::MIN, 8),
        ] {
            let mut body = Vec::new();
            decimal(value, &mut body);
            assert_eq!(body.len(), length + 1, "{value}");
            let mut wide = [if value < 0 { 0xff } else { 0 }; 8];
            wide[8 - length..].copy_from_slice(&body[1..]);
            assert_eq!(i64::from_be_bytes(wide), value);
        }
    }

    #[test]
    fn a_uuid_is_of_version_four() {
        let mut body = Vec::new();
        uuid(u64::MAX, u64::MAX, &mut body);
        let text = std::str::from_utf8(&body[1..]).unwrap();
        assert_eq!(uuid::Uuid::parse_str(text).unwrap().get_version_num(), 4);
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}

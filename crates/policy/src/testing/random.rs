//! Random pairs of a writer's and a product's schema, random bodies of them, and random damage to a
//! body.
//!
//! The result depends only on the seed. The encoder is separate, so that no tested code is used.

use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::{Value as Json, json};

/// One type in four schemas: the writer's, the product's, and both as given to the oracle (which
/// avoids its quirks).
#[derive(Clone)]
pub struct Pair {
    /// The writer's schema.
    pub writer: Json,
    /// The product's schema.
    pub reader: Json,
    /// The writer's schema for the oracle: decimals are plain bytes, UUIDs plain text.
    pub oracle_writer: Json,
    /// The product's schema for the oracle: fields have the writer's names, because it does not
    /// support aliases.
    pub oracle_reader: Json,
}

impl Pair {
    fn new(writer: Json, reader: Json) -> Self {
        Self {
            oracle_writer: writer.clone(),
            oracle_reader: reader.clone(),
            writer,
            reader,
        }
    }

    fn map(self, mut f: impl FnMut(Json) -> Json) -> Self {
        let [writer, reader, oracle_writer, oracle_reader] = [
            self.writer,
            self.reader,
            self.oracle_writer,
            self.oracle_reader,
        ]
        .map(&mut f);
        Self {
            writer,
            reader,
            oracle_writer,
            oracle_reader,
        }
    }
}

/// Creates schemas. Each named type has a unique name.
pub struct Schemas<'r> {
    rng: &'r mut SmallRng,
    names: usize,
}

fn logical(base: &str, logical: &str) -> Json {
    json!({ "type": base, "logicalType": logical })
}

impl<'r> Schemas<'r> {
    /// Creates a generator.
    pub fn new(rng: &'r mut SmallRng) -> Self {
        Self { rng, names: 0 }
    }

    fn name(&mut self) -> String {
        self.names += 1;
        format!("N{}", self.names)
    }

    fn plain(&mut self) -> Pair {
        const SAME: [&str; 7] = [
            "boolean", "int", "long", "float", "double", "bytes", "string",
        ];
        const PROMOTED: [(&str, &str); 8] = [
            ("int", "long"),
            ("int", "float"),
            ("int", "double"),
            ("long", "float"),
            ("long", "double"),
            ("float", "double"),
            ("string", "bytes"),
            ("bytes", "string"),
        ];
        const TIMES: [(&str, &str); 8] = [
            ("int", "date"),
            ("int", "time-millis"),
            ("long", "time-micros"),
            ("long", "timestamp-millis"),
            ("long", "timestamp-micros"),
            ("long", "timestamp-nanos"),
            ("long", "local-timestamp-millis"),
            ("long", "local-timestamp-micros"),
        ];
        match self.rng.random_range(0..16) {
            0..=6 => {
                let of = json!(SAME[self.rng.random_range(0..SAME.len())]);
                Pair::new(of.clone(), of)
            }
            7..=8 => {
                let (from, into) = PROMOTED[self.rng.random_range(0..PROMOTED.len())];
                Pair::new(json!(from), json!(into))
            }
            9..=11 => {
                let (base, of) = TIMES[self.rng.random_range(0..TIMES.len())];
                let writer = if self.rng.random_bool(0.7) {
                    logical(base, of)
                } else {
                    json!(base)
                };
                Pair::new(writer, logical(base, of))
            }
            12 => {
                let of = logical("string", "uuid");
                let writer = if self.rng.random_bool(0.5) {
                    of.clone()
                } else {
                    json!("string")
                };
                Pair {
                    oracle_writer: json!("string"),
                    ..Pair::new(writer, of)
                }
            }
            13 => {
                let (name, size) = (self.name(), self.rng.random_range(0..20));
                let of = json!({ "type": "fixed", "name": name, "size": size });
                Pair::new(of.clone(), of)
            }
            14 => self.decimal(),
            _ => self.enumeration(),
        }
    }

    fn decimal(&mut self) -> Pair {
        let precision = self.rng.random_range(1..=38);
        let scale = self.rng.random_range(0..=precision);
        let mut base = json!({ "type": "bytes" });
        if self.rng.random_bool(0.5) {
            // Avro ignores the logical type if the size cannot contain the digits.
            base = json!({ "type": "fixed", "name": self.name(), "size": 17 });
        }
        let mut of = base.clone();
        of["logicalType"] = json!("decimal");
        of["precision"] = json!(precision);
        of["scale"] = json!(scale);
        Pair {
            writer: of.clone(),
            reader: of,
            oracle_writer: base.clone(),
            oracle_reader: base,
        }
    }

    fn enumeration(&mut self) -> Pair {
        let name = self.name();
        let of = |symbols: &[&str]| json!({ "type": "enum", "name": name, "symbols": symbols });
        match self.rng.random_range(0..3) {
            0 => Pair::new(of(&["a", "b", "c"]), of(&["c", "a", "b"])),
            1 => Pair::new(of(&["a", "b", "c"]), of(&["a", "b"])),
            _ => {
                let mut reader = of(&["a", "other"]);
                reader["default"] = json!("other");
                Pair::new(of(&["a", "b", "c"]), reader)
            }
        }
    }

    fn any(&mut self, depth: usize) -> Pair {
        if depth == 0 {
            return self.plain();
        }
        match self.rng.random_range(0..12) {
            0 => self
                .nullable(depth - 1)
                .map(|of| json!({ "type": "array", "items": of })),
            1 => self
                .nullable(depth - 1)
                .map(|of| json!({ "type": "map", "values": of })),
            2 => self.record(depth - 1),
            _ => self.plain(),
        }
    }

    fn nullable(&mut self, depth: usize) -> Pair {
        let of = self.any(depth);
        let first = |of: Json| json!(["null", of]);
        let last = |of: Json| json!([of, "null"]);
        match self.rng.random_range(0..8) {
            0..=1 => of.map(first),
            2 => of.map(last),
            // The writer always sends it, the product allows null.
            3 => Pair {
                reader: first(of.reader),
                oracle_reader: first(of.oracle_reader),
                ..of
            },
            // The writer may send null, which the product does not accept.
            4 => Pair {
                writer: last(of.writer),
                oracle_writer: last(of.oracle_writer),
                ..of
            },
            _ => of,
        }
    }

    /// Returns a type that only a writer may have, which is checked and dropped; and its
    /// counterpart for the oracle.
    fn foreign(&mut self) -> (Json, Json) {
        let name = self.name();
        let of = match self.rng.random_range(0..6) {
            0 => json!("null"),
            1 => json!(["null", "int", "string", { "type": "array", "items": "null" }]),
            2 => json!({ "type": "record", "name": name, "fields": [
                { "name": "value", "type": "int" }, { "name": "next", "type": ["null", name] } ] }),
            3 => json!({ "type": "fixed", "name": name, "size": 12, "logicalType": "duration" }),
            4 => {
                json!({ "type": "array", "items": { "type": "record", "name": name, "fields": [] } })
            }
            _ => {
                let of = self.any(1);
                return (of.writer, of.oracle_writer);
            }
        };
        (of.clone(), of)
    }

    /// Returns a record and the record as which it is read: with dropped, added, renamed and moved
    /// fields.
    pub fn record(&mut self, depth: usize) -> Pair {
        let name = self.name();
        let [mut writer, mut reader, mut oracle_writer, mut oracle_reader] =
            [const { Vec::new() }; 4];
        for index in 0..self.rng.random_range(1..6) {
            let (own, new) = (format!("f{index}"), format!("g{index}"));
            let field = |name: &str, of: &Json| json!({ "name": name, "type": of });
            let of = self.nullable(depth);
            let at = self.rng.random_range(0..=reader.len());
            match self.rng.random_range(0..10) {
                0 => {
                    let (foreign, for_oracle) = self.foreign();
                    writer.push(field(&own, &foreign));
                    oracle_writer.push(field(&own, &for_oracle));
                    continue;
                }
                1 => {
                    let (of, default) = self.defaulted();
                    let added = json!({ "name": new, "type": of, "default": default });
                    reader.insert(at, added.clone());
                    oracle_reader.insert(at, added);
                    continue;
                }
                2 => {
                    let mut renamed = field(&new, &of.reader);
                    renamed["aliases"] = json!([own]);
                    reader.insert(at, renamed);
                }
                _ => reader.insert(at, field(&own, &of.reader)),
            }
            oracle_reader.insert(at, field(&own, &of.oracle_reader));
            writer.push(field(&own, &of.writer));
            oracle_writer.push(field(&own, &of.oracle_writer));
        }
        if reader.is_empty() {
            let added = json!({ "name": "g", "type": "int", "default": 7 });
            reader.push(added.clone());
            oracle_reader.push(added);
        }
        let record =
            |fields: Vec<Json>| json!({ "type": "record", "name": name, "fields": fields });
        Pair {
            writer: record(writer),
            reader: record(reader),
            oracle_writer: record(oracle_writer),
            oracle_reader: record(oracle_reader),
        }
    }

    fn defaulted(&mut self) -> (Json, Json) {
        match self.rng.random_range(0..7) {
            0 => (json!(["null", "string"]), Json::Null),
            1 => (json!(["string", "null"]), json!("d")),
            2 => (json!("long"), json!(-5)),
            3 => (json!("double"), json!(2.5)),
            4 => (json!({ "type": "array", "items": "int" }), json!([1, 2])),
            5 => (
                json!({ "type": "map", "values": "string" }),
                json!({ "k": "v" }),
            ),
            _ => (logical("long", "timestamp-millis"), json!(1000)),
        }
    }
}

fn varint(value: i64, to: &mut Vec<u8>) {
    let mut rest = (value << 1 ^ value >> 63) as u64;
    while rest >= 0x80 {
        to.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

/// Appends a random value of a schema, sometimes in an encoding that writers do not need but every
/// reader accepts.
pub fn body(rng: &mut SmallRng, of: &Json, names: &Json, to: &mut Vec<u8>) {
    let text = |rng: &mut SmallRng, to: &mut Vec<u8>| {
        const TEXTS: [&str; 6] = [
            "",
            "a",
            "31612345678",
            "é€😀",
            "k",
            "67e55044-10b1-426f-9247-bb680e5fe0c8",
        ];
        let text = TEXTS[rng.random_range(0..TEXTS.len())];
        varint(text.len() as i64, to);
        to.extend_from_slice(text.as_bytes());
    };
    let long = |rng: &mut SmallRng| match rng.random_range(0..4) {
        0 => rng.random_range(-100..100),
        1 => rng.random_range(1_600_000_000_000..1_900_000_000_000),
        2 => i64::from(rng.random::<i32>()),
        _ => rng.random::<i64>() >> rng.random_range(0..60),
    };
    let kind = match of {
        Json::String(name) => name.as_str(),
        Json::Array(branches) => {
            let branch = rng.random_range(0..branches.len());
            varint(branch as i64, to);
            return body(rng, &branches[branch], names, to);
        }
        _ => of["type"].as_str().unwrap_or(""),
    };
    match kind {
        "null" => {}
        "boolean" => to.push(rng.random_range(0..2)),
        "int" => varint(
            i64::from(rng.random::<i32>() >> rng.random_range(0..31)),
            to,
        ),
        "long" => varint(long(rng), to),
        "float" => to.extend_from_slice(&rng.random::<f32>().to_le_bytes()),
        "double" => to.extend_from_slice(&rng.random::<f64>().to_le_bytes()),
        "string" if of["logicalType"] == "uuid" => {
            let uuid = uuid::Uuid::from_u128(rng.random());
            let text = if rng.random_bool(0.8) {
                uuid.hyphenated().to_string()
            } else {
                uuid.simple().to_string()
            };
            varint(text.len() as i64, to);
            to.extend_from_slice(text.as_bytes());
        }
        "string" => text(rng, to),
        "bytes" if of["logicalType"] == "decimal" || rng.random_bool(0.5) => {
            let size = rng.random_range(0..18);
            varint(size, to);
            to.extend((0..size).map(|_| rng.random::<u8>()));
        }
        "bytes" => text(rng, to),
        "fixed" => {
            let size = of["size"].as_u64().unwrap_or(0);
            let fill = if rng.random_bool(0.5) { 0 } else { 0xFF };
            to.extend((0..size).map(|index| if index < 14 { fill } else { rng.random::<u8>() }));
        }
        "enum" => varint(
            rng.random_range(0..of["symbols"].as_array().map_or(1, Vec::len)) as i64,
            to,
        ),
        "array" | "map" => blocks(rng, of, names, to),
        "record" => {
            for field in of["fields"].as_array().into_iter().flatten() {
                body(rng, &field["type"], names, to);
            }
        }
        name => body(rng, &names[name], names, to),
    }
}

fn blocks(rng: &mut SmallRng, of: &Json, names: &Json, to: &mut Vec<u8>) {
    let keyed = of["type"] == "map";
    for _ in 0..rng.random_range(0..3) {
        let count = rng.random_range(1..4);
        let mut items = Vec::new();
        for _ in 0..count {
            if keyed {
                items.extend_from_slice(&[2, rng.random_range(b'a'..=b'e')]);
            }
            body(
                rng,
                if keyed { &of["values"] } else { &of["items"] },
                names,
                &mut items,
            );
        }
        if rng.random_bool(0.3) {
            varint(-count, to);
            varint(items.len() as i64, to);
        } else {
            varint(count, to);
        }
        to.extend_from_slice(&items);
    }
    to.push(0);
}

/// Adds the named types of a schema, by name: the possible targets of a reference.
pub fn named(of: &Json, to: &mut Json) {
    match of {
        Json::Array(branches) => branches.iter().for_each(|branch| named(branch, to)),
        Json::Object(_) => {
            if let Some(name) = of["name"].as_str() {
                to[name] = of.clone();
            }
            of["fields"]
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|field| named(&field["type"], to));
            ["items", "values"]
                .iter()
                .for_each(|key| named(&of[*key], to));
        }
        _ => {}
    }
}

/// Damages a body at random, or leaves it unchanged.
pub fn spoil(rng: &mut SmallRng, body: &mut Vec<u8>) {
    const ODD: [u8; 8] = [0, 1, 2, 0x7F, 0x80, 0x81, 0xFE, 0xFF];
    for _ in 0..rng.random_range(1..4) {
        let at = rng.random_range(0..=body.len());
        match rng.random_range(0..8) {
            0 => body.truncate(at),
            1 => body.insert(at, ODD[rng.random_range(0..ODD.len())]),
            2 => body.extend((0..rng.random_range(1..12)).map(|_| rng.random::<u8>())),
            3 if at < body.len() => {
                body.remove(at);
            }
            4 if at < body.len() => body[at] ^= 1 << rng.random_range(0..8),
            5 if at < body.len() => body[at] = ODD[rng.random_range(0..ODD.len())],
            6 if at < body.len() => body[at] = body[at].wrapping_add(2),
            7 => {
                let tail = body[at..].to_vec();
                body.extend(tail);
            }
            _ => {}
        }
    }
}

//! Avro's parsing canonical form, and the fingerprint that identifies a schema in single-object
//! encoding.
//!
//! apache-avro is not used for this: it keeps attributes of logical types (`precision`,
//! `{"type":"long"}` for `"long"`), so its fingerprints differ from those of producers in other
//! languages. Works on schemas that have parsed.

use serde_json::{Map, Value};

use super::name::{full, split};

const PRIMITIVES: [&str; 8] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];

/// Returns the CRC-64-AVRO of the parsing canonical form of `schema`.
pub(super) fn fingerprint(schema: &Value) -> u64 {
    let mut form = String::new();
    write(schema, "", &mut form);
    crc64(form.as_bytes())
}

/// Appends the canonical form of `schema`, which is written in `namespace` (empty for none), to
/// `form`.
fn write(schema: &Value, namespace: &str, form: &mut String) {
    match schema {
        Value::String(name) if PRIMITIVES.contains(&name.as_str()) => text(name, form),
        Value::String(name) => text(&full(name, namespace), form),
        Value::Array(branches) => list(branches, form, |branch, form| {
            write(branch, namespace, form)
        }),
        Value::Object(object) => named_or_plain(object, namespace, form),
        _ => {}
    }
}

fn named_or_plain(object: &Map<String, Value>, namespace: &str, form: &mut String) {
    let kind = object.get("type").unwrap_or(&Value::Null);
    let of = |key: &str| object.get(key).unwrap_or(&Value::Null);
    let empty = Vec::new();
    let items = |key: &str| object.get(key).and_then(Value::as_array).unwrap_or(&empty);
    match kind.as_str() {
        Some("array") => {
            form.push_str("{\"type\":\"array\",\"items\":");
            write(of("items"), namespace, form);
        }
        Some("map") => {
            form.push_str("{\"type\":\"map\",\"values\":");
            write(of("values"), namespace, form);
        }
        Some(kind @ ("record" | "error" | "enum" | "fixed")) => {
            let kind = if kind == "error" { "record" } else { kind };
            let space = object
                .get("namespace")
                .and_then(Value::as_str)
                .unwrap_or(namespace);
            let written = of("name").as_str().unwrap_or_default();
            let name = full(written, space);
            form.push_str("{\"name\":");
            text(&name, form);
            form.push_str(",\"type\":");
            text(kind, form);
            // A named type within a record that has no namespace itself is in the record's
            // namespace.
            let inner = split(written, space).0;
            match kind {
                "record" => {
                    form.push_str(",\"fields\":");
                    list(items("fields"), form, |field, form| {
                        form.push_str("{\"name\":");
                        text(field["name"].as_str().unwrap_or_default(), form);
                        form.push_str(",\"type\":");
                        write(&field["type"], inner, form);
                        form.push('}');
                    });
                }
                "enum" => {
                    form.push_str(",\"symbols\":");
                    list(items("symbols"), form, |symbol, form| {
                        text(symbol.as_str().unwrap_or_default(), form)
                    });
                }
                _ => {
                    form.push_str(",\"size\":");
                    form.push_str(&of("size").to_string());
                }
            }
        }
        // A primitive with a logical type or other attributes is written as the primitive.
        _ => return write(kind, namespace, form),
    }
    form.push('}');
}

fn list(items: &[Value], form: &mut String, each: impl Fn(&Value, &mut String)) {
    form.push('[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            form.push(',');
        }
        each(item, form);
    }
    form.push(']');
}

/// Appends a JSON string without escapes: Avro's own normalization does not escape names and
/// symbols either.
fn text(name: &str, form: &mut String) {
    form.push('"');
    form.push_str(name);
    form.push('"');
}

/// Computes the CRC of the Avro specification, one bit at a time: a schema is fingerprinted only
/// once.
fn crc64(bytes: &[u8]) -> u64 {
    const EMPTY: u64 = 0xc15d_213a_a4d7_a795;
    bytes.iter().fold(EMPTY, |crc, byte| {
        let mut low = (crc ^ u64::from(*byte)) & 0xff;
        for _ in 0..8 {
            low = (low >> 1) ^ if low & 1 == 1 { EMPTY } else { 0 };
        }
        (crc >> 8) ^ low
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{fingerprint, write};

    #[test]
    fn the_fingerprints_of_the_specifications_own_test_set_are_met() {
        // From share/test/data/schema-tests.txt of Avro, where the fingerprints are signed numbers.
        for (schema, wanted) in [
            (json!("null"), 7_195_948_357_588_979_594_i64),
            (json!({"type": "null"}), 7_195_948_357_588_979_594),
            (json!("boolean"), -6_970_731_678_124_411_036),
            (json!("int"), 8_247_732_601_305_521_295),
            (
                json!({"type": "fixed", "name": "foo", "size": 15}),
                1_756_455_273_707_447_556,
            ),
        ] {
            assert_eq!(fingerprint(&schema), wanted as u64, "{schema}");
        }
    }

    #[test]
    fn canonical_form_has_whole_names_and_leaves_out_annotations() {
        let schema = json!({"type": "record", "name": "R", "namespace": "a.b", "doc": "x", "aliases": ["Q"], "fields": [
            {"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}, "doc": "y"},
            {"name": "p", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}], "default": null},
            {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X", "Y"], "default": "X"}},
            {"name": "again", "type": {"type": "array", "items": "E"}},
            {"name": "m", "type": {"type": "map", "values": {"type": "fixed", "name": "c.F", "size": 4}}},
        ]});
        let mut form = String::new();
        write(&schema, "", &mut form);
        let wanted = concat!(
            r#"{"name":"a.b.R","type":"record","fields":[{"name":"t","type":"long"},{"name":"p","type":["null","bytes"]},"#,
            r#"{"name":"e","type":{"name":"a.b.E","type":"enum","symbols":["X","Y"]}},"#,
            r#"{"name":"again","type":{"type":"array","items":"a.b.E"}},"#,
            r#"{"name":"m","type":{"type":"map","values":{"name":"c.F","type":"fixed","size":4}}}]}"#
        );
        assert_eq!(form, wanted);
    }
}

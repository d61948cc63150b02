//! The shipped policy and schemas, inside the program, and the folder that the demo writes with
//! them. The folder is a complete configuration, as a user would write it. Must never overwrite a
//! file.

use std::io::Write;
use std::path::Path;

use ebbtide_policy::SchemaSource;

/// The shipped policy.
pub const POLICY: &str = include_str!("../../../config/policy.yaml");

/// Every shipped schema, with the product's key.
pub const SCHEMAS: [(&str, &str); 13] = [
    ("sms", include_str!("../../../schemas/sms.avsc")),
    ("voice", include_str!("../../../schemas/voice.avsc")),
    (
        "conversations",
        include_str!("../../../schemas/conversations.avsc"),
    ),
    ("email", include_str!("../../../schemas/email.avsc")),
    ("push", include_str!("../../../schemas/push.avsc")),
    ("inbox", include_str!("../../../schemas/inbox.avsc")),
    ("flow", include_str!("../../../schemas/flow.avsc")),
    ("cdp", include_str!("../../../schemas/cdp.avsc")),
    ("video", include_str!("../../../schemas/video.avsc")),
    ("widget", include_str!("../../../schemas/widget.avsc")),
    ("account", include_str!("../../../schemas/account.avsc")),
    ("marketing", include_str!("../../../schemas/marketing.avsc")),
    ("consent", include_str!("../../../schemas/consent.avsc")),
];

/// Returns the schema id that a product's producer sends; `None` for products with single-object
/// encoding.
#[must_use]
pub fn schema_id(product: &str) -> Option<u32> {
    let place = SCHEMAS.iter().position(|(name, _)| *name == product)?;
    // The products with less traffic identify their schema by its fingerprint, so that both
    // encodings occur.
    (place < 7).then_some(place as u32 + 1)
}

/// Provides the shipped schemas to the policy's parser, by the paths in the policy.
pub struct ShippedSchemas;

impl SchemaSource for ShippedSchemas {
    fn load(&self, path: &str) -> Result<String, String> {
        let name = path
            .strip_prefix("../schemas/")
            .and_then(|file| file.strip_suffix(".avsc"));
        let found = SCHEMAS.iter().find(|(product, _)| Some(*product) == name);
        found
            .map(|(_, text)| (*text).to_owned())
            .ok_or_else(|| "no such schema is shipped".to_owned())
    }
}

/// Writes the policy, the schemas and a configuration for brokers at `servers` to `folder`. Returns
/// the text of the configuration. The tables will be in the subfolder `data`.
///
/// # Errors
/// Errors if a file exists already or cannot be written.
pub fn lay_out(folder: &Path, servers: &str) -> std::io::Result<String> {
    for name in ["config", "schemas", "producers"] {
        std::fs::create_dir_all(folder.join(name))?;
    }
    write_new(&folder.join("config/policy.yaml"), POLICY)?;
    for (product, text) in SCHEMAS {
        write_new(&folder.join(format!("schemas/{product}.avsc")), text)?;
        let producers = match schema_id(product) {
            Some(id) => format!("producers/{product}.{id}.avsc"),
            None => format!("producers/{product}.avsc"),
        };
        write_new(&folder.join(producers), text)?;
    }
    // A JSON string is a YAML string too, whatever characters the path contains.
    let root = serde_json::Value::from(folder.join("data").to_string_lossy()).to_string();
    let config = format!(
        "# What `ebbtide demo` ran with. Its broker was inside the demo and no longer runs.\n\
         policy: policy.yaml\n\
         root: {root}\n\
         kafka:\n  bootstrap_servers: \"{servers}\"\n  group: ebbtide-demo\n  retention_check: warn\n\
         schemas:\n  folder: ../producers\n\
         ingest:\n  memory: 256MiB\n  commit_age: 2s\n\
         http:\n  listen: 127.0.0.1:0\n"
    );
    write_new(&folder.join("config/ebbtide.yaml"), &config)?;
    Ok(config)
}

fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    std::fs::File::create_new(file)?.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebbtide_base::ids::ProductKey;
    use ebbtide_policy::schema::{Schema, WriterSchema};

    #[test]
    fn the_shipped_policy_is_clean_without_a_warning() {
        let checked = ebbtide_policy::parse("config/policy.yaml", POLICY, &ShippedSchemas);
        let problems: Vec<String> = checked.problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{}", problems.join("\n"));
        assert_eq!(
            checked.policy.unwrap().products.len(),
            SCHEMAS.len() + 1,
            "numbers has no schema"
        );
    }

    #[test]
    fn every_field_of_every_shipped_schema_has_a_doc_and_is_classified() {
        let policy = ebbtide_policy::parse("config/policy.yaml", POLICY, &ShippedSchemas)
            .policy
            .unwrap();
        for (product, text) in SCHEMAS {
            WriterSchema::parse(text).unwrap();
            let schema = Schema::parse(text).unwrap();
            let records = policy.products[&ProductKey::new(product).unwrap()]
                .records
                .as_ref()
                .unwrap();
            for column in &schema.columns {
                assert!(column.doc.is_some(), "{product}.{} has no doc", column.name);
                assert!(
                    records.fields.contains_key(&column.name),
                    "{product}.{} is not classified",
                    column.name
                );
            }
            assert!(
                (8..=21).contains(&schema.columns.len()),
                "{product} has {}",
                schema.columns.len()
            );
        }
    }

    #[test]
    fn a_folder_that_holds_something_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        lay_out(folder.path(), "127.0.0.1:9").unwrap();
        assert_eq!(
            lay_out(folder.path(), "127.0.0.1:9").unwrap_err().kind(),
            std::io::ErrorKind::AlreadyExists
        );
    }
}

//! A producer's schema, as the registry or the folder of schemas gave it.
//!
//! Promises only that it is Avro: whether a product can read it is the decoder's question.

use super::canonical;
use super::error::SchemaError;
use super::model::Model;
use super::product;

/// The schema that a message was written with.
#[derive(Debug, Clone)]
pub struct WriterSchema {
    model: Model,
    fingerprint: u64,
}

impl WriterSchema {
    /// Parses a writer's schema. Errors unless it is an Avro schema.
    pub fn parse(json: &str) -> Result<WriterSchema, SchemaError> {
        let model = product::parse(json)?;
        // What has parsed as Avro is JSON, so the fallback is never taken.
        let fingerprint = canonical::fingerprint(&serde_json::from_str(json).unwrap_or_default());
        Ok(WriterSchema { model, fingerprint })
    }

    /// CRC-64-AVRO of the parsing canonical form: what single-object encoding names the schema by.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }
}

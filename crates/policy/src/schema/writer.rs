//! A producer's schema, from the registry or from the folder of schemas.
//!
//! Only the attributes that determine how bytes are read are checked. The decoder determines if a
//! product can read it.

use super::canonical;
use super::error::SchemaError;
use super::model::Model;
use super::parse::{SchemaReference, parse};

/// The schema that a message was written with.
#[derive(Debug, Clone)]
pub struct WriterSchema {
    model: Model,
    fingerprint: u64,
}

impl WriterSchema {
    /// Parses a writer's schema. Errors if no record can be read with it.
    pub fn parse(json: &str) -> Result<WriterSchema, SchemaError> {
        Self::with_references(json, &[])
    }

    /// Parses a writer's schema that refers to others, given in an order in which each comes after
    /// those that it refers to itself. Errors if no record can be read with it.
    pub fn with_references(
        json: &str,
        references: &[SchemaReference],
    ) -> Result<WriterSchema, SchemaError> {
        let parsed = parse(json, references)?;
        Ok(WriterSchema {
            model: parsed.model,
            fingerprint: canonical::fingerprint(&parsed.json),
        })
    }

    /// Returns the CRC-64-AVRO of the parsing canonical form, which identifies the schema in
    /// single-object encoding.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    pub(super) fn model(&self) -> &Model {
        &self.model
    }
}

//! Avro schemas: what columns they give, how a message's body is checked and decoded into Arrow. Pure: no I/O, no clock.

mod column;

pub use column::Column;

/// A product's own (reader's) schema, and the columns that it flattens to.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The columns, in the order of the schema.
    pub columns: Vec<Column>,
}

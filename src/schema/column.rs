//! One column of a product's table, as its Avro schema gives it: what nested records flatten to.

use arrow::datatypes::DataType;

/// One column: a leaf of the schema's records, or a whole array or map.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The flattened name: `sender.id` is `sender_id`.
    pub name: String,
    /// The field names that lead to it from the top of the record.
    pub path: Vec<String>,
    /// The Arrow type in which it is stored; always one that Delta Lake has. Text is `Utf8`, times are
    /// `Timestamp(Microsecond, Some("UTC"))`, uuids and enums are text.
    pub data_type: DataType,
    /// Whether it, or a record around it, may be null.
    pub nullable: bool,
    /// The schema's `doc` of the field.
    pub doc: Option<String>,
}

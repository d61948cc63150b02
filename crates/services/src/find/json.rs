//! Found records as one JSON document, one record per line, written as they are read.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use serde_json::{Map, Value};

use super::{RecordSink, SearchReport, values};
use ebbtide_base::ids::ProductKey;

/// An output that writes records as they are found.
pub struct JsonRecords<'w> {
    to: &'w mut dyn Write,
    records: u64,
}

impl<'w> JsonRecords<'w> {
    /// Creates the output.
    pub fn new(to: &'w mut dyn Write) -> Self {
        Self { to, records: 0 }
    }

    /// Writes what follows the records. A document without it is not complete.
    pub fn end(self, report: &SearchReport) -> io::Result<()> {
        self.to.write_all(if self.records == 0 {
            b"{\"records\":["
        } else {
            b"\n"
        })?;
        let report = serde_json::to_string(report)?;
        // The members of an object, appended to the members that are already written.
        self.to.write_all(b"],\n")?;
        self.to
            .write_all(report.strip_prefix('{').unwrap_or(&report).as_bytes())?;
        self.to.write_all(b"\n")?;
        self.to.flush()
    }
}

impl RecordSink for JsonRecords<'_> {
    type Error = io::Error;

    fn rows(&mut self, product: &ProductKey, rows: &RecordBatch) -> io::Result<()> {
        let schema = rows.schema();
        for row in 0..rows.num_rows() {
            let mut record = Map::new();
            record.insert("product".to_owned(), product.as_str().into());
            for (field, array) in schema.fields().iter().zip(rows.columns()) {
                record.insert(field.name().clone(), values::value(array, row));
            }
            self.to.write_all(if self.records == 0 {
                b"{\"records\":[\n"
            } else {
                b",\n"
            })?;
            serde_json::to_writer(&mut *self.to, &Value::Object(record))?;
            self.records += 1;
        }
        Ok(())
    }
}

//! Found records as CSV (RFC 4180): one header for all products, which names every column that any
//! of them has.

use std::io::{self, Write};

use arrow::array::RecordBatch;

use ebbtide_base::ids::ProductKey;
use ebbtide_services::find::values;

pub(super) struct CsvOutput<'w> {
    to: &'w mut dyn Write,
    /// The columns after `product`.
    columns: Vec<String>,
    begun: bool,
}

impl<'w> CsvOutput<'w> {
    /// Creates the output. `columns` are the columns of each product, in order; a name may be
    /// repeated.
    pub(super) fn new(to: &'w mut dyn Write, columns: impl IntoIterator<Item = String>) -> Self {
        let mut distinct = Vec::new();
        for column in columns {
            if !distinct.contains(&column) {
                distinct.push(column);
            }
        }
        Self {
            to,
            columns: distinct,
            begun: false,
        }
    }

    pub(super) fn rows(&mut self, product: &ProductKey, rows: &RecordBatch) -> io::Result<()> {
        self.begin()?;
        let arrays: Vec<_> = self
            .columns
            .iter()
            .map(|column| rows.column_by_name(column))
            .collect();
        for row in 0..rows.num_rows() {
            self.to.write_all(product.as_str().as_bytes())?;
            for array in &arrays {
                let text = array.map_or_else(String::new, |array| {
                    values::text(&values::value(array, row))
                });
                self.to.write_all(b",")?;
                self.to.write_all(quoted(&text).as_bytes())?;
            }
            self.to.write_all(b"\r\n")?;
        }
        Ok(())
    }

    /// Ends the output. A file without records has a header too.
    pub(super) fn end(mut self) -> io::Result<()> {
        self.begin()?;
        self.to.flush()
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        self.to.write_all(b"product")?;
        for column in &self.columns {
            self.to.write_all(b",")?;
            self.to.write_all(quoted(column).as_bytes())?;
        }
        self.to.write_all(b"\r\n")
    }
}

fn quoted(text: &str) -> String {
    match text.contains(['"', ',', '\n', '\r']) || text.trim() != text {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

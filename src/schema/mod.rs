//! Avro schemas: what columns they give, how a message's body is checked and decoded into Arrow. Pure: no I/O, no clock.

mod column;
mod columns;
mod compile;
mod cursor;
mod decoder;
mod defaults;
mod error;
mod frame;
mod leaf;
mod model;
mod product;
mod program;
mod sinks;
mod target;
mod writer;

pub use column::Column;
pub use decoder::{Decoder, Flushed};
pub use error::{SchemaError, Unfit};
pub use frame::{Frame, frame};
pub use product::Schema;
pub use writer::WriterSchema;

#[cfg(test)]
mod tests;

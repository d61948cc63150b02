//! Avro schemas: what columns they give, how a message's body is checked and decoded into Arrow. Pure: no I/O, no clock.

mod column;
mod columns;
mod error;
mod frame;
mod model;
mod product;
mod writer;

pub use column::Column;
pub use error::{SchemaError, Unfit};
pub use frame::{Frame, frame};
pub use product::Schema;
pub use writer::WriterSchema;

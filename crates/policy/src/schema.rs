//! Avro schemas: the columns that they give, and the checking and decoding of a message's body into
//! Arrow. Pure: no I/O, no clock.
//!
//! A writer's schema, read as a product's, is compiled once to a flat program. The program reads a
//! body in one pass, checks each byte of it and builds the kept columns. If a body fails, its
//! values are removed from the columns. So a message is in the batch completely or not at all, and
//! nothing can fail later, at the flush.
//!
//! The decoder accepts the same bodies as the apache-avro crate and gives equal values, with these
//! differences:
//!
//! - A body that ends before a union, boolean or string is truncated; apache-avro reads the first
//!   two as null there.
//! - A message has at most 65,536 items without bytes (an array of nulls).
//! - A recursive record, which is possible only in a dropped field, nests at most 64 deep in a
//!   message.
//! - A kept decimal has at most the digits of its precision, in any number of bytes; apache-avro
//!   checks only that the bytes could contain all of them.
//! - A kept timestamp must fit microseconds. Nanoseconds are rounded to microseconds, towards the
//!   past.
//! - If a map has a key twice, the last value is kept, but each must be readable as the product's
//!   type.
//! - Types follow Avro's promotions, checked when the decoder is created: a long is never narrowed
//!   to an int.
//! - A time is converted between the units of writer and reader, and aliases of fields are
//!   followed; apache-avro does neither.
//! - The content of a big-decimal, which is possible only in a dropped field, is not examined.
//! - A UUID is checked only if the product reads it as a UUID and keeps it.
//! - A writer's schema needs no legal names, defaults or logical types. If a type in it cannot be
//!   read, only the records that contain it are refused.
//!
//! Names of records, enums and fixed types must agree between writer and reader, ignoring their
//! namespaces, or by an alias of the reader; apache-avro does not compare names. Types that are not
//! kept may have any name. A time of day is stored as microseconds since midnight, because Delta
//! Lake has no such type. A local timestamp is stored as if it were UTC, unless it is the event
//! time: the tagger converts that by the product's `event_time_zone`.

mod canonical;
mod column;
mod columns;
mod compile;
mod cursor;
mod decoder;
mod defaults;
mod error;
mod frame;
mod json;
mod leaf;
mod logical;
mod model;
mod name;
mod parse;
mod product;
mod program;
mod sinks;
mod target;
mod writer;

pub use column::Column;
pub use decoder::{Decoder, FlushedBatch};
pub use error::{SchemaError, SchemaProblem, SchemaRefusal};
pub use frame::{Frame, frame};
pub use parse::SchemaReference;
pub use product::Schema;
pub use writer::WriterSchema;

#[cfg(test)]
mod tests;

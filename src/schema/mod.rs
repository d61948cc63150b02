//! Avro schemas: what columns they give, how a message's body is checked and decoded into Arrow. Pure: no I/O, no
//! clock.
//!
//! A writer's schema, read as a product's, is compiled once to a flat program that reads a body in one pass, checks
//! each byte of it and builds the kept columns; a body that fails is cut back out of them. So a message is in the batch
//! whole or not at all, and nothing can fail later, at the flush.
//!
//! What is accepted is what the apache-avro crate accepts, and equal to what it resolves, but for these differences:
//!
//! - A body that ends in front of a union, boolean or string is truncated; apache-avro reads the first two as null
//!   there.
//! - Items that take no bytes (an array of nulls) are at most 65,536 in a message.
//! - A recursive record, which only a dropped field can be, nests at most 64 deep in a message.
//! - A kept decimal has at most the digits of its precision, in any number of bytes; apache-avro checks only that the
//!   bytes could hold them all.
//! - A kept timestamp must fit microseconds. Nanoseconds are cut to them, towards the past.
//! - Where a map has a key twice the last value stands, but each must be readable as the product's type.
//! - Types follow Avro's promotions, checked when the decoder is made: a long is never narrowed to an int.
//! - A time is converted between the units of writer and reader, and aliases of fields are followed; apache-avro does
//!   neither.
//! - The inside of a big-decimal, which only a dropped field can be, is not looked at.
//! - A uuid is checked only if the product reads it as a uuid and keeps it.
//! - A writer's schema needs no legal names, defaults or logical types. If a type in it cannot be read, only the
//!   records that reach it are refused.
//!
//! Names of records, enums and fixed types must agree between writer and reader, ignoring their namespaces, or by an
//! alias of the reader; apache-avro compares no names. Types that are not kept may have any name. A time of day is
//! microseconds since midnight, as Delta Lake has no such type; a local timestamp is stored as if it were UTC, unless
//! it is the event time: the tagger converts that by the product's `event_time_zone`.

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
pub use decoder::{Decoder, Flushed};
pub use error::{Refusal, SchemaError, Unfit};
pub use frame::{Frame, frame};
pub use parse::Reference;
pub use product::Schema;
pub use writer::WriterSchema;

#[cfg(test)]
mod tests;

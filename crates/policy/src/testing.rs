//! Tools of this crate's tests, fuzzer and generator of tables: random schemas and bodies, the
//! comparison with apache-avro, and the tables of telephone numbers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "only tests and tools for developers use it"
)]

pub mod country_prefixes;
pub mod differential;
pub mod oracle;
pub mod random;

//! Ebbtide stores communications traffic records from Kafka in Delta Lake tables. Each personal
//! field is classified, and each record carries its deadlines. `docs/architecture.md` describes the
//! layers; each imports only layers below it.

pub mod api;
pub mod cli;

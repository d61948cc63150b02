//! Ebbtide stores communications traffic records from Kafka in Delta Lake tables. Each personal field is classified,
//! and each record carries its deadlines. `docs/architecture.md` describes the layers; each imports only layers below
//! it.

pub mod anonymize;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod controls;
pub mod demo;
pub mod disclosure;
pub mod expiry;
pub mod failpoint;
pub mod health;
pub mod ids;
pub mod ingest;
pub mod metrics;
pub mod policy;
pub mod problem;
pub mod record;
pub mod schema;
pub mod store;
pub mod tag;
pub mod telemetry;
pub mod value_list;
pub mod yaml;

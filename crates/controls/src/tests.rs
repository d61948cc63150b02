//! Tests of the controls, by part.

mod activation;
mod active;
mod control;
mod covering;
mod crashes;
mod named;
mod notices;
mod oracle;
mod rows;
mod service;
mod unclear;

//! What the floor promises, part by part.

mod activation;
mod control;
mod covering;
mod crashes;
mod oracle;
mod rows;
mod service;

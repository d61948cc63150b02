//! From Kafka to a durable commit. The only user of the Kafka client besides the demo.

pub mod writers;

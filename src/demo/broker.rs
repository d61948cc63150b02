//! A Kafka broker inside the process: librdkafka's own mock. It keeps 5 MiB of each partition and forgets the oldest in
//! silence, which is right for a demo and wrong for proof. Must never be used for anything but the demo.

use std::sync::mpsc;
use std::thread::JoinHandle;

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;

/// Why there is no broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The client library refuses.
    #[error("the broker inside the demo did not start: {0}")]
    Kafka(#[from] KafkaError),
    /// Its thread could not be had.
    #[error("the broker inside the demo has no thread: {0}")]
    Thread(#[from] std::io::Error),
    /// Its thread ended before it said where the broker is.
    #[error("the broker inside the demo ended at once")]
    Gone,
}

/// A running broker; it ends when this is dropped.
#[derive(Debug)]
pub struct Broker {
    servers: String,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts it with these topics, each with its number of partitions.
    pub fn start(topics: Vec<(String, i32)>) -> Result<Broker, BrokerError> {
        let (say, hear) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        // The library's handle may not leave the thread that made it.
        let thread = std::thread::Builder::new().name("demo-broker".to_owned()).spawn(move || {
            let cluster = match cluster(&topics) {
                Ok(cluster) => cluster,
                Err(error) => return drop(say.send(Err(error))),
            };
            // An error on either channel means that nobody wants the broker any more.
            if say.send(Ok(cluster.bootstrap_servers())).is_ok() {
                let _: Result<(), _> = stopped.recv();
            }
        })?;
        let servers = hear.recv().map_err(|_| BrokerError::Gone)??;
        Ok(Broker { servers, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens: `host:port`.
    #[must_use]
    pub fn servers(&self) -> &str {
        &self.servers
    }
}

fn cluster(
    topics: &[(String, i32)],
) -> Result<MockCluster<'static, rdkafka::producer::DefaultProducerContext>, KafkaError> {
    let cluster = MockCluster::new(1)?;
    for (topic, partitions) in topics {
        cluster.create_topic(topic, *partitions, 1)?;
    }
    Ok(cluster)
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // It only waits for the channel; a panic in it has nothing left to spoil.
            let _ = thread.join();
        }
    }
}

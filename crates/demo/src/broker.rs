//! A Kafka broker inside the process: librdkafka's mock cluster. It keeps 5 MiB of each partition
//! and drops the oldest messages without a report. That is acceptable for a demo, but not as
//! evidence. Only the demo may use it.

use std::sync::mpsc;
use std::thread::JoinHandle;

use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;

/// The reason why the broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartBrokerError {
    /// librdkafka returned an error.
    #[error("the broker inside the demo did not start: {0}")]
    Kafka(#[from] KafkaError),
    /// The broker's thread could not be started.
    #[error("the broker inside the demo has no thread: {0}")]
    Thread(#[from] std::io::Error),
    /// The thread ended before it reported the broker's address.
    #[error("the broker inside the demo ended before it had an address")]
    Ended,
}

/// A running broker. It stops when this value is dropped.
#[derive(Debug)]
pub struct Broker {
    servers: String,
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker with these topics, each with its number of partitions.
    pub fn start(topics: Vec<(String, i32)>) -> Result<Broker, StartBrokerError> {
        let (sender, receiver) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        // The handle of librdkafka must stay on the thread that created it.
        let thread = std::thread::Builder::new()
            .name("demo-broker".to_owned())
            .spawn(move || {
                let cluster = match cluster(&topics) {
                    Ok(cluster) => cluster,
                    Err(error) => return drop(sender.send(Err(error))),
                };
                // An error on either channel means that the broker is no longer needed.
                if sender.send(Ok(cluster.bootstrap_servers())).is_ok() {
                    let _: Result<(), _> = stopped.recv();
                }
            })?;
        let servers = receiver.recv().map_err(|_| StartBrokerError::Ended)??;
        Ok(Broker {
            servers,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns the address of the broker: `host:port`.
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
            // The thread only waits for the channel, so a panic in it can be ignored.
            let _ = thread.join();
        }
    }
}

//! HTTP. For now the operations port alone: is it alive, is it ready, what do its numbers say.
//!
//! Promises that nothing a client sends changes anything. Must never name the store, and never answer with a secret.

mod operations;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use operations::operations;

use crate::health::Health;
use crate::metrics::Metrics;

/// Why the operations port does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address, as configured.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// It stopped answering.
    #[error("the operations port failed")]
    Serve(#[source] std::io::Error),
}

/// The operations port, bound and not yet answering: so that a taken port is told before anything else starts.
#[derive(Debug)]
pub struct Port {
    listener: TcpListener,
}

impl Port {
    /// Binds `address`. Errors if it is taken or not this machine's.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Self { listener }),
            Err(source) => Err(ServeError::Listen { address, source }),
        }
    }

    /// The address in fact, where a port of 0 was configured. Errors if the system does not tell.
    pub fn address(&self) -> Result<SocketAddr, ServeError> {
        self.listener.local_addr().map_err(ServeError::Serve)
    }

    /// Answers until `stop` is done and open requests are answered.
    pub async fn serve(
        self,
        health: Arc<Health>,
        metrics: Metrics,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let routes = operations(health, metrics);
        axum::serve(self.listener, routes).with_graceful_shutdown(stop).await.map_err(ServeError::Serve)
    }
}

#[cfg(test)]
mod tests;

//! HTTP. For now only the operations port: liveness, readiness and metrics.
//!
//! No request of a client changes anything. Must never name the store, and never answer with a
//! secret.

mod operations;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use operations::operations;

use ebbtide_base::health::Health;
use ebbtide_base::metrics::Metrics;

/// The reason why the operations port does not answer.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address, as configured.
        address: SocketAddr,
        /// The reason that the system reports.
        source: std::io::Error,
    },
    /// It stopped answering.
    #[error("the operations port failed")]
    Serve(#[source] std::io::Error),
}

/// The operations port, bound but not answering yet, so that a port in use is reported before
/// anything else starts.
#[derive(Debug)]
pub struct OperationsPort {
    listener: TcpListener,
}

impl OperationsPort {
    /// Binds `address`. Errors if it is in use or does not belong to this machine.
    pub async fn bind(address: SocketAddr) -> Result<Self, ServeError> {
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Self { listener }),
            Err(source) => Err(ServeError::Listen { address, source }),
        }
    }

    /// Returns the actual address, also if port 0 was configured. Errors if the system does not
    /// report it.
    pub fn address(&self) -> Result<SocketAddr, ServeError> {
        self.listener.local_addr().map_err(ServeError::Serve)
    }

    /// Serves requests until `stop` completes and the open requests are answered.
    pub async fn serve(
        self,
        health: Arc<Health>,
        metrics: Metrics,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let routes = operations(health, metrics);
        axum::serve(self.listener, routes)
            .with_graceful_shutdown(stop)
            .await
            .map_err(ServeError::Serve)
    }
}

#[cfg(test)]
mod tests;

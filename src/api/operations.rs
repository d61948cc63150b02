//! `/livez`, `/readyz` and `/metrics`: the requests of an orchestrator and of Prometheus.
//!
//! Alive means that the process answers; ready means that no part has a problem. They are separate
//! because a restart repairs neither a broker nor a registry that is down.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use ebbtide_base::health::Health;
use ebbtide_base::metrics::Metrics;

#[derive(Clone)]
struct Operations {
    health: Arc<Health>,
    metrics: Metrics,
}

/// Returns the routes of the operations port.
pub fn operations(health: Arc<Health>, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .fallback(unknown)
        .with_state(Operations { health, metrics })
}

async fn livez() -> Response {
    json(
        StatusCode::OK,
        "application/json",
        r#"{"alive":true}"#.to_owned(),
    )
}

async fn readyz(State(state): State<Operations>) -> Response {
    let readiness = state.health.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_string(&readiness) {
        Ok(body) => json(status, "application/json", body),
        Err(_) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the readiness cannot be written",
        ),
    }
}

async fn exposition(State(state): State<Operations>) -> Response {
    state
        .metrics
        .ready
        .set(i64::from(state.health.readiness().ready));
    match state.metrics.exposition() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(_) => problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written",
        ),
    }
}

async fn unknown() -> Response {
    problem(
        StatusCode::NOT_FOUND,
        "there are /livez, /readyz and /metrics",
    )
}

/// Returns an error in the form of RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let body = serde_json::json!({ "title": title, "status": status.as_u16(), "detail": detail });
    json(status, "application/problem+json", body.to_string())
}

fn json(status: StatusCode, media_type: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body).into_response()
}

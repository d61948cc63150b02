//! The operations port over a real socket.

use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use super::*;
use ebbtide_base::clock::ManualClock;
use ebbtide_base::health::Component;

struct Running {
    base: String,
    health: Arc<Health>,
    stop: tokio::sync::oneshot::Sender<()>,
    done: tokio::task::JoinHandle<Result<(), ServeError>>,
}

async fn running() -> Running {
    let port = OperationsPort::bind(([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let base = format!("http://{}", port.address().unwrap());
    let health = Arc::new(Health::starting(Arc::new(ManualClock::at(
        DateTime::UNIX_EPOCH,
    ))));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move { stopped.await.unwrap_or_default() };
    let done = tokio::spawn(port.serve(health.clone(), Metrics::new().unwrap(), stopped));
    Running {
        base,
        health,
        stop,
        done,
    }
}

async fn ask(running: &Running, path: &str) -> (u16, String, String) {
    let answer = reqwest::get(format!("{}{path}", running.base))
        .await
        .unwrap();
    let media_type = answer.headers()["content-type"]
        .to_str()
        .unwrap()
        .to_owned();
    (
        answer.status().as_u16(),
        media_type,
        answer.text().await.unwrap(),
    )
}

#[tokio::test]
async fn process_in_trouble_is_alive_not_ready_and_says_why_and_since_when() {
    let running = running().await;
    running.health.over(&Component::Process);
    running.health.trouble(Component::Registry, "timed out");
    assert_eq!(ask(&running, "/livez").await.0, 200);
    let (status, media_type, body) = ask(&running, "/readyz").await;
    assert_eq!((status, media_type.as_str()), (503, "application/json"));
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        serde_json::json!({
            "ready": false,
            "troubles": [{ "part": "registry", "reason": "timed out", "since": "1970-01-01T00:00:00Z" }],
        })
    );
    running.health.over(&Component::Registry);
    let (status, _, body) = ask(&running, "/readyz").await;
    assert_eq!(
        (status, body.as_str()),
        (200, r#"{"ready":true,"troubles":[]}"#)
    );
}

#[tokio::test]
async fn a_starting_process_is_not_ready() {
    let running = running().await;
    assert_eq!(ask(&running, "/readyz").await.0, 503);
    assert!(
        ask(&running, "/metrics")
            .await
            .2
            .contains("\nebbtide_ready 0\n")
    );
}

#[tokio::test]
async fn the_numbers_come_in_prometheus_text_format_and_say_whether_it_is_ready() {
    let running = running().await;
    running.health.over(&Component::Process);
    let (status, media_type, body) = ask(&running, "/metrics").await;
    assert_eq!(
        (status, media_type.as_str()),
        (200, "text/plain; version=0.0.4")
    );
    assert!(body.contains("\nebbtide_ready 1\n"), "{body}");
}

#[tokio::test]
async fn an_unknown_path_is_a_problem_that_names_the_known_ones() {
    let running = running().await;
    let (status, media_type, body) = ask(&running, "/").await;
    assert_eq!(
        (status, media_type.as_str()),
        (404, "application/problem+json")
    );
    assert!(body.contains("/readyz"), "{body}");
}

#[tokio::test]
async fn nothing_can_be_changed_through_the_port() {
    let running = running().await;
    let answer = reqwest::Client::new()
        .post(format!("{}/readyz", running.base))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn a_taken_port_is_reported_with_its_address() {
    let first = OperationsPort::bind(([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let address = first.address().unwrap();
    let error = OperationsPort::bind(address).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on {address}"));
}

#[tokio::test]
async fn it_stops_on_the_stop_signal() {
    let running = running().await;
    running.stop.send(()).unwrap();
    let stopped = tokio::time::timeout(Duration::from_secs(5), running.done).await;
    stopped.expect("it still answers").unwrap().unwrap();
}

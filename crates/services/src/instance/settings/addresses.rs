//! Checks the operations port against the servers of the same machine.

use url::{Host, Url};

use super::error;
use ebbtide_base::problem::Problem;
use ebbtide_config::{Config, Property};

pub(super) fn check(config: &Config) -> Vec<Problem> {
    const KEY: &str = "http.listen";
    let listen = config.http.listen;
    if !(listen.ip().is_loopback() || listen.ip().is_unspecified()) {
        return Vec::new();
    }
    let taken = servers(config)
        .into_iter()
        .find(|(_, server)| is_here(server, listen.port()));
    let problem = |(key, _): (&str, Url)| {
        let what = format!(
            "{listen} is the address of a server on this machine (`{key}`, {})",
            config.origins.of(key)
        );
        error(
            config,
            KEY,
            what,
            "write another port, such as 9464".to_owned(),
        )
    };
    taken.map(problem).into_iter().collect()
}

/// Returns the addresses of the servers that the configuration names.
fn servers(config: &Config) -> Vec<(&'static str, Url)> {
    let key = if config.origins.is_set("kafka.bootstrap_servers") {
        "kafka.bootstrap_servers"
    } else {
        "kafka.properties.bootstrap.servers"
    };
    let brokers = config
        .kafka
        .properties
        .get("bootstrap.servers")
        .map_or("", Property::expose);
    let broker =
        |text: &str| Url::parse(&format!("kafka://{}", text.rsplit("://").next()?.trim())).ok();
    let mut found: Vec<(&str, Url)> = brokers
        .split(',')
        .filter_map(broker)
        .map(|url| (key, url))
        .collect();
    let registries = config
        .schemas
        .registry
        .iter()
        .flat_map(|registry| registry.urls.iter().cloned());
    found.extend(registries.map(|url| ("schemas.registry.url", url)));
    let endpoint = config
        .store
        .endpoint
        .as_deref()
        .and_then(|text| Url::parse(text).ok());
    found.extend(endpoint.map(|url| ("store.endpoint", url)));
    found
}

/// Returns true if the server is on this machine, at that port.
fn is_here(server: &Url, port: u16) -> bool {
    let here = match server.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.starts_with("127."),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    here && server.port_or_known_default() == Some(port)
}

//! The ways to write a value in the file, with their limits, for `#[serde(with = "...")]`.
//!
//! A form that serializes with `collect_str` is shown without quotes, other texts with them
//! ([`super::show`]).

use std::net::SocketAddr;
use std::time::Duration;

use chrono::NaiveDate;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};
use url::Url;

use super::units::{DAY, ValueProblem, bytes, millis, show_bytes, show_duration};
use ebbtide_base::ids::Topic;

pub(super) mod path;

/// A duration from `LEAST` to `MOST` milliseconds.
pub(super) struct Time<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> Time<LEAST, MOST> {
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let show = |limit| match limit {
            0 => "0s".to_owned(),
            DAY => "24h".to_owned(),
            limit => show_duration(Duration::from_millis(limit)),
        };
        read(from, |text| {
            let value = within(millis(text)?, [LEAST, MOST], show)?;
            Ok(Duration::from_millis(value))
        })
    }

    pub fn serialize<S: Serializer>(value: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&show_duration(*value))
    }
}

/// A number of bytes from `LEAST` to `MOST`.
pub(super) struct Amount<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> Amount<LEAST, MOST> {
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        read(from, |text| within(bytes(text)?, [LEAST, MOST], show_bytes))
    }

    pub fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&show_bytes(*value))
    }
}

/// A whole number from `LEAST` to `MOST`.
pub(super) struct Number<const LEAST: u64, const MOST: u64>;

impl<const LEAST: u64, const MOST: u64> Number<LEAST, MOST> {
    pub fn deserialize<'de, D, T>(from: D) -> Result<T, D::Error>
    where
        D: Deserializer<'de>,
        T: TryFrom<u64>,
    {
        read(from, |text| {
            let refused = || {
                let what = format!("{text:?} is not a whole number");
                ValueProblem::new(what, "write digits alone")
            };
            let value = text.parse().map_err(|_| refused())?;
            let value = within(value, [LEAST, MOST], |limit| limit.to_string())?;
            T::try_from(value).map_err(|_| refused())
        })
    }
}

/// Reads a share from 0 to 1.
pub(super) fn share<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    read(from, |text| {
        let refused = |_| {
            let what = format!("{text:?} is not a number");
            ValueProblem::new(what, "write one like 0.2")
        };
        let share: f64 = text.parse().map_err(refused)?;
        // A value that is not a number is in no range.
        let share = if share.is_nan() { -1.0 } else { share };
        within(share, [0.0, 1.0], |limit| limit.to_string())
    })
}

/// Reads a day.
pub(super) fn date<'de, D: Deserializer<'de>>(from: D) -> Result<NaiveDate, D::Error> {
    read(from, |text| {
        let refused = |_| {
            let what = format!("{text:?} is not a date");
            ValueProblem::new(what, "write one like 2000-01-01")
        };
        text.parse().map_err(refused)
    })
}

/// Reads an address and a port.
pub(super) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<SocketAddr, D::Error> {
    read(from, |text| {
        let refused = |_| {
            let what = format!("{text:?} is not an address and port");
            ValueProblem::new(what, "write ADDRESS:PORT: 0.0.0.0:9464, [::]:9464")
        };
        text.parse().map_err(refused)
    })
}

/// Reads the name of a topic. The result may be optional.
pub(super) fn topic<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: From<String>,
{
    read(from, |text| match Topic::new(text) {
        Ok(topic) => Ok(T::from(topic.to_string())),
        Err(error) => {
            let what = format!("{text:?} is not a topic");
            Err(ValueProblem::new(what, error.why))
        }
    })
}

/// Reads the name of a consumer group.
pub(super) fn group<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    read(from, |text| {
        if text.trim() != text || text.contains(char::is_control) {
            return Err(ValueProblem::new(
                "the name of the group cannot be written elsewhere as it is here",
                "write it without spaces around it and without control characters",
            ));
        }
        Ok(text.to_owned())
    })
}

/// Reads the events that the log has: levels, and `target=level` parts.
pub(super) fn log_level<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let is_level =
        |level: &str| matches!(level, "off" | "error" | "warn" | "info" | "debug" | "trace");
    let is_part = |part: &str| match part.split_once('=') {
        Some((target, level)) => !target.trim().is_empty() && is_level(level.trim()),
        None => is_level(part.trim()),
    };
    read(from, |text| {
        if text.split(',').all(is_part) {
            return Ok(text.split(',').map(str::trim).collect::<Vec<_>>().join(","));
        }
        Err(ValueProblem::new(
            format!("{text:?} is not a log level"),
            "write off, error, warn, info, debug or trace, and target=level parts after it",
        ))
    })
}

/// A list of URLs of one registry, separated by commas.
pub(super) mod servers {
    use super::{Deserializer, Serializer, Url, ValueProblem, read};

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Url>, D::Error> {
        read(from, |text| {
            text.split(',').map(|url| server(url.trim())).collect()
        })
    }

    pub fn serialize<S: Serializer>(urls: &[Url], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&urls.iter().map(Url::as_str).collect::<Vec<_>>().join(","))
    }

    fn server(text: &str) -> Result<Url, ValueProblem> {
        const FORM: &str = "write https://HOST:PORT, or a list of them with commas";
        match Url::parse(text) {
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                let fix = "write them under `basic`";
                Err(ValueProblem::new("the URL holds credentials", fix))
            }
            Ok(url) if !matches!(url.scheme(), "http" | "https") || !url.has_host() => {
                Err(ValueProblem::new("the URL is neither http nor https", FORM))
            }
            Ok(url) => Ok(url),
            Err(error) => Err(ValueProblem::new(format!("not a URL: {error}"), FORM)),
        }
    }
}

/// Returns the problem of a text that is not one of `choices`.
pub(super) fn not_a_choice(text: &str, choices: &[&str]) -> ValueProblem {
    ValueProblem::new(
        format!("{text:?} is not known here"),
        format!("write {}", choices.join(" or ")),
    )
}

fn read<'de, D, T>(from: D, parse: impl Fn(&str) -> Result<T, ValueProblem>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
{
    parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

fn within<T: PartialOrd + Copy>(
    value: T,
    [least, most]: [T; 2],
    show: impl Fn(T) -> String,
) -> Result<T, ValueProblem> {
    if value < least || value > most {
        return Err(ValueProblem::new(
            "the value is out of its range",
            format!("write one between {} and {}", show(least), show(most)),
        ));
    }
    Ok(value)
}

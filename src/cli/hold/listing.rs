//! `ebbtide hold list`: every hold with its state, and the tables in which it is in force.

use std::fmt::{self, Write};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::HoldError;
use crate::cli::{CommandOutput, OutputFormat, json};
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::{Controls, HoldState, LoggedHold, Scope, standing};
use ebbtide_table::{ControlsVersion, Root};

/// A hold as it is listed.
#[derive(Serialize)]
struct Listed {
    id: String,
    state: &'static str,
    control: i64,
    case: String,
    basis: String,
    placed_at: DateTime<Utc>,
    until: DateTime<Utc>,
    #[serde(skip_serializing_if = "Option::is_none")]
    released_at: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    products: Vec<ProductKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<DateTime<Utc>>,
    /// True if its scope is forgotten.
    forgotten: bool,
    /// The tables in which it, or its release, is in force.
    tables: Vec<ProductKey>,
    /// The tables that it covers and in which it, or its release, is not in force yet.
    missing: Vec<ProductKey>,
    #[serde(skip)]
    scope: Option<Scope>,
}

pub(super) async fn list(
    root: &Root,
    now: DateTime<Utc>,
    reveal: bool,
    output: OutputFormat,
) -> Result<CommandOutput, HoldError> {
    let tables = standing(root).await?;
    let known = tables
        .iter()
        .map(|(_, version)| *version)
        .max()
        .unwrap_or_default();
    let controls = Controls::load(root, known).await?;
    let listed: Vec<Listed> = controls
        .holds(now)
        .iter()
        .map(|known| listed(known, &tables, reveal))
        .collect();
    let whole = listed.iter().all(|hold| hold.missing.is_empty());
    let out = match output {
        OutputFormat::Json => json(&listed),
        OutputFormat::Text => text(&listed, reveal)?,
    };
    Ok(if whole {
        CommandOutput::done(out)
    } else {
        CommandOutput::problem(out)
    })
}

fn listed(
    known: &LoggedHold<'_>,
    tables: &[(ProductKey, ControlsVersion)],
    reveal: bool,
) -> Listed {
    let (state, released_at, wanted) = match known.state {
        HoldState::InForce => ("in force", None, known.version),
        HoldState::Ended => ("ended", None, known.version),
        HoldState::Released { at, by } => ("released", Some(at), by),
    };
    let (case, basis, placed_at, until) = match known.hold {
        Ok(hold) => (&hold.case, &hold.basis, hold.placed_at, hold.until),
        Err(past) => (&past.case, &past.basis, past.placed_at, past.until),
    };
    let scope = known.hold.ok().map(|hold| hold.scope.clone());
    let products = known.hold.map_or_else(
        |past| past.products.clone(),
        |hold| hold.scope.products.clone(),
    );
    let covered = tables
        .iter()
        .filter(|(product, _)| products.is_empty() || products.contains(product));
    let (there, missing): (Vec<_>, Vec<_>) = covered.partition(|(_, version)| *version >= wanted);
    let names = |tables: Vec<&(ProductKey, ControlsVersion)>| {
        tables.into_iter().map(|(name, _)| name.clone()).collect()
    };
    let events = scope.as_ref().and_then(|scope| scope.events);
    Listed {
        id: known.id().to_string(),
        state,
        control: known.version.0,
        case: case.clone(),
        basis: basis.clone(),
        placed_at,
        until,
        released_at,
        subject: scope.as_ref().and_then(|scope| told_subject(scope, reveal)),
        tenant: scope.as_ref().and_then(|scope| scope.tenant.clone()),
        products,
        from: events.and_then(|range| range.from),
        to: events.and_then(|range| range.to),
        forgotten: scope.is_none(),
        tables: names(there),
        missing: names(missing),
        scope,
    }
}

fn told_subject(scope: &Scope, reveal: bool) -> Option<String> {
    scope.subject.as_ref().map(|subject| {
        if reveal {
            subject.revealed()
        } else {
            subject.to_string()
        }
    })
}

fn text(holds: &[Listed], reveal: bool) -> Result<String, fmt::Error> {
    let mut out = String::new();
    if holds.is_empty() {
        writeln!(out, "There are no holds.")?;
    }
    for (number, hold) in holds.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        let at = hold
            .released_at
            .map_or_else(String::new, |at| format!(" at {}", instant(at)));
        writeln!(out, "{}  {}{at}", hold.id, hold.state)?;
        writeln!(out, "  case      {}", hold.case)?;
        writeln!(out, "  basis     {}", hold.basis)?;
        writeln!(
            out,
            "  placed    {}, as control {}",
            instant(hold.placed_at),
            hold.control
        )?;
        writeln!(out, "  until     {}", instant(hold.until))?;
        match &hold.scope {
            Some(scope) => scope_lines(&mut out, scope, reveal)?,
            None => writeln!(out, "  covered   is forgotten")?,
        }
        let told = if hold.released_at.is_some() {
            "released"
        } else {
            "tables  "
        };
        writeln!(out, "  {told}  {}", names(&hold.tables))?;
        if !hold.missing.is_empty() {
            writeln!(
                out,
                "  MISSING   {}: finish it with `ebbtide hold list --repair`",
                names(&hold.missing)
            )?;
        }
    }
    Ok(out)
}

/// Writes the conditions of a scope, one per line.
pub(super) fn scope_lines(out: &mut String, scope: &Scope, reveal: bool) -> fmt::Result {
    if let Some(subject) = told_subject(scope, reveal) {
        writeln!(out, "  subject   {subject}")?;
    }
    if let Some(tenant) = &scope.tenant {
        writeln!(out, "  tenant    {tenant}")?;
    }
    writeln!(
        out,
        "  products  {}",
        if scope.products.is_empty() {
            "all".to_owned()
        } else {
            names(&scope.products)
        }
    )?;
    if let Some(range) = scope.events {
        let ends = [
            range.from.map(|from| format!("from {}", instant(from))),
            range.to.map(|to| format!("before {}", instant(to))),
        ];
        writeln!(
            out,
            "  events    {}",
            ends.into_iter().flatten().collect::<Vec<_>>().join(" and ")
        )?;
    }
    Ok(())
}

/// Lists products in one line.
pub(super) fn names(products: &[ProductKey]) -> String {
    match products {
        [] => "no table".to_owned(),
        some => some
            .iter()
            .map(ProductKey::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// Formats an instant as every output writes it.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}

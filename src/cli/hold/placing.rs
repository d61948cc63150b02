//! `ebbtide hold place`: makes an order from the options, and reports it.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{HoldError, listing, signature, value_of_stdin};
use crate::cli::commit_clock::UrgentTime;
use crate::cli::report::national_note;
use crate::cli::time_arg::{TimeArg, utc_and_local};
use crate::cli::{CommandOutput, OutputFormat, json};
use ebbtide_base::ids::ProductKey;
use ebbtide_base::problem::nearest;
use ebbtide_controls::{HoldOrder, PlaceHoldError, Scope, Subject, TimeRange, place, reading};
use ebbtide_policy::{Policy, Records};
use ebbtide_query::products;
use ebbtide_table::Root;

pub(super) const EXAMPLES: &str = "\
Examples:
  ebbtide hold place --case 2026-17 --basis 'court order' --until 2027-06-30 --subject phone:+31612345678 --dry-run
  ebbtide hold place --case 2026-18 --basis 'art. 126ni Sv' --until 2027-01-31 \\
      --tenant customer-1 --product sms --product voice --from 2026-09-01 --to 2026-09-30
  printf 'email:ann@example.org' | ebbtide hold place --case 2026-19 --basis litigation --until 2028-12-31 --subject -";

#[derive(Debug, clap::Args)]
pub(super) struct PlaceHoldArgs {
    /// The reference of the case in your own files.
    #[arg(long, value_name = "REFERENCE")]
    case: String,
    /// The legal basis.
    #[arg(long, value_name = "TEXT")]
    basis: String,
    /// The last day of the hold, or the instant at which it ends.
    #[arg(long, value_name = "DATE")]
    until: String,
    /// A person that the record names: phone:+31612345678, email:ann@example.org or
    /// channel:whatsapp:ID. With `-` it is read from standard input, and so is not in the history
    /// of the shell.
    #[arg(long, value_name = "KIND:VALUE")]
    subject: Option<String>,
    /// The tenant of the record, as it is stored in the table. If a product stores no tenant,
    /// records of every tenant are held.
    #[arg(long)]
    tenant: Option<String>,
    /// A product whose records are held; can be repeated. Without it, records of every product.
    #[arg(long = "product", value_name = "PRODUCT", value_parser = ProductKey::new)]
    products: Vec<ProductKey>,
    /// The first day of the event, or its first instant.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last day of the event (the whole day is held), or the first instant after it.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Show what would be held, and change nothing.
    #[arg(long)]
    dry_run: bool,
}

/// The report about a hold, in JSON.
#[derive(Serialize)]
struct HoldReport<'a> {
    placed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    control: Option<i64>,
    until: DateTime<Utc>,
    tables: &'a [CoveredTable],
    notes: &'a [String],
}

/// A table that a hold covers, and what its conditions mean there.
#[derive(Serialize)]
struct CoveredTable {
    product: ProductKey,
    reading: Vec<String>,
}

impl PlaceHoldArgs {
    pub(super) async fn run(
        &self,
        root: &Root,
        policy: &Policy,
        time: &UrgentTime,
        output: OutputFormat,
    ) -> Result<CommandOutput, HoldError> {
        let order = self.order(policy)?;
        order.scope.check().map_err(PlaceHoldError::from)?;
        let at = time.before(order.until);
        if order.until <= at {
            return Err(PlaceHoldError::Over(order.until).into());
        }
        let existing = products(root).await?;
        self.check_products(policy, &order.scope, &existing)?;
        let (until, scope) = (order.until, order.scope.clone());
        let placed = match self.dry_run {
            true => None,
            false => Some(place(root, order, &signature(policy.version.clone(), at)).await?),
        };
        let tables = placed
            .as_ref()
            .map_or(existing, |placed| placed.tables.clone());
        let tables: Vec<CoveredTable> = tables
            .into_iter()
            .filter(|product| scope.covers(product))
            .map(|product| CoveredTable {
                reading: reading(&scope, records(policy, &product)),
                product,
            })
            .collect();
        let notes = notes(&scope);
        let told = HoldReport {
            placed: placed.is_some(),
            id: placed.as_ref().map(|placed| placed.id.to_string()),
            control: placed.as_ref().map(|placed| placed.version.0),
            until,
            tables: &tables,
            notes: &notes,
        };
        let out = match output {
            OutputFormat::Json => json(&told),
            OutputFormat::Text => text(&told, &utc_and_local(until, policy), &scope)?,
        };
        Ok(CommandOutput {
            out,
            err: time.warning(at),
            ..CommandOutput::default()
        })
    }

    fn order(&self, policy: &Policy) -> Result<HoldOrder, HoldError> {
        let subject = match self.subject.as_deref() {
            Some("-") => Some(value_of_stdin()?.parse::<Subject>()?),
            Some(text) => Some(text.parse::<Subject>()?),
            None => None,
        };
        for (name, value) in [("--case", &self.case), ("--basis", &self.basis)] {
            if value.trim().is_empty() {
                return Err(HoldError::Use(format!("{name} is empty")));
            }
        }
        let from = self
            .from
            .as_deref()
            .map(|text| TimeArg::parse("--from", text))
            .transpose()?;
        let to = self
            .to
            .as_deref()
            .map(|text| TimeArg::parse("--to", text))
            .transpose()?;
        let range = TimeRange {
            from: from.map(|from| from.start(policy)),
            to: to.map(|to| to.end(policy)),
        };
        let events = (range.from.is_some() || range.to.is_some()).then_some(range);
        let mut products = self.products.clone();
        products.sort();
        products.dedup();
        Ok(HoldOrder {
            case: self.case.clone(),
            basis: self.basis.clone(),
            until: TimeArg::parse("--until", &self.until)?.end(policy),
            placed_by: None,
            scope: Scope {
                subject,
                tenant: self.tenant.clone(),
                products,
                events,
            },
        })
    }

    /// Refuses a product that does not exist, or in which no record can match.
    fn check_products(
        &self,
        policy: &Policy,
        scope: &Scope,
        existing: &[ProductKey],
    ) -> Result<(), HoldError> {
        for product in &self.products {
            let Some(records) = records(policy, product) else {
                if existing.contains(product) {
                    continue;
                }
                let known = policy
                    .products
                    .values()
                    .filter(|product| product.records.is_some());
                let near = nearest(product.as_str(), known.map(|product| product.key.as_str()));
                let near =
                    near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                return Err(HoldError::Use(format!(
                    "there are no records of a product `{product}`{near}"
                )));
            };
            if let Some(subject) = &scope.subject
                && !records
                    .subjects
                    .iter()
                    .any(|of| subject.kind.is_of(&of.kind))
            {
                return Err(HoldError::Use(format!(
                    "`{product}` has no {} subject, so none of its records can match; leave it out",
                    subject.kind
                )));
            }
        }
        Ok(())
    }
}

fn records<'a>(policy: &'a Policy, product: &ProductKey) -> Option<&'a Records> {
    policy.products.get(product)?.records.as_ref()
}

/// Returns the notes about a scope that may not mean what it seems to mean.
fn notes(scope: &Scope) -> Vec<String> {
    let mut notes: Vec<String> = national_note(scope.subject.as_ref(), "held")
        .into_iter()
        .collect();
    if scope.subject.is_some() {
        notes.push(
            "a record whose subject is deleted already names nobody, and is not held".to_owned(),
        );
    }
    notes
}

fn text(told: &HoldReport<'_>, until: &str, scope: &Scope) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    match (&told.id, told.control) {
        (Some(id), Some(control)) => {
            writeln!(out, "{id} is in force until {until}, as control {control}")?;
        }
        _ => writeln!(
            out,
            "Nothing was placed. This hold would be in force until {until}"
        )?,
    }
    listing::scope_lines(&mut out, scope, false)?;
    let tables = if told.placed {
        "In force in"
    } else {
        "It would be in force in"
    };
    match told.tables {
        [] => writeln!(
            out,
            "\nNo table is covered yet; those made later begin under it"
        )?,
        some => {
            writeln!(out, "\n{tables} these tables, and in those made later:")?;
            let width = some
                .iter()
                .map(|table| table.product.as_str().len())
                .max()
                .unwrap_or(0);
            for table in some {
                writeln!(
                    out,
                    "  {:<width$}  {}",
                    table.product.as_str(),
                    table.reading.join(", ")
                )?;
            }
        }
    }
    for note in told.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(out)
}

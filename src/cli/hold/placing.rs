//! `ebbtide hold place`: makes a request from the options.

use crate::cli::CommandFailure;
use crate::cli::stdin::value_of_stdin;
use crate::cli::time_arg::{TimeArg, time_range};
use ebbtide_base::ids::ProductKey;
use ebbtide_controls::{HoldOrder, Scope, Subject};
use ebbtide_policy::Policy;
use ebbtide_services::holds::HoldRequest;
use ebbtide_services::notices::sorted;

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

impl PlaceHoldArgs {
    /// Returns the request that the options make under a policy.
    pub(super) fn request(&self, policy: &Policy) -> Result<HoldRequest, CommandFailure> {
        let subject = match self.subject.as_deref() {
            Some("-") => Some(value_of_stdin()?.parse::<Subject>()?),
            Some(text) => Some(text.parse::<Subject>()?),
            None => None,
        };
        let events = time_range(self.from.as_deref(), self.to.as_deref(), policy)?;
        let order = HoldOrder {
            case: self.case.clone(),
            basis: self.basis.clone(),
            until: TimeArg::parse("--until", &self.until)?.end(policy),
            placed_by: None,
            scope: Scope {
                subject,
                tenant: self.tenant.clone(),
                products: sorted(&self.products),
                events,
            },
        };
        Ok(HoldRequest {
            order,
            dry_run: self.dry_run,
        })
    }
}

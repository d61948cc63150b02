//! The report at the end of the demo: whether every record is accounted for, whether data is left
//! that must be deleted, which data is not due yet, and commands with which the user can check it.

use std::fmt::Write;
use std::path::PathBuf;

use super::months_run::MonthsReport;
use super::months_snapshot::day;
use super::text::{bytes, count};
use ebbtide_base::ids::ProductKey;
use ebbtide_query::Audit;
use ebbtide_query::residue::ResidueOutcome;

/// The name of the file with the planted values.
pub(super) const VALUES: &str = "planted.txt";

/// The result of a demo.
#[derive(Debug)]
pub struct DemoReport {
    /// The folder with all files of the demo.
    pub folder: PathBuf,
    /// The result of each product.
    pub products: Vec<ProductResult>,
    /// The result of the months; `None` if they did not pass to their end.
    pub passed: Option<MonthsReport>,
}

/// The result of one product.
#[derive(Debug)]
pub struct ProductResult {
    /// The product.
    pub product: ProductKey,
    /// Records sent.
    pub sent: u64,
    /// The audit of its table.
    pub audit: Audit,
}

impl ProductResult {
    /// Returns the number of records read, according to the evidence in the table.
    fn read(&self) -> u64 {
        self.audit.totals.map_or(0, |totals| totals.read)
    }

    /// Returns true if every record sent is accounted for and the audit of the table found nothing
    /// wrong.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.audit.holds() && self.read() == self.sent
    }

    fn verdict(&self) -> String {
        if !self.audit.holds() {
            return self
                .audit
                .broken
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ");
        }
        match self.sent.checked_sub(self.read()) {
            Some(0) => "ok".to_owned(),
            Some(missing) => format!("{} not read before the end", count(missing)),
            None => "read more than was sent".to_owned(),
        }
    }
}

impl DemoReport {
    /// Returns true if every record of every product is accounted for and no check of the months
    /// failed.
    #[must_use]
    pub fn holds(&self) -> bool {
        let nothing_broken = self
            .passed
            .as_ref()
            .is_none_or(|passed| passed.broken().is_empty());
        self.products.iter().all(ProductResult::holds) && nothing_broken
    }

    /// Returns the report as text for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        self.record_counts(to)?;
        if let Some(passed) = &self.passed {
            expiry(passed, to)?;
        }
        self.commands(to)
    }

    /// Writes the number of records of each product by outcome.
    fn record_counts(&self, to: &mut String) -> std::fmt::Result {
        writeln!(
            to,
            "{:<14} {:>8} {:>8} {:>8} {:>5} {:>8} {:>8} {:>9} {:>9} {:>10}  audit",
            "product",
            "sent",
            "stored",
            "expired",
            "dead",
            "removed",
            "suppr.",
            "left",
            "segments",
            "size"
        )?;
        for outcome in &self.products {
            let totals = outcome.audit.totals.unwrap_or_default();
            writeln!(
                to,
                "{:<14} {:>8} {:>8} {:>8} {:>5} {:>8} {:>8} {:>9} {:>9} {:>10}  {}",
                outcome.product.as_str(),
                count(outcome.sent),
                count(totals.stored),
                count(totals.expired),
                count(totals.dead_letters),
                count(totals.removed),
                count(totals.suppressed),
                count(outcome.audit.records),
                count(outcome.audit.segments),
                bytes(outcome.audit.bytes),
                outcome.verdict()
            )?;
        }
        let sent = count(self.products.iter().map(|outcome| outcome.sent).sum());
        if self.products.iter().all(ProductResult::holds) {
            writeln!(
                to,
                "\nEach of the {sent} records sent was stored, expired on arrival or is a dead letter, once; and each that was\n\
                 stored is left, as a record or in a cell, or was removed or suppressed (too few people for a cell)."
            )
        } else {
            writeln!(
                to,
                "\nNot every one of the {sent} records sent is accounted for: see above."
            )
        }
    }

    fn commands(&self, to: &mut String) -> std::fmt::Result {
        let folder = self.folder.display();
        let sms = self.folder.join("data/tables/sms");
        let sms = sms.display();
        writeln!(
            to,
            "\nThe tables are in {folder}/data/tables, one Delta Lake table each. Any engine reads them:\n"
        )?;
        writeln!(
            to,
            "  duckdb -c \"INSTALL delta; LOAD delta; SELECT recipient_country, sum(records) AS records, count(*) AS rows \
             FROM delta_scan('{sms}') GROUP BY ALL ORDER BY records DESC LIMIT 9\""
        )?;
        writeln!(
            to,
            "  python3 -c \"import polars as pl; print(pl.scan_delta('{sms}').group_by('recipient_country')\
             .agg(pl.col('records').sum()).sort('records', descending=True).head(9).collect())\"  \
             # pip install polars deltalake"
        )?;
        writeln!(
            to,
            "\nWith the policy and configuration that it ran with:\n"
        )?;
        let config = format!("--config {folder}/config/ebbtide.yaml");
        writeln!(to, "  ebbtide table audit sms {config}")?;
        writeln!(to, "  ebbtide residue --values {folder}/{VALUES} {config}")?;
        writeln!(to, "  ebbtide history sms {config}")?;
        writeln!(
            to,
            "  ebbtide why --product sms --topic traffic.sms --partition 0 --offset 0 {config}"
        )?;
        writeln!(
            to,
            "  ebbtide policy explain --product sms --country IT --policy {folder}/config/policy.yaml"
        )
    }
}

/// Writes the result of the months.
fn expiry(passed: &MonthsReport, to: &mut String) -> std::fmt::Result {
    let [placed, kept, after] = passed.held.map(count);
    writeln!(
        to,
        "\nHeld and released: {placed} records when the hold was placed, {kept} when those of other people were deleted, {after} after it."
    )?;
    let verdict = match passed.residue.verdict() {
        ResidueOutcome::Clean => "none: clean",
        ResidueOutcome::Found => "SOME",
        ResidueOutcome::Incomplete => "none, but not everything could be searched",
    };
    writeln!(
        to,
        "Residue: of {} planted values a search of every byte found {} before the months; after them, in {} files, {verdict}.",
        count(passed.values as u64),
        count(passed.found_before as u64),
        count(passed.residue.files)
    )?;
    for finding in passed.residue.findings.iter().take(10) {
        writeln!(to, "  values line {}: {finding}", finding.line)?;
    }
    for missed in passed.residue.unsearched.iter().take(10) {
        writeln!(to, "  not searched: {}: {}", missed.file, missed.why)?;
    }
    for broken in passed.broken() {
        writeln!(to, "NOT AS IT SHOULD BE: {broken}")?;
    }
    writeln!(
        to,
        "\nStill there on {}, because it is not due:",
        day(passed.end)
    )?;
    for (category, fields) in &passed.left.fields {
        let next = fields
            .next
            .map(|next| format!("{} from {} on", count(fields.dated), day(next.0)));
        let open =
            (fields.open > 0).then(|| format!("{} when a contract ends", count(fields.open)));
        let when: Vec<String> = next.into_iter().chain(open).collect();
        if !when.is_empty() {
            writeln!(to, "  {:<16} {}", category.as_str(), when.join(", "))?;
        }
    }
    Ok(())
}

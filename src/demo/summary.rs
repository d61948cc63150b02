//! What the demo says when it is over: whether every record is accounted for, and how to look at the tables.

use std::fmt::Write;
use std::path::PathBuf;

use super::text::{bytes, count};
use crate::ids::ProductKey;
use crate::store::Audit;

/// What became of a demo.
#[derive(Debug)]
pub struct Summary {
    /// Where everything lies.
    pub folder: PathBuf,
    /// Each product: records sent, and the audit of its table.
    pub products: Vec<Outcome>,
}

/// What became of one product.
#[derive(Debug)]
pub struct Outcome {
    /// The product.
    pub product: ProductKey,
    /// Records sent.
    pub sent: u64,
    /// The audit of its table.
    pub audit: Audit,
}

impl Outcome {
    /// Records that the table's evidence says were read.
    fn read(&self) -> u64 {
        self.audit.totals.map_or(0, |totals| totals.read)
    }

    /// Whether every record sent is accounted for, and the table's books balance.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.audit.holds() && self.read() == self.sent
    }

    fn verdict(&self) -> String {
        if !self.audit.holds() {
            return self.audit.broken.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        }
        match self.sent.checked_sub(self.read()) {
            Some(0) => "ok".to_owned(),
            Some(missing) => format!("{} not read before the end", count(missing)),
            None => "read more than was sent".to_owned(),
        }
    }
}

impl Summary {
    /// Whether all of it holds.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.products.iter().all(Outcome::holds)
    }

    /// The report, for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, to: &mut String) -> std::fmt::Result {
        writeln!(
            to,
            "{:<14} {:>9} {:>9} {:>8} {:>5} {:>9} {:>11}  audit",
            "product", "sent", "stored", "expired", "dead", "segments", "size"
        )?;
        for outcome in &self.products {
            let totals = outcome.audit.totals.unwrap_or_default();
            writeln!(
                to,
                "{:<14} {:>9} {:>9} {:>8} {:>5} {:>9} {:>11}  {}",
                outcome.product.as_str(),
                count(outcome.sent),
                count(totals.stored),
                count(totals.expired),
                count(totals.dead_letters),
                count(outcome.audit.segments),
                bytes(outcome.audit.bytes),
                outcome.verdict()
            )?;
        }
        let sent = count(self.products.iter().map(|outcome| outcome.sent).sum());
        if self.holds() {
            writeln!(to, "\nEach of the {sent} records sent is stored, expired on arrival or a dead letter, once.")?;
        } else {
            writeln!(to, "\nNot every one of the {sent} records sent is accounted for: see above.")?;
        }
        let folder = self.folder.display();
        let sms = self.folder.join("tables/sms");
        let sms = sms.display();
        writeln!(to, "\nThe tables are in {folder}/tables, one Delta Lake table each. Any engine reads them:\n")?;
        writeln!(
            to,
            "  duckdb -c \"INSTALL delta; LOAD delta; SELECT jurisdiction, count(*) AS records, \
             min(expires_phone_number) AS first_due FROM delta_scan('{sms}') GROUP BY ALL ORDER BY records DESC LIMIT 9\""
        )?;
        writeln!(
            to,
            "  python3 -c \"import polars as pl; print(pl.scan_delta('{sms}').group_by('jurisdiction')\
             .agg(pl.len(), pl.col('expires_phone_number').min()).sort('len', descending=True).head(9).collect())\"  \
             # pip install polars deltalake"
        )?;
        writeln!(to, "\nWith the policy and configuration that it ran with:\n")?;
        writeln!(to, "  ebbtide table show sms --config {folder}/config/ebbtide.yaml")?;
        writeln!(to, "  ebbtide policy explain --product sms --country IT --policy {folder}/config/policy.yaml")
    }
}

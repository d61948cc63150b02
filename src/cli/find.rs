//! `ebbtide find`: a person's records in all tables, with their tags.
//!
//! The searched value appears in no error message and no log. Records are written as they are read.
//! The exit code is like that of `grep`: 0 records were found, 1 none were found and the answer is
//! complete, 2 the answer is not complete.

mod columnar;
mod csv;
mod json;

mod output;
mod report;
mod text;
mod values;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::ValueEnum;
use futures::StreamExt;
use tokio::time::interval;

use super::hold::{StdinError, value_of_stdin};
use super::root_args::{LocateRootError, RootArgs};
use super::time_arg::{ParseTimeError, TimeArg};
use super::{CommandOutput, clock};
use ebbtide_base::ids::{Country, ProductKey};
use ebbtide_controls::{Subject, SubjectError, TimeRange};
use ebbtide_policy::Policy;
use ebbtide_services::app::{ReadPolicyError, read_policy};
use ebbtide_services::record_search::{
    FindError, RecordSearch, SearchEvent, SearchProgress, SearchRequest, SearchTables, SkipReason,
};
use ebbtide_table::TableSpec;
use output::{RecordOutput, WriteRecordsError};
use report::{SearchReport, SkippedTable, TableSearchReport};

/// The number of bytes of footers that are kept in memory.
const FOOTERS: usize = 256 << 20;

/// The interval between the progress messages of a slow search.
const TELL_EVERY: Duration = Duration::from_secs(2);

/// Find the records of a person in all tables, with the deadline of each field.
///
/// Shows the fields that a sweep would keep now: expired fields are withheld even if no sweep has
/// deleted them yet. A held record is shown in full, with the name of the hold. Anonymous cells
/// belong to no person and are never shown.
///
/// Exit code 0: records were found. 1: none were found, and every table that may have such records
/// was read. 2: the answer is not complete; output before the error is not all.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  ebbtide find --subject phone:+31612345678
  ebbtide find --subject ann@example.org --kind email --product email --from 2026-09-01 --output csv --file ann.csv
  printf 'phone:+31612345678' | ebbtide find --subject - --output json
  ebbtide find --tenant customer-1 --product sms --from 2026-11-01 --to 2026-11-07 --output parquet --file week.parquet")]
pub(super) struct FindArgs {
    /// A person that the record names: phone:+31612345678, email:ann@example.org or
    /// channel:whatsapp:ID. With `-` it is read from standard input, and so is not in the history
    /// of the shell.
    #[arg(long, value_name = "KIND:VALUE")]
    subject: Option<SecretText>,
    /// The kind of the subject, if it is given without one: phone, email or channel.
    #[arg(long, value_enum, requires = "subject")]
    kind: Option<SubjectKindArg>,
    /// The tenant of the record, as it is stored in the table.
    #[arg(long)]
    tenant: Option<String>,
    /// The country whose rules apply to the record.
    #[arg(long, value_name = "COUNTRY", value_parser = Country::new)]
    jurisdiction: Option<Country>,
    /// A product whose records are searched; can be repeated. Without it, records of every product.
    #[arg(long = "product", value_name = "PRODUCT", value_parser = ProductKey::new)]
    products: Vec<ProductKey>,
    /// The first day of the event, or its first instant.
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// The last day of the event (the whole day counts), or the first instant after it.
    #[arg(long, value_name = "DATE")]
    to: Option<String>,
    /// Show at most this number of records.
    #[arg(long, value_name = "RECORDS")]
    limit: Option<u64>,
    /// How to write the records.
    #[arg(long, value_enum, default_value_t)]
    output: RecordFormat,
    /// Write the records to this new file. For parquet: a folder with one file for each product,
    /// unless exactly one product is given.
    #[arg(long, required_if_eq("output", "parquet"))]
    file: Option<PathBuf>,
    /// The policy. Without it, `policy` of the configuration.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    place: RootArgs,
}

/// A text that must not be shown.
#[derive(Clone)]
struct SecretText(String);

impl std::fmt::Debug for SecretText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("...")
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// The result of a search that did not fail.
struct FindResult {
    records: u64,
    /// True if everything that may have such records was read.
    all: bool,
}

/// A file that is deleted if its answer is not complete.
struct PartialFile<'a>(Option<&'a PathBuf>);

impl Drop for PartialFile<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            // This command created the file, and has not reported it yet.
            let _ = std::fs::remove_file(file);
        }
    }
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum RecordFormat {
    /// For people: one record after the other, each field with its deadline.
    #[default]
    Table,
    /// One JSON document, a record a line.
    Json,
    /// Comma-separated values with a header.
    Csv,
    /// A Parquet file for each product.
    Parquet,
}

/// The kinds of identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SubjectKindArg {
    Phone,
    Email,
    Channel,
}

/// The reason why there is no complete answer.
#[derive(Debug, thiserror::Error)]
enum FindCliError {
    #[error(transparent)]
    Place(#[from] LocateRootError),
    #[error(transparent)]
    UnreadablePolicy(#[from] ReadPolicyError),
    #[error(
        "which columns name somebody is in the policy: name one that is without errors, by --policy or the configuration"
    )]
    Policy,
    #[error(transparent)]
    Subject(#[from] SubjectError),
    #[error(transparent)]
    When(#[from] ParseTimeError),
    #[error("{}: {error}", file.display())]
    File { file: PathBuf, error: io::Error },
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Sheet(#[from] WriteRecordsError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Stdin(#[from] StdinError),
}

impl FindArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer(&mut BufWriter::new(io::stdout().lock()), clock().now())
    }

    /// Writes the records to `out`, or to the file that the caller named. The outcome has the rest.
    fn answer(&self, out: &mut dyn Write, now: DateTime<Utc>) -> CommandOutput {
        let mut told = String::new();
        let code = match self.find(out, &mut told, now) {
            Ok(FindResult { records: 1.., .. }) => 0,
            Ok(FindResult { all: true, .. }) => 1,
            Ok(FindResult { .. }) => 2,
            // The reader closed the pipe: it needs no more.
            Err(FindCliError::Sheet(error)) if error.is_closed() => 0,
            Err(error) => {
                told += &format!("error: {error}\n");
                2
            }
        };
        CommandOutput {
            err: told,
            code,
            ..CommandOutput::default()
        }
    }

    fn find(
        &self,
        out: &mut dyn Write,
        told: &mut String,
        now: DateTime<Utc>,
    ) -> Result<FindResult, FindCliError> {
        let root = self.place.root()?;
        let policy = Arc::new(self.policy()?);
        let inquiry = self.inquiry(&policy)?;
        let desk = Arc::new(RecordSearch::new(root, Arc::clone(&policy), FOOTERS));
        let runtime = super::runtime()?;
        let tables = runtime.block_on(desk.tables(&inquiry))?;
        let mut file;
        let mut unfinished = PartialFile(None);
        let out: &mut dyn Write = match (&self.file, self.output) {
            (Some(path), RecordFormat::Table | RecordFormat::Json | RecordFormat::Csv) => {
                let new = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(path);
                let new = new.map_err(|error| FindCliError::File {
                    file: path.clone(),
                    error,
                })?;
                unfinished.0 = Some(path);
                file = BufWriter::new(new);
                &mut file
            }
            _ => out,
        };
        let mut sheet = self.sheet(out, &desk, (&tables, &policy), now);
        let found = runtime.block_on(self.look(&desk, (&inquiry, &tables), &mut sheet, now))?;
        sheet.end(&found)?;
        unfinished.0 = None;
        *told += &found.text(&inquiry);
        let unknown = found.tables.iter().any(|table| table.unknown > 0);
        let records = found.tables.iter().map(|table| table.records).sum();
        let strange = tables
            .passed
            .iter()
            .any(|(_, why)| *why == SkipReason::NotInPolicy);
        Ok(FindResult {
            records,
            all: !unknown && !strange,
        })
    }

    fn policy(&self) -> Result<Policy, FindCliError> {
        let file = match &self.policy {
            Some(file) => file.clone(),
            None => self.place.config().ok_or(FindCliError::Policy)?.policy,
        };
        read_policy(&file)?.policy.ok_or(FindCliError::Policy)
    }

    fn inquiry(&self, policy: &Policy) -> Result<SearchRequest, FindCliError> {
        let subject = match &self.subject {
            None => None,
            Some(SecretText(text)) => {
                let text = if text == "-" {
                    value_of_stdin()?
                } else {
                    text.clone()
                };
                let text = match self.kind {
                    Some(kind) => format!("{}:{text}", kind.name()),
                    None => text,
                };
                Some(text.parse::<Subject>()?)
            }
        };
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
        let events = (from.is_some() || to.is_some()).then(|| TimeRange {
            from: from.map(|from| from.start(policy)),
            to: to.map(|to| to.end(policy)),
        });
        let (tenant, jurisdiction, products) = (
            self.tenant.clone(),
            self.jurisdiction,
            self.products.clone(),
        );
        Ok(SearchRequest {
            subject,
            tenant,
            jurisdiction,
            events,
            products,
        })
    }

    fn sheet<'w>(
        &self,
        to: &'w mut dyn Write,
        desk: &RecordSearch,
        (tables, policy): (&SearchTables, &Policy),
        now: DateTime<Utc>,
    ) -> RecordOutput<'w> {
        let products = &tables.looked_into;
        match (self.output, &self.file) {
            (RecordFormat::Json, _) => RecordOutput::Json(json::JsonOutput::new(to)),
            (RecordFormat::Csv, _) => {
                let columns = products.iter().filter_map(|product| desk.columns(product));
                let names = |columns: arrow::datatypes::SchemaRef| -> Vec<String> {
                    columns
                        .fields()
                        .iter()
                        .map(|field| field.name().clone())
                        .collect()
                };
                RecordOutput::Csv(csv::CsvOutput::new(to, columns.flat_map(names)))
            }
            (RecordFormat::Parquet, Some(file)) => RecordOutput::Parquet(Box::new(
                columnar::ParquetOutput::new(file.clone(), self.products.len() != 1),
            )),
            // Parquet without a file is refused by the parser.
            (RecordFormat::Table | RecordFormat::Parquet, _) => {
                let spec =
                    |product: &ProductKey| Some((product.clone(), TableSpec::of(policy, product)?));
                let specs: BTreeMap<_, _> = products.iter().filter_map(spec).collect();
                RecordOutput::Text(text::TextOutput::new(to, specs, now))
            }
        }
    }

    /// Writes the records of the tables, one table after the other.
    async fn look(
        &self,
        desk: &Arc<RecordSearch>,
        (inquiry, tables): (&SearchRequest, &SearchTables),
        sheet: &mut RecordOutput<'_>,
        now: DateTime<Utc>,
    ) -> Result<SearchReport, FindCliError> {
        let passed = tables.passed.iter();
        let passed = passed.map(|(product, why)| SkippedTable {
            product: product.clone(),
            why: why.to_string(),
        });
        let mut told = SearchReport {
            tables: Vec::new(),
            passed: passed.collect(),
            more: false,
        };
        let mut left = self.limit.unwrap_or(u64::MAX);
        let progress = Arc::new(SearchProgress::default());
        let mut ticks = interval(TELL_EVERY);
        // The first tick comes immediately.
        ticks.tick().await;
        for product in &tables.looked_into {
            let mut answer = desk.find(inquiry, product, now, Arc::clone(&progress));
            let (mut version, mut records) = (None, 0);
            loop {
                let piece = tokio::select! {
                    piece = answer.next() => piece,
                    _ = ticks.tick() => {
                        let looked = progress.looked.load(Ordering::Relaxed);
                        let of = progress.segments.load(Ordering::Relaxed);
                        eprintln!("... in table {product}, {looked} of {of} segments looked into so far");
                        continue;
                    }
                };
                match piece.unwrap_or(Err(FindError::Stopped))? {
                    SearchEvent::Of(of) => version = of,
                    SearchEvent::Rows(rows) => {
                        let count = (rows.num_rows() as u64).min(left);
                        let rows = rows.slice(0, usize::try_from(count).unwrap_or(usize::MAX));
                        sheet.rows(product, &rows)?;
                        records += count;
                        left -= count;
                        if left == 0 {
                            break;
                        }
                    }
                    SearchEvent::End(summary) => {
                        told.tables
                            .push(TableSearchReport::new(product, version, summary));
                        break;
                    }
                }
            }
            if left == 0 {
                told.more = true;
                let summary = ebbtide_services::record_search::SearchSummary {
                    records,
                    ..Default::default()
                };
                if told
                    .tables
                    .last()
                    .is_none_or(|last| last.product != *product)
                {
                    told.tables
                        .push(TableSearchReport::new(product, version, summary));
                }
                break;
            }
        }
        Ok(told)
    }
}

impl SubjectKindArg {
    fn name(self) -> &'static str {
        match self {
            SubjectKindArg::Phone => "phone",
            SubjectKindArg::Email => "email",
            SubjectKindArg::Channel => "channel",
        }
    }
}

#[cfg(test)]
mod tests;

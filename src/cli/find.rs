//! `ebbtide find`: a person's records in all tables, with their tags.
//!
//! The searched value appears in no error message and no log. Records are written as they are read.
//! The exit code is like that of `grep`.

mod columnar;
mod csv;
mod output;
mod report_text;
mod text;
mod write_error;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use clap::ValueEnum;

use super::exit_codes::{DONE, PROBLEM, WRONG_USE};
use super::root_args::RootArgs;
use super::stdin::value_of_stdin;
use super::time_arg::time_range;
use super::{CommandOutput, clock, runtime};
use ebbtide_base::ids::{Country, ProductKey};
use ebbtide_controls::Subject;
use ebbtide_policy::Policy;
use ebbtide_services::find::{FindProgress, FindRequest, JsonRecords, SearchReport, find};
use ebbtide_services::policy_file::read_policy;
use ebbtide_services::record_search::{RecordSearch, SearchRequest};
use ebbtide_table::TableSpec;
use output::RecordOutput;
use write_error::WriteRecordsError;

/// The number of bytes of footers that are kept in memory.
const FOOTERS: usize = 256 << 20;

/// Find the records of a person in all tables, with the deadline of each field.
///
/// Shows the fields that a sweep would keep now: expired fields are withheld even if no sweep has
/// deleted them yet. A held record is shown in full, with the name of the hold. Anonymous cells
/// belong to no person and are never shown.
///
/// If the answer is not complete, output before the error is not all.
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
    /// The format of the records.
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

/// The format of records.
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

/// The policy that says which columns name a person is missing.
#[derive(Debug, thiserror::Error)]
#[error(
    "only a policy says which columns name a person: give one without errors with --policy or in the configuration"
)]
struct NoPolicyError;

/// The products whose records are shown, and the policy that has their columns.
struct SearchedProducts<'s> {
    products: &'s [ProductKey],
    policy: &'s Policy,
}

impl FindArgs {
    pub(super) fn run(self) -> CommandOutput {
        self.answer(&mut BufWriter::new(io::stdout().lock()), clock().now())
    }

    /// Writes the records to `out`, or to the file that the caller named. The outcome has the rest.
    fn answer(&self, out: &mut dyn Write, now: DateTime<Utc>) -> CommandOutput {
        let mut err = String::new();
        let code = match self.find(out, &mut err, now) {
            Ok(report) if report.records() > 0 => DONE,
            Ok(report) if report.is_complete() => PROBLEM,
            Ok(_) => WRONG_USE,
            // The reader closed the pipe: it needs no more.
            Err(error) if is_closed(&error) => DONE,
            Err(error) => {
                err += &format!("error: {error}\n");
                WRONG_USE
            }
        };
        CommandOutput {
            err,
            code,
            ..CommandOutput::default()
        }
    }

    fn find(
        &self,
        out: &mut dyn Write,
        err: &mut String,
        now: DateTime<Utc>,
    ) -> anyhow::Result<SearchReport> {
        let root = self.place.root()?;
        let policy = Arc::new(self.policy()?);
        let request = FindRequest {
            search: self.request(&policy)?,
            limit: self.limit,
            now,
        };
        let search = Arc::new(RecordSearch::new(root, Arc::clone(&policy), FOOTERS));
        let runtime = runtime()?;
        let tables = runtime.block_on(search.tables(&request.search))?;
        let mut file;
        let mut unfinished = PartialFile(None);
        let out: &mut dyn Write = match (&self.file, self.output) {
            (Some(path), RecordFormat::Table | RecordFormat::Json | RecordFormat::Csv) => {
                file = new_file(path)?;
                unfinished.0 = Some(path);
                &mut file
            }
            _ => out,
        };
        let searched = SearchedProducts {
            products: &tables.looked_into,
            policy: &policy,
        };
        let mut output = self.output(out, &search, searched, now);
        let finding = find::<_, anyhow::Error>(&search, &tables, &request, &mut output, progress);
        let report = runtime.block_on(finding)?;
        output.end(&report)?;
        unfinished.0 = None;
        *err += &report_text::text(&report, &request.search);
        Ok(report)
    }

    fn policy(&self) -> anyhow::Result<Policy> {
        let file = match &self.policy {
            Some(file) => file.clone(),
            None => self.place.config().ok_or(NoPolicyError)?.policy,
        };
        Ok(read_policy(&file)?.policy.ok_or(NoPolicyError)?)
    }

    fn request(&self, policy: &Policy) -> anyhow::Result<SearchRequest> {
        Ok(SearchRequest {
            subject: self.subject()?,
            tenant: self.tenant.clone(),
            jurisdiction: self.jurisdiction,
            events: time_range(self.from.as_deref(), self.to.as_deref(), policy)?,
            products: self.products.clone(),
        })
    }

    fn subject(&self) -> anyhow::Result<Option<Subject>> {
        let Some(SecretText(text)) = &self.subject else {
            return Ok(None);
        };
        let text = match text.as_str() {
            "-" => value_of_stdin()?,
            text => text.to_owned(),
        };
        let text = match self.kind {
            Some(kind) => format!("{}:{text}", kind.name()),
            None => text,
        };
        Ok(Some(text.parse()?))
    }

    fn output<'w>(
        &self,
        to: &'w mut dyn Write,
        search: &RecordSearch,
        searched: SearchedProducts<'_>,
        now: DateTime<Utc>,
    ) -> RecordOutput<'w> {
        let SearchedProducts { products, policy } = searched;
        match (self.output, &self.file) {
            (RecordFormat::Json, _) => RecordOutput::Json(JsonRecords::new(to)),
            (RecordFormat::Csv, _) => {
                let columns = products
                    .iter()
                    .filter_map(|product| search.columns(product));
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
}

/// Creates a file that only its owner can read.
fn new_file(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let new = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let new = new.map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    Ok(BufWriter::new(new))
}

fn is_closed(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<WriteRecordsError>()
        .is_some_and(WriteRecordsError::is_closed)
}

fn progress(progress: FindProgress<'_>) {
    let FindProgress {
        product,
        searched,
        segments,
    } = progress;
    eprintln!("... in table {product}, {searched} of {segments} segments searched so far");
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

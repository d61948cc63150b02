//! Finds the records of a person in all tables, writes them as they are read, and reports what was
//! not shown or not read.

mod json;
mod report;
pub mod values;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::RecordBatch;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use tokio::time::{Interval, interval};

use ebbtide_base::ids::ProductKey;

use crate::record_search::{
    FindError, RecordSearch, SearchEvent, SearchProgress, SearchRequest, SearchSummary,
    SearchTables,
};

pub use json::JsonRecords;
pub use report::{SearchReport, SkippedTable, TableSearchReport};

/// The interval between the progress reports of a slow search.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

/// The records to find.
#[derive(Debug, Clone)]
pub struct FindRequest {
    /// The conditions for a record.
    pub search: SearchRequest,
    /// The maximum number of records.
    pub limit: Option<u64>,
    /// The time of the answer: fields whose deadline has passed by then are withheld.
    pub now: DateTime<Utc>,
}

/// A receiver of found records.
pub trait RecordSink {
    /// The reason why records could not be written.
    type Error;

    /// Writes records of a product.
    fn rows(&mut self, product: &ProductKey, rows: &RecordBatch) -> Result<(), Self::Error>;
}

/// The progress of a search in one table.
#[derive(Debug, Clone, Copy)]
pub struct FindProgress<'a> {
    /// The product of the table.
    pub product: &'a ProductKey,
    /// The number of segments that were searched so far, in all tables.
    pub searched: u64,
    /// The number of segments to search that are known so far.
    pub segments: u64,
}

/// Writes the records of the tables to `sink`, one table after the other. `progress` is called every
/// two seconds.
pub async fn find<S: RecordSink, E: From<FindError> + From<S::Error>>(
    search: &Arc<RecordSearch>,
    tables: &SearchTables,
    request: &FindRequest,
    sink: &mut S,
    progress: impl FnMut(FindProgress<'_>),
) -> Result<SearchReport, E> {
    let mut ticks = interval(PROGRESS_EVERY);
    // The first tick comes immediately.
    ticks.tick().await;
    let mut finding = Finding {
        search,
        request,
        left: request.limit.unwrap_or(u64::MAX),
        counts: Arc::default(),
        ticks,
        progress,
    };
    let passed = tables.passed.iter();
    let mut report = SearchReport {
        tables: Vec::new(),
        passed: passed
            .map(|(product, why)| SkippedTable {
                product: product.clone(),
                why: *why,
            })
            .collect(),
        more: false,
    };
    for product in &tables.looked_into {
        report
            .tables
            .push(finding.table::<S, E>(product, sink).await?);
        if finding.left == 0 {
            report.more = true;
            break;
        }
    }
    Ok(report)
}

/// The state of a search of one table after the other.
struct Finding<'a, P> {
    search: &'a Arc<RecordSearch>,
    request: &'a FindRequest,
    /// The number of records that may still be written.
    left: u64,
    counts: Arc<SearchProgress>,
    ticks: Interval,
    progress: P,
}

impl<P: FnMut(FindProgress<'_>)> Finding<'_, P> {
    /// Writes the records of one table, until its answer is complete or the limit is reached.
    async fn table<S: RecordSink, E: From<FindError> + From<S::Error>>(
        &mut self,
        product: &ProductKey,
        sink: &mut S,
    ) -> Result<TableSearchReport, E> {
        let FindRequest { search, now, .. } = self.request;
        let counts = Arc::clone(&self.counts);
        let mut answer = self.search.find(search, product, *now, counts);
        let (mut version, mut records) = (None, 0);
        loop {
            let event = tokio::select! {
                event = answer.next() => event,
                _ = self.ticks.tick() => {
                    self.report_progress(product);
                    continue;
                }
            };
            match event.unwrap_or(Err(FindError::Stopped))? {
                SearchEvent::Of(of) => version = of,
                SearchEvent::Rows(rows) => {
                    let count = (rows.num_rows() as u64).min(self.left);
                    let rows = rows.slice(0, usize::try_from(count).unwrap_or(usize::MAX));
                    sink.rows(product, &rows)?;
                    records += count;
                    self.left -= count;
                    if self.left == 0 {
                        let summary = SearchSummary {
                            records,
                            ..SearchSummary::default()
                        };
                        return Ok(TableSearchReport::new(product, version, summary));
                    }
                }
                SearchEvent::End(summary) => {
                    return Ok(TableSearchReport::new(product, version, summary));
                }
            }
        }
    }

    fn report_progress(&mut self, product: &ProductKey) {
        (self.progress)(FindProgress {
            product,
            searched: self.counts.looked.load(Ordering::Relaxed),
            segments: self.counts.segments.load(Ordering::Relaxed),
        });
    }
}

//! Makes the cells: reads the rows in passes until every cell is counted, and then makes `other`.
//!
//! The guarantees of the module apply to every budget. A smaller budget costs more passes and
//! changes nothing else.

use std::collections::{HashMap, HashSet};

use arrow::array::RecordBatch;

use super::error::CellsError;
use super::hash::{IdentityHasher, RunKeys};
use super::pass::{CountedCell, CountingPass};
use super::plan::CellPlan;
use super::rows::{self, CellRow};
use super::sums::SumDecision;
use super::weigh::{SubjectWeights, WeighingPass};

/// The result for one bucket and profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// The published cells, with the columns of [`CellPlan::schema`]. Empty if all records are
    /// suppressed.
    pub rows: RecordBatch,
    /// The counts of the result.
    pub counts: CellCounts,
    /// The resources that were used.
    pub work: CellResources,
}

/// The counts of a result. `read` = `records` + `suppressed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellCounts {
    /// Records read.
    pub read: u64,
    /// Published cells, including `other`.
    pub cells: u64,
    /// Records that the published cells represent.
    pub records: u64,
    /// Records that are in no cell, because they have too few subjects even when they are merged.
    pub suppressed: u64,
    /// True if one of the cells is `other`, which is merged from cells under `k`.
    pub other: bool,
    /// Sums that are null because one subject may have more than half of them.
    pub dominated: u64,
    /// Sums that are null because they do not fit their column, or include a value that cannot be
    /// added.
    pub unfit: u64,
}

/// The resources that were used to make cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CellResources {
    /// The number of times that the rows were read.
    pub passes: u32,
    /// The maximum memory of the cells in progress, in bytes.
    pub peak: usize,
}

/// Makes cells of the rows that `source` returns. It is called once for each pass and must return
/// the same rows each time, in any order and in any batches. Columns may be plain or dictionaries;
/// a column that a batch lacks is null. `budget` limits the bytes of the cells in progress. It may
/// be exceeded by the data of the current rows, and if a single cell is larger. Published cells do
/// not count towards it.
pub fn cells<S, I, E>(plan: &CellPlan, budget: usize, source: S) -> Result<Cells, CellsError<E>>
where
    S: Fn() -> I,
    I: Iterator<Item = Result<RecordBatch, E>>,
    E: std::error::Error + 'static,
{
    let keys = RunKeys::random();
    let mut making = CellBuilder {
        plan,
        keys: &keys,
        rows: Vec::new(),
        published: HashSet::default(),
        counts: None,
        work: CellResources::default(),
    };
    let mut other = CountedCell::none(plan);
    let mut from = 0;
    loop {
        let mut pass = CountingPass::new(plan, &keys, from, budget)?;
        for batch in source() {
            pass.take(&batch.map_err(CellsError::Source)?)?;
        }
        pass.end();
        making.have_read(pass.read)?;
        making.work.peak = making.work.peak.max(pass.peak);
        let until = pass.range.until;
        let mut whole = Vec::new();
        for counted in pass.counted() {
            if counted.cell.is_null || !counted.cell.subjects.enough() {
                making.counts().other |= !counted.cell.is_null;
                other.absorb(counted, plan.k);
            } else {
                whole.push(counted);
            }
        }
        making.publish(whole, &source)?;
        match until {
            Some(until) => from = until,
            None => break,
        }
    }
    making.end(other, &source)
}

struct CellBuilder<'a> {
    plan: &'a CellPlan,
    keys: &'a RunKeys,
    rows: Vec<CellRow>,
    published: HashSet<u128, IdentityHasher>,
    counts: Option<CellCounts>,
    work: CellResources,
}

impl CellBuilder<'_> {
    fn counts(&mut self) -> &mut CellCounts {
        self.counts.get_or_insert_default()
    }

    /// Records one reading of the rows. Errors if their number differs from the first reading.
    fn have_read<E: std::error::Error + 'static>(
        &mut self,
        read: u64,
    ) -> Result<(), CellsError<E>> {
        self.work.passes += 1;
        let first = self
            .counts
            .get_or_insert(CellCounts {
                read,
                ..CellCounts::default()
            })
            .read;
        if first == read {
            Ok(())
        } else {
            Err(CellsError::Changed { first, then: read })
        }
    }

    /// Publishes cells that have enough subjects.
    fn publish<S, I, E>(&mut self, whole: Vec<CountedCell>, source: &S) -> Result<(), CellsError<E>>
    where
        S: Fn() -> I,
        I: Iterator<Item = Result<RecordBatch, E>>,
        E: std::error::Error + 'static,
    {
        let mut open: HashMap<u128, usize, IdentityHasher> = HashMap::default();
        let mut suspects = Vec::new();
        for counted in &whole {
            let of_cell = self.suspects(counted);
            if !of_cell.is_empty() {
                open.insert(counted.cell.hash, suspects.len());
                suspects.push(of_cell);
            }
        }
        let which = |cell: u128| open.get(&cell).copied();
        let heaviest = self.weigh(suspects, which, source)?;
        let none = HashMap::new();
        for counted in whole {
            let heaviest = open
                .get(&counted.cell.hash)
                .map_or(&none, |at| &heaviest[*at]);
            self.published.insert(counted.cell.hash);
            self.row(counted, heaviest, true);
        }
        Ok(())
    }

    /// Publishes or suppresses the merged cells, and returns the whole result.
    fn end<S, I, E>(mut self, other: CountedCell, source: &S) -> Result<Cells, CellsError<E>>
    where
        S: Fn() -> I,
        I: Iterator<Item = Result<RecordBatch, E>>,
        E: std::error::Error + 'static,
    {
        if other.cell.subjects.enough() {
            let published = std::mem::take(&mut self.published);
            let suspects = Some(self.suspects(&other)).filter(|suspects| !suspects.is_empty());
            let merged = |cell: u128| (!published.contains(&cell)).then_some(0);
            let heaviest = self.weigh(suspects.into_iter().collect(), merged, source)?;
            self.row(
                other,
                &heaviest.into_iter().next().unwrap_or_default(),
                false,
            );
        } else {
            self.counts().suppressed = other.cell.records;
            self.counts().other = false;
        }
        let counts = *self.counts();
        Ok(Cells {
            rows: rows::batch(self.plan, self.rows)?,
            counts,
            work: self.work,
        })
    }

    /// Returns the subjects to weigh before it is known which sums of a cell may be published.
    fn suspects(&self, counted: &CountedCell) -> SubjectWeights {
        let sums = self.plan.sum.iter().zip(&counted.sums).enumerate();
        let open = sums.filter_map(|(at, ((_, number), sum))| match sum.verdict(*number) {
            SumDecision::Open(subjects) => Some((
                at,
                subjects.into_iter().map(|subject| (subject, 0)).collect(),
            )),
            _ => None,
        });
        open.collect()
    }

    /// Returns the weight of the heaviest of each of `suspects`. Reads the rows only if there are
    /// any.
    fn weigh<S, I, E>(
        &mut self,
        suspects: Vec<SubjectWeights>,
        which: impl Fn(u128) -> Option<usize>,
        source: &S,
    ) -> Result<Vec<HashMap<usize, u128>>, CellsError<E>>
    where
        S: Fn() -> I,
        I: Iterator<Item = Result<RecordBatch, E>>,
        E: std::error::Error + 'static,
    {
        if suspects.is_empty() {
            return Ok(Vec::new());
        }
        let mut weighing = WeighingPass {
            plan: self.plan,
            keys: self.keys,
            which,
            suspects,
            read: 0,
        };
        for batch in source() {
            weighing.take(&batch.map_err(CellsError::Source)?)?;
        }
        self.have_read(weighing.read)?;
        Ok(weighing.heaviest())
    }

    fn row(
        &mut self,
        CountedCell { cell, sums }: CountedCell,
        heaviest: &HashMap<usize, u128>,
        named: bool,
    ) {
        let plan = self.plan;
        let counts = self.counts();
        let sums = plan
            .sum
            .iter()
            .zip(&sums)
            .enumerate()
            .map(|(at, ((_, number), sum))| {
                let verdict = match heaviest.get(&at) {
                    Some(heaviest) => sum.weighed(*heaviest, *number),
                    None => sum.verdict(*number),
                };
                match verdict {
                    SumDecision::Publish(sum) => sum,
                    // `Open` does not occur here, because the subjects in question were weighed.
                    SumDecision::Dominated | SumDecision::Open(_) => {
                        counts.dominated += 1;
                        None
                    }
                    SumDecision::Unfit => {
                        counts.unfit += 1;
                        None
                    }
                }
            });
        let sums = sums.collect();
        counts.cells += 1;
        counts.records += cell.records;
        self.rows.push(CellRow {
            key: named.then_some(cell.key),
            records: cell.records,
            sums,
        });
    }
}

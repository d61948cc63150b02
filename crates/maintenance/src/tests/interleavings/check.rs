//! The checks of an interleaving: after every step, and at its end.

use futures::StreamExt;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;

use super::model::{DeadlineInputs, StoredFields, TableCheck, held, judge, judge_dry};
use super::{ActorKind, Interleaving, processes};
use crate::testing::{sms, source};
use ebbtide_controls::Controls;
use ebbtide_query::audit;
use ebbtide_table::{ControlsVersion, SegmentedTable, StoredSegment, Table};

impl Interleaving {
    /// Checks the table after the last step, by an actor that began at `began` and signed its
    /// commit at `signed`.
    pub(super) fn look(&mut self, began: DateTime<Utc>, signed: DateTime<Utc>) {
        let (topic, now) = (self.shared.topic.lock().unwrap().clone(), self.now());
        let table = &mut self.viewer;
        let (root, read) = (&self.world.root, &mut self.read);
        let (rows, held, inputs) = self.runtime.block_on(async {
            let before = table.version();
            table.refresh().await.unwrap();
            let controls = Controls::load(root, table.controls()).await.unwrap();
            let held = held(&topic, &self.orders, (&controls, table.controls()), now);
            let inputs: Vec<DeadlineInputs> = (table.controls().0..=controls.version().0)
                .map(|until| {
                    DeadlineInputs::by(
                        &controls,
                        ControlsVersion(until),
                        (self.first, &self.policies),
                    )
                })
                .collect();
            let changed = table.version() != before;
            (
                if changed {
                    Some(rows(table, read).await)
                } else {
                    None
                },
                held,
                inputs,
            )
        });
        let next = table.next_offset(&source()).map_or(0, |offset| offset.0);
        if rows.is_some() {
            let active: BTreeSet<String> = table
                .segments()
                .iter()
                .map(|segment| segment.path.to_string())
                .collect();
            self.replaced.extend(
                self.active
                    .difference(&active)
                    .map(|path| (path.clone(), signed)),
            );
            self.active = active;
        }
        let moment = TableCheck {
            at: now,
            rows: rows.unwrap_or_else(|| self.last.rows.clone()),
            next,
            held,
            inputs,
        };
        judge(&topic, (&self.last, &moment), began);
        self.last = moment;
    }

    /// Sets the modification time of new files to the simulated time.
    pub(super) fn date(&mut self) {
        let now = self.now().into();
        for entry in walkdir::WalkDir::new(self.world.root.folder())
            .into_iter()
            .filter_map(Result::ok)
        {
            if entry.file_type().is_file() && self.dated.insert(entry.path().to_owned()) {
                std::fs::File::options()
                    .append(true)
                    .open(entry.path())
                    .unwrap()
                    .set_modified(now)
                    .unwrap();
            }
        }
    }

    /// Lets all actors finish or die. Then due data that is not held is deleted, and no file is
    /// left that is not needed.
    pub(super) fn end(mut self) {
        while !self.running.is_empty() {
            let on = self.random.random_bool(0.8);
            self.resume(0, on);
        }
        let shared = self.shared.clone();
        self.start(ActorKind::Other("settle"), async move {
            processes::finish(shared).await;
            None
        });
        self.let_all_end();
        if self.random.random_bool(0.5) {
            for _ in 0..self.orders.len() {
                let shared = self.shared.clone();
                self.start(ActorKind::Other("release"), async move {
                    processes::free(shared, 0).await;
                    None
                });
                self.let_all_end();
            }
        }
        let days = self.random.random_range(0..40);
        self.pass(TimeDelta::days(days));
        let shared = self.shared.clone();
        self.sweepers = [None, None];
        self.start(ActorKind::Other("sweep to the end"), async move {
            processes::sweep_dry(shared).await;
            None
        });
        self.let_all_end();
        judge_dry(&self.shared.topic.lock().unwrap(), &self.last);
        let found = self
            .runtime
            .block_on(audit(&self.world.root, &sms()))
            .unwrap();
        assert!(found.holds(), "{:?}", found.broken);
        self.pass(TimeDelta::hours(26));
        self.runtime
            .block_on(processes::keep_to_the_end(&self.shared));
        self.look(self.now(), self.now());
        let table = self.world.root.table_folder(&sms());
        let files = walkdir::WalkDir::new(&table)
            .into_iter()
            .filter_map(Result::ok);
        let files = files.filter(|entry| entry.file_type().is_file());
        let files: BTreeSet<String> = files
            .map(|entry| {
                entry
                    .path()
                    .strip_prefix(&table)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        let staged: Vec<&String> = files.iter().filter(|path| path.ends_with(".tmp")).collect();
        assert!(staged.is_empty(), "{staged:?}");
        let data: BTreeSet<String> = files
            .into_iter()
            .filter(|path| path.starts_with("bucket="))
            .collect();
        assert_eq!(data, self.active, "files of rows, and what the table lists");
    }
}

/// Returns the stored records, each with its fields that are still stored.
async fn rows(
    table: &SegmentedTable,
    read: &mut HashMap<Arc<str>, BTreeMap<i64, StoredFields>>,
) -> BTreeMap<i64, StoredFields> {
    let mut rows = BTreeMap::new();
    for segment in table.segments().iter() {
        if !read.contains_key(&segment.path) {
            read.insert(Arc::clone(&segment.path), rows_of(table, segment).await);
        }
        for (offset, standing) in &read[&segment.path] {
            assert!(
                rows.insert(*offset, *standing).is_none(),
                "record {offset} stands twice"
            );
        }
    }
    rows
}

/// Returns the records of one segment. Cells are skipped.
async fn rows_of(table: &Table, segment: &StoredSegment) -> BTreeMap<i64, StoredFields> {
    let columns = ["source_offset", "recipient", "body"];
    let mut batches = table
        .read_columns(std::slice::from_ref(segment), &columns, None)
        .unwrap();
    let mut rows = BTreeMap::new();
    while let Some(batch) = batches.next().await {
        let batch = batch.unwrap().rows;
        let offsets = batch.column(0).as_primitive::<Int64Type>();
        for row in (0..batch.num_rows()).filter(|row| offsets.is_valid(*row)) {
            let standing = StoredFields {
                number: batch.column(1).is_valid(row),
                content: batch.column(2).is_valid(row),
            };
            rows.insert(offsets.value(row), standing);
        }
    }
    rows
}

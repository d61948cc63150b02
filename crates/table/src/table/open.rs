//! Opens a table: creates it if it does not exist, adds missing columns, and refuses a table of
//! another kind.
//!
//! Every column of the policy has the same type in the table, or the error names it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::transaction::TransactionError;
use deltalake_core::kernel::{
    Action, CommitInfo, DataType, MetadataExt, Protocol, StructField, StructType, Transaction,
    new_metadata,
};
use deltalake_core::kernel::{Metadata, PrimitiveType};
use deltalake_core::logstore::CommitOrBytes;
use serde_json::json;
use uuid::Uuid;

use super::{ControlsVersion, Table};
use crate::controls::{ControlLog, unreadable};
use crate::error::{OpenError, StoreError};
use crate::janitor::LastPass;
use crate::log::{CONTROLS_APP, LogState, TableLog};
use crate::root::Root;
use crate::spec::{PARTITION_COLUMNS, TableSpec};
use crate::transaction::{EntryPut, Transaction as LogTransaction, commit};
use ebbtide_base::ids::BucketUnit;

/// The property that lists the columns whose bounds any engine may write to the log.
pub const STATS_COLUMNS: &str = "delta.dataSkippingStatsColumns";

/// The number of times that opening starts again because another process created or changed the
/// table meanwhile.
const ATTEMPTS: usize = 20;

pub async fn open(root: &Root, spec: Arc<TableSpec>) -> Result<Table, OpenError> {
    let log = root.table_log(&spec.product);
    let schema = delta_schema(&spec)?;
    let mut opening = OpenTransaction {
        log: &log,
        control_log: ControlLog::open(root),
        spec: &spec,
        schema: &schema,
        state: None,
        controls: ControlsVersion(0),
        attempts: 0,
    };
    let state = commit(&mut opening).await?;
    Ok(table(spec, schema, log, state))
}

/// The commits that give a table what it lacks. They are done with the state of the table.
struct OpenTransaction<'a> {
    log: &'a TableLog,
    control_log: ControlLog,
    spec: &'a TableSpec,
    schema: &'a StructType,
    /// `None` as long as there is no table.
    state: Option<LogState>,
    /// The newest control, read after the state.
    controls: ControlsVersion,
    attempts: usize,
}

impl LogTransaction for OpenTransaction<'_> {
    type Entry = Bytes;
    type Done = LogState;
    type Error = OpenError;

    async fn read(&mut self) -> Result<u64, StoreError> {
        let next = read_newest(self.log, &mut self.state).await?;
        // Read after the table: a process that appends a control lists the tables afterwards, so
        // one of the two sees the other.
        self.controls = self.control_log.newest().await?;
        Ok(next)
    }

    async fn recognise(&mut self, _: Option<u64>) -> Result<Option<LogState>, OpenError> {
        let Some(state) = &self.state else {
            return Ok(None);
        };
        let whole = widened(self.spec, self.schema, &state.metadata)?.is_none();
        if whole && state.controls() > self.controls.0 {
            return Err(lost(state.controls(), self.controls).into());
        }
        match whole && state.controls() == self.controls.0 {
            true => Ok(self.state.take()),
            false => Ok(None),
        }
    }

    async fn propose(&mut self) -> Result<Bytes, OpenError> {
        self.attempts += 1;
        if self.attempts > ATTEMPTS {
            return Err(StoreError::Refused(
                "the table changed under every attempt to open it".to_owned(),
            )
            .into());
        }
        let Some(state) = &self.state else {
            let actions = creation(self.spec, self.schema, self.controls)?;
            return Ok(entry_bytes(&actions)?);
        };
        let actions = match widened(self.spec, self.schema, &state.metadata)? {
            Some(metadata) => [info("set columns"), Action::Metadata(metadata)],
            None => [info("controls"), raised(self.controls)],
        };
        Ok(entry_bytes(&actions)?)
    }

    async fn put(&mut self, version: u64, entry: Bytes) -> EntryPut<LogState> {
        match write_entry(self.log, version, entry).await {
            // Also after its own entry: a control that was appended before it is missing in the
            // table if the control log was read earlier.
            Ok(()) | Err(TransactionError::VersionAlreadyExists(_)) => EntryPut::ReadOn,
            Err(error) => EntryPut::Failed(error.into()),
        }
    }
}

/// Reads a table's log up to its newest entry. Returns the version of the next one: 0 if there is
/// no table.
pub async fn read_newest(log: &TableLog, state: &mut Option<LogState>) -> Result<u64, StoreError> {
    match state {
        Some(state) => drop(state.read_on(log).await?),
        None => *state = LogState::load(log).await?,
    }
    Ok(state.as_ref().map_or(0, |state| state.version + 1))
}

fn table(spec: Arc<TableSpec>, schema: StructType, log: TableLog, state: LogState) -> Table {
    Table {
        spec,
        schema,
        log,
        state,
        lost_races: 0,
        checkpointed: None,
        last_pass: LastPass::default(),
    }
}

/// Opens the table and writes nothing; returns `None` if it does not exist. Errors if it could not
/// be given the columns.
pub async fn existing(root: &Root, spec: Arc<TableSpec>) -> Result<Option<Table>, OpenError> {
    let log = root.table_log(&spec.product);
    let schema = delta_schema(&spec)?;
    let Some(state) = LogState::load(&log).await? else {
        return Ok(None);
    };
    widened(&spec, &schema, &state.metadata)?;
    Ok(Some(table(spec, schema, log, state)))
}

/// Returns the columns in Delta's types.
pub fn delta_schema(spec: &TableSpec) -> Result<StructType, OpenError> {
    let schema = spec.arrow().as_ref().try_into_kernel();
    schema.map_err(|error| OpenError::NoDeltaType {
        table: spec.product.to_string(),
        why: error.to_string(),
    })
}

/// Returns the bytes of an entry.
pub fn entry_bytes(actions: &[Action]) -> Result<Bytes, StoreError> {
    let mut bytes = Vec::new();
    for action in actions {
        let written = serde_json::to_value(action).and_then(|mut action| {
            escape_colons(&mut action);
            serde_json::to_writer(&mut bytes, &action)
        });
        written.map_err(|json_err| TransactionError::SerializeLogJson { json_err })?;
        bytes.push(b'\n');
    }
    Ok(bytes.into())
}

/// Puts an entry under its version if no entry has it: this decides between concurrent writers.
pub async fn write_entry(
    log: &TableLog,
    version: u64,
    entry: Bytes,
) -> Result<(), TransactionError> {
    let entry = CommitOrBytes::LogBytes(entry);
    log.write_commit_entry(version, entry, Uuid::new_v4()).await
}

/// Escapes the colons of an hour's bucket: paths in a log are URIs, in which a part before a first
/// colon is a scheme (RFC 2396, section 5). Every reader decodes them; Spark reads no table without
/// the escapes.
fn escape_colons(action: &mut serde_json::Value) {
    for kind in ["add", "remove"] {
        if let Some(serde_json::Value::String(path)) =
            action.get_mut(kind).and_then(|file| file.get_mut("path"))
            && path.contains(':')
        {
            *path = path.replace(':', "%3A");
        }
    }
}

/// Creates the `commitInfo` action of a commit of Ebbtide without evidence.
pub fn info(operation: &str) -> Action {
    Action::CommitInfo(commit_info(operation))
}

/// Creates the `commitInfo` fields that every commit of Ebbtide has.
pub fn commit_info(operation: &str) -> CommitInfo {
    CommitInfo {
        operation: Some(operation.to_owned()),
        operation_parameters: Some(HashMap::new()),
        engine_info: Some(format!("ebbtide {}", env!("CARGO_PKG_VERSION"))),
        ..CommitInfo::default()
    }
}

fn raised(controls: ControlsVersion) -> Action {
    Action::Txn(Transaction::new(CONTROLS_APP.to_owned(), controls.0))
}

/// Creates the error for a table with controls that the control log does not have.
fn lost(known: i64, newest: ControlsVersion) -> StoreError {
    unreadable(
        newest.next().0,
        &format!("it is missing, and the table knows {known}"),
    )
}

/// Returns the actions of the first entry. A new table begins with all existing controls.
pub fn creation(
    spec: &TableSpec,
    schema: &StructType,
    controls: ControlsVersion,
) -> Result<Vec<Action>, StoreError> {
    let protocol: Protocol =
        serde_json::from_value(json!({ "minReaderVersion": 1, "minWriterVersion": 2 }))
            .map_err(|error| StoreError::Refused(format!("the protocol: {error}")))?;
    let properties = [
        (STATS_COLUMNS, stats_columns(spec)),
        // For engines that do not know the property above: no bounds.
        ("delta.dataSkippingNumIndexedCols", "0".to_owned()),
        ("delta.enableChangeDataFeed", "false".to_owned()),
        ("delta.logRetentionDuration", "interval 30 days".to_owned()),
        (
            "delta.deletedFileRetentionDuration",
            "interval 7 days".to_owned(),
        ),
        ("ebbtide.bucket", unit_name(spec.unit).to_owned()),
    ];
    let metadata = new_metadata(schema, PARTITION_COLUMNS, properties)
        .and_then(|metadata| metadata.with_name(spec.product.to_string()))
        .map_err(|error| StoreError::Delta(Box::new(error.into())))?;
    let mut actions = vec![
        info("create table"),
        Action::Protocol(protocol),
        Action::Metadata(metadata),
    ];
    actions.extend((controls > ControlsVersion(0)).then(|| raised(controls)));
    Ok(actions)
}

/// Returns the metadata with every column of the policy; `None` if the table has them all.
pub fn widened(
    spec: &TableSpec,
    wanted: &StructType,
    stored: &Metadata,
) -> Result<Option<Metadata>, OpenError> {
    let table = || spec.product.to_string();
    let failed = |error: deltalake_core::kernel::Error| StoreError::Delta(Box::new(error.into()));
    let schema = stored
        .parse_schema()
        .map_err(|error| StoreError::Delta(Box::new(error.into())))?;
    if stored.partition_columns() != PARTITION_COLUMNS.as_slice() {
        return Err(OpenError::Partitions {
            table: table(),
            found: stored.partition_columns().join(", "),
        });
    }
    let mut fields: Vec<StructField> = schema.fields().cloned().collect();
    for field in wanted.fields() {
        match schema.field(field.name()) {
            None => fields.push(field.clone()),
            Some(found) if same_type(found.data_type(), field.data_type()) => {}
            Some(found) if field.name() == "bucket" => {
                let stored = unit_of(found.data_type());
                return Err(OpenError::BucketUnit {
                    table: table(),
                    stored,
                    wanted: unit_name(spec.unit),
                });
            }
            Some(found) => {
                return Err(OpenError::ColumnType {
                    table: table(),
                    column: field.name().clone(),
                    stored: found.data_type().to_string(),
                    wanted: field.data_type().to_string(),
                });
            }
        }
    }
    if fields.len() == schema.fields().len() {
        return Ok(None);
    }
    let schema =
        StructType::try_new(fields).map_err(|error| StoreError::Delta(Box::new(error.into())))?;
    let columns = stats_columns(spec);
    let metadata = stored.clone().with_schema(&schema).map_err(failed)?;
    Ok(Some(
        metadata
            .add_config_key(STATS_COLUMNS.to_owned(), columns)
            .map_err(failed)?,
    ))
}

/// Returns true if two types have the same values; the nullability of nested fields is ignored.
pub fn same_type(a: &DataType, b: &DataType) -> bool {
    match (a, b) {
        (DataType::Array(a), DataType::Array(b)) => same_type(a.element_type(), b.element_type()),
        (DataType::Map(a), DataType::Map(b)) => {
            same_type(a.key_type(), b.key_type()) && same_type(a.value_type(), b.value_type())
        }
        (DataType::Struct(a), DataType::Struct(b)) => {
            a.fields().len() == b.fields().len()
                && a.fields()
                    .zip(b.fields())
                    .all(|(a, b)| a.name() == b.name() && same_type(a.data_type(), b.data_type()))
        }
        (a, b) => a == b,
    }
}

/// Returns the value of [`STATS_COLUMNS`].
pub fn stats_columns(spec: &TableSpec) -> String {
    spec.stored()
        .filter(|column| spec.has_bounds_in_log(column))
        .map(|column| column.name.as_str())
        .collect::<Vec<_>>()
        .join(",")
}

fn unit_name(unit: BucketUnit) -> &'static str {
    match unit {
        BucketUnit::Day => "day",
        BucketUnit::Hour => "hour",
    }
}

fn unit_of(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Primitive(PrimitiveType::Date) => "day",
        _ => "hour",
    }
}

//! One case of the comparison with apache-avro: a random pair of schemas, and a series of valid,
//! damaged and arbitrary bodies through one decoder.
//!
//! A case depends only on its seed. Used by the tests and by the fuzzer.

use std::collections::BTreeSet;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use super::oracle::{Comparison, Oracle, OracleResult, compare, fits};
use super::random::{Pair, Schemas, body, named, spoil};
use crate::schema::{Decoder, Schema, WriterSchema};

/// The result of a case.
#[derive(Debug, Default, Clone, Copy)]
pub struct CaseResult {
    /// The number of bodies that were pushed.
    pub bodies: u64,
    /// The number of bodies that were accepted.
    pub accepted: u64,
}

/// Runs the case of a seed. The error describes the difference, with the schemas and the body.
pub fn case(seed: u64, bodies: usize) -> Result<CaseResult, String> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let pair = Schemas::new(&mut rng).record(3);
    run(&pair, seed, bodies)
}

/// Runs bodies of a pair of schemas, chosen by the seed, through one decoder.
pub fn run(pair: &Pair, seed: u64, bodies: usize) -> Result<CaseResult, String> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let [writer, reader, oracle_writer, oracle_reader] = [
        &pair.writer,
        &pair.reader,
        &pair.oracle_writer,
        &pair.oracle_reader,
    ]
    .map(ToString::to_string);
    let failure = |what: &str, body: &[u8]| {
        format!("seed {seed}: {what}\nwriter {writer}\nreader {reader}\nbody {body:02X?}")
    };
    let oracle = Oracle::new(&oracle_writer, &oracle_reader)
        .map_err(|error| failure(&error.to_string(), &[]))?;
    let schema = Schema::parse(&reader).map_err(|error| failure(&error.to_string(), &[]))?;
    let written = WriterSchema::parse(&writer).map_err(|error| failure(&error.to_string(), &[]))?;
    let every: BTreeSet<String> = schema
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let mut decoder = Decoder::new(&written, &schema, &every)
        .map_err(|error| failure(&error.to_string(), &[]))?;
    let mut checker = Decoder::new(&written, &schema, &BTreeSet::new())
        .map_err(|error| failure(&error.to_string(), &[]))?;
    let mut names = json!({});
    named(&pair.writer, &mut names);

    let mut ran = CaseResult::default();
    let mut expected = Vec::new();
    for _ in 0..bodies {
        let mut bytes = Vec::new();
        match rng.random_range(0..10) {
            0 => bytes.extend((0..rng.random_range(0..40)).map(|_| rng.random::<u8>())),
            1..=4 => body(&mut rng, &pair.writer, &names, &mut bytes),
            _ => {
                body(&mut rng, &pair.writer, &names, &mut bytes);
                spoil(&mut rng, &mut bytes);
            }
        }
        let ours = decoder.push(&bytes);
        ran.bodies += 1;
        match (oracle.read(&bytes), ours) {
            (OracleResult::Read(value), Ok(())) if fits(&value, &pair.reader) => {
                expected.push((value, bytes))
            }
            (OracleResult::Read(value), Err(_)) if !fits(&value, &pair.reader) => {}
            (OracleResult::Refused | OracleResult::Unresolved, Err(_)) => {}
            // A duplicate key of a map: the oracle discards the first value before it resolves it.
            (OracleResult::Read(_), Err(_))
                if writer.contains("\"map\"") && checker.push(&bytes).is_ok() => {}
            (OracleResult::Read(_), ours) => {
                return Err(failure(
                    &format!("apache-avro reads it, we say {ours:?}"),
                    &bytes,
                ));
            }
            (OracleResult::Refused, Ok(())) => {
                return Err(failure("apache-avro refuses it, we accept it", &bytes));
            }
            (OracleResult::Unresolved, Ok(())) => {
                return Err(failure(
                    "apache-avro cannot resolve it, we accept it",
                    &bytes,
                ));
            }
        }
    }
    ran.accepted = expected.len() as u64;
    for round in ["first", "again, as a decoder is used from flush to flush"] {
        let flushed = decoder.flush();
        if !flushed.faults.is_empty() || flushed.batch.num_rows() != expected.len() {
            let rows = flushed.batch.num_rows();
            return Err(failure(
                &format!("{rows} rows for {} accepted, {round}", expected.len()),
                &[],
            ));
        }
        for (row, (value, bytes)) in expected.iter().enumerate() {
            if let Comparison::Differs(path) = compare(value, &pair.reader, &flushed.batch, row) {
                return Err(failure(
                    &format!("row {row} differs at {path}, {round}: {value:?}"),
                    bytes,
                ));
            }
        }
        if let Some((_, bytes)) = expected
            .iter()
            .find(|(_, bytes)| decoder.push(bytes).is_err())
        {
            return Err(failure("it is refused when it comes again", bytes));
        }
    }
    // Keep only some columns: their values are the same, whatever is dropped.
    let whole = decoder.flush().batch;
    let some: BTreeSet<String> = every.into_iter().filter(|_| rng.random_bool(0.5)).collect();
    let mut decoder =
        Decoder::new(&written, &schema, &some).map_err(|error| failure(&error.to_string(), &[]))?;
    if let Some((_, bytes)) = expected
        .iter()
        .find(|(_, bytes)| decoder.push(bytes).is_err())
    {
        return Err(failure("it is refused where fewer columns are kept", bytes));
    }
    let part = decoder.flush().batch;
    let same = some
        .iter()
        .all(|name| part.column_by_name(name) == whole.column_by_name(name));
    if part.num_columns() != some.len() || !same {
        return Err(failure(
            &format!("fewer columns are other columns: {some:?}"),
            &[],
        ));
    }
    Ok(ran)
}

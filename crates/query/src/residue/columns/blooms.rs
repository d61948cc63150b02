//! Bloom filters: their answers for values that their own column does not contain.
//!
//! A filter answers "maybe" for some values by chance, at a rate that follows from how full it is.
//! Only a number of answers that chance cannot explain is a finding; the other answers are counted.

use std::collections::HashSet;

use parquet::basic::Type;
use parquet::bloom_filter::Sbbf;
use parquet::errors::Result;

use super::super::chance::beyond_chance;
use super::super::finding::{FileFindings, LocationKind};
use super::super::list_line::ListLine;
use super::super::values::SearchValues;
use super::chunk::ChunkSearch;
use super::spot;

/// The size of a filter's block in bytes.
const BLOCK: usize = 32;

/// Asks a column's filter for all values except those that the column contains.
pub fn search(
    chunk: &ChunkSearch<'_>,
    held: &HashSet<ListLine>,
    values: &SearchValues,
    found: &mut FileFindings,
) -> Result<()> {
    let Some(filter) = Sbbf::read_from_column_chunk(chunk.meta, chunk.file.as_ref())? else {
        return Ok(());
    };
    let odds = odds(&filter)?;
    let (mut asked, mut maybe) = (0_u32, Vec::new());
    let mut ask = |line: ListLine, says: &dyn Fn() -> bool| {
        if !held.contains(&line) {
            asked += 1;
            if says() {
                maybe.push(line);
            }
        }
    };
    match chunk.meta.column_type() {
        Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => {
            values
                .wholes
                .iter()
                .for_each(|(bytes, line)| ask(*line, &|| filter.check(bytes.as_slice())));
        }
        Type::INT64 => {
            for (number, lines) in values.typed.wholes() {
                lines
                    .iter()
                    .for_each(|line| ask(*line, &|| filter.check(&number)));
            }
        }
        _ => {}
    }
    maybe.sort_unstable();
    maybe.dedup();
    let expected = odds * f64::from(asked);
    found.blooms.filters += 1;
    found.blooms.maybe += maybe.len() as u64;
    found.blooms.expected += expected;
    if beyond_chance(maybe.len() as u64, expected) {
        maybe.into_iter().for_each(|line| {
            found.hit(
                line,
                spot(LocationKind::Bloom, &chunk.name, chunk.row_group),
                None,
            )
        });
    }
    Ok(())
}

/// Returns the probability that a filter answers "maybe" for a value that was never inserted: in
/// one block, each of the eight words must have the one bit set that the value's hash selects.
fn odds(filter: &Sbbf) -> Result<f64> {
    let mut bits = Vec::new();
    filter.write_bitset(&mut bits)?;
    let block = |block: &[u8]| {
        let words = block
            .chunks_exact(4)
            .map(|word| word.iter().map(|byte| byte.count_ones()).sum::<u32>());
        words.map(|set| f64::from(set) / 32.0).product::<f64>()
    };
    let blocks = bits.chunks_exact(BLOCK);
    let all = f64::from(u32::try_from(blocks.len()).unwrap_or(u32::MAX)).max(1.0);
    Ok(blocks.map(block).sum::<f64>() / all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_odds_of_a_filter_are_those_that_it_shows() {
        let mut filter = Sbbf::new_with_ndv_fpp(1000, 0.05).unwrap();
        (0..1000).for_each(|number| filter.insert(format!("in {number}").as_str()));
        let said = (0..100_000)
            .filter(|number| filter.check(format!("out {number}").as_str()))
            .count();
        let odds = odds(&filter).unwrap();
        let share = said as f64 / 100_000.0;
        assert!((share - odds).abs() < 0.2 * odds, "{share} {odds}");
    }
}

//! Compares cells of random records with the oracle: subjects, sums, suppressed records and order.

use proptest::prelude::*;

use super::oracle::{expected, people};
use super::world::{CellKey, batches, made, plan, records, rows};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn cells_are_what_the_oracle_says_in_every_order_and_within_every_budget(
        records in records(),
        shuffled in any::<proptest::sample::Index>(),
        k in 2_u32..21,
        size in 1_usize..200,
        budget in prop_oneof![Just(0), 0_usize..30_000, Just(usize::MAX)],
    ) {
        let plan = plan(k);
        let found = made(&plan, usize::MAX, &batches(&records, size));
        let (wanted, suppressed) = expected(k as usize, &records);
        prop_assert_eq!(&rows(&found.rows), &wanted);
        prop_assert_eq!(found.counts.suppressed, suppressed);
        prop_assert_eq!(found.counts.cells, wanted.len() as u64);

        let mut others = records.clone();
        others.reverse();
        if !others.is_empty() {
            let at = shuffled.index(others.len());
            others.rotate_left(at);
            others.swap(0, at);
        }
        let again = made(&plan, budget, &batches(&others, size / 2 + 1));
        prop_assert_eq!(&again.rows, &found.rows);
        prop_assert_eq!(again.counts, found.counts);
    }

    #[test]
    fn every_record_is_suppressed_or_in_a_cell_of_at_least_k_people(
        records in records(),
        k in 2_u32..21,
    ) {
        let found = made(&plan(k), 20_000, &batches(&records, 64));
        prop_assert_eq!(found.counts.read, records.len() as u64);
        prop_assert_eq!(found.counts.records + found.counts.suppressed, found.counts.read);
        let counted: i64 = rows(&found.rows).iter().map(|row| row.records).sum();
        prop_assert_eq!(counted, found.counts.records as i64);
        let people = people(&records);
        for row in rows(&found.rows).into_iter().filter(|row| row.key != CellKey::default()) {
            prop_assert!(people[&row.key] >= k as usize, "{:?} is of {}", row.key, people[&row.key]);
        }
    }
}

//! The columns by which the rows of a compacted segment are sorted. Pure: subjects and deadlines
//! in, columns out.
//!
//! A sort order must not outlive the column that it is based on: in a file sorted by number, the
//! order shows which rows belong to one person even after the numbers are deleted. So rows are
//! sorted only by subjects that are deleted with the last of the record's personal data.

use std::collections::BTreeMap;

use ebbtide_base::ids::{Category, Deadline};

/// Returns the columns of `subjects` that stay as long as any personal data of rows with those
/// deadlines, in their order. Each subject comes with its category; `None` means not personal.
/// `open` is true if some category has no deadline yet, so that it is not known which is deleted
/// last.
pub fn order<'s>(
    subjects: impl IntoIterator<Item = (&'s str, Option<&'s Category>)>,
    deadlines: &BTreeMap<Category, Deadline>,
    open: bool,
) -> Vec<String> {
    let last = deadlines.values().max();
    let stays = |category: Option<&Category>| match category {
        None => true,
        Some(category) => !open && last.is_some() && deadlines.get(category) == last,
    };
    let staying = subjects
        .into_iter()
        .filter(|(_, category)| stays(*category));
    staying.map(|(column, _)| column.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn sorted(
        subjects: &[(&str, Option<&str>)],
        deadlines: &[(&str, i64)],
        open: bool,
    ) -> Vec<String> {
        let category = |name: &str| Category::new(name).unwrap();
        let categories: Vec<Option<Category>> =
            subjects.iter().map(|(_, of)| of.map(category)).collect();
        let subjects = subjects
            .iter()
            .zip(&categories)
            .map(|((column, _), of)| (*column, of.as_ref()));
        let at = |day: i64| Deadline(DateTime::from_timestamp(day * 86_400, 0).unwrap());
        order(
            subjects,
            &deadlines
                .iter()
                .map(|(name, day)| (category(name), at(*day)))
                .collect(),
            open,
        )
    }

    #[test]
    fn rows_are_sorted_by_subjects_that_go_last() {
        let subjects = [
            ("recipient", Some("phone_number")),
            ("originator", Some("phone_number")),
        ];
        assert_eq!(
            sorted(&subjects, &[("content", 7), ("phone_number", 30)], false),
            ["recipient", "originator"]
        );
        assert_eq!(
            sorted(&subjects, &[("content", 30), ("phone_number", 30)], false),
            ["recipient", "originator"]
        );
    }

    #[test]
    fn no_order_outlives_its_subject() {
        let subjects = [("mail", Some("address")), ("number", Some("phone_number"))];
        assert_eq!(
            sorted(&subjects, &[("address", 7), ("phone_number", 30)], false),
            ["number"]
        );
        assert_eq!(
            sorted(
                &subjects[..1],
                &[("address", 7), ("phone_number", 30)],
                false
            ),
            [""; 0]
        );
        // A category without a deadline may be deleted first or last.
        assert_eq!(sorted(&subjects, &[("phone_number", 30)], true), [""; 0]);
        // Deleted columns are not used for sorting.
        assert_eq!(
            sorted(&subjects[..1], &[("phone_number", 30)], false),
            [""; 0]
        );
        assert_eq!(sorted(&subjects, &[], false), [""; 0]);
        assert_eq!(
            sorted(&[("device", None)], &[("content", 7)], true),
            ["device"]
        );
    }
}

//! The jurisdictions of the rows of a batch.

use arrow::array::{Array, StringArray};

use ebbtide_base::ids::Country;

/// The jurisdictions of a batch.
pub(super) enum BatchCountries {
    /// The jurisdiction of all rows.
    One(Country),
    /// The jurisdiction of each row.
    Each(Vec<Country>),
}

impl BatchCountries {
    /// Returns the result of `country` for each text; [`Country::UNKNOWN`] for null.
    pub(super) fn each(of: &StringArray, country: impl Fn(&str) -> Country) -> Self {
        let country_of_row = |row| {
            if of.is_valid(row) {
                country(of.value(row))
            } else {
                Country::UNKNOWN
            }
        };
        Self::Each((0..of.len()).map(country_of_row).collect())
    }

    /// Returns the jurisdiction of a row.
    #[inline]
    pub(super) fn of(&self, row: usize) -> Country {
        match self {
            Self::One(country) => *country,
            Self::Each(countries) => countries[row],
        }
    }
}

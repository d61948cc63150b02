//! The request of a search: subject, products, tenant, country and time.

use serde::{Serialize, Serializer};

use ebbtide_base::ids::{Country, ProductKey};
use ebbtide_controls::{Subject, TimeRange};
use ebbtide_policy::Records;

/// The conditions for records. A record must meet every condition that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchRequest {
    /// The subject that is one of the record's subjects.
    pub subject: Option<Subject>,
    /// The record's tenant, as it is stored in the table.
    pub tenant: Option<String>,
    /// The country whose rules apply to the record.
    pub jurisdiction: Option<Country>,
    /// The time range of the record's event. If the event's time is deleted, its bucket must
    /// overlap the range.
    pub events: Option<TimeRange>,
    /// The products of which the record may be; any product if empty.
    pub products: Vec<ProductKey>,
}

/// The reason why an inquiry is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchRequestError {
    /// There is no condition except the products.
    #[error("say whose records: a subject, a tenant, a jurisdiction or a time range")]
    Everything,
    /// The range ends before it begins.
    #[error("the time range ends before it begins")]
    NoTime,
    /// The tenant is empty.
    #[error("the tenant is empty")]
    NoTenant,
    /// A product that was named cannot be searched.
    #[error("`{product}` {why}")]
    Product {
        /// The product.
        product: ProductKey,
        /// The reason.
        why: SkipReason,
    },
}

/// The reason why a table is not searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum SkipReason {
    /// The content of its columns is not known.
    #[error("is no product of the policy with records: what its columns hold is not known")]
    NotInPolicy,
    /// Its records have no subject of that kind.
    #[error("has no subject of that kind, so none of its records can match")]
    NoSubject,
    /// Its records do not contain the tenant.
    #[error("stores no tenant, so none of its records can be attributed to that tenant")]
    NoTenant,
}

/// In words, as it is shown.
impl Serialize for SkipReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The tables that an inquiry is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchTables {
    /// The tables that are searched.
    pub looked_into: Vec<ProductKey>,
    /// The tables that are not searched, with the reasons. A table that is not in the policy may
    /// contain records of any subject.
    pub passed: Vec<(ProductKey, SkipReason)>,
}

impl SearchRequest {
    /// Errors if the inquiry has no condition, or one that can never be true.
    pub fn check(&self) -> Result<(), SearchRequestError> {
        let ranges = self
            .events
            .filter(|range| range.from.is_some() || range.to.is_some());
        if self.subject.is_none()
            && self.tenant.is_none()
            && self.jurisdiction.is_none()
            && ranges.is_none()
        {
            return Err(SearchRequestError::Everything);
        }
        if ranges.is_some_and(|range| {
            range
                .from
                .zip(range.to)
                .is_some_and(|(from, to)| from >= to)
        }) {
            return Err(SearchRequestError::NoTime);
        }
        if self
            .tenant
            .as_deref()
            .is_some_and(|tenant| tenant.trim().is_empty())
        {
            return Err(SearchRequestError::NoTenant);
        }
        Ok(())
    }

    /// Returns the columns of a product that may contain the subject, and the tenant's column.
    /// Errors with the reason if no record can match.
    pub(super) fn columns<'r>(
        &self,
        records: Option<&'r Records>,
    ) -> Result<(Vec<&'r str>, Option<&'r str>), SkipReason> {
        let records = records.ok_or(SkipReason::NotInPolicy)?;
        let stored = |column: &&str| records.fields.contains_key(*column);
        let mut subjects = Vec::new();
        if let Some(subject) = &self.subject {
            let named = records
                .subjects
                .iter()
                .filter(|of| subject.kind.is_of(&of.kind));
            subjects.extend(named.map(|of| of.column.as_str()).filter(stored));
            if subjects.is_empty() {
                return Err(SkipReason::NoSubject);
            }
        }
        let tenant = records.tenant.as_deref().filter(stored);
        if self.tenant.is_some() && tenant.is_none() {
            return Err(SkipReason::NoTenant);
        }
        Ok((subjects, tenant))
    }
}

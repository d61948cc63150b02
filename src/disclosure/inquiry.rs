//! What is asked: whose records, of which products, tenant, country and time.

use crate::controls::{Subject, TimeRange};
use crate::ids::{Country, ProductKey};
use crate::policy::Records;

/// What records are asked for: those for which every condition that is given is true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inquiry {
    /// Any of a record's subjects is this one.
    pub subject: Option<Subject>,
    /// The record's tenant is this one, as it stands in the table.
    pub tenant: Option<String>,
    /// The country whose rules apply to the record is this one.
    pub jurisdiction: Option<Country>,
    /// The record's event lies in this range. Where the event's time is gone, its bucket meets it.
    pub events: Option<TimeRange>,
    /// The record is of one of these products; none given: of any.
    pub products: Vec<ProductKey>,
}

/// An inquiry that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InquiryError {
    /// Nothing limits it but the products.
    #[error("say whose records: a subject, a tenant, a jurisdiction or a time range")]
    Everything,
    /// The range ends before it begins.
    #[error("the time range ends before it begins")]
    NoTime,
    /// The tenant is empty.
    #[error("the tenant is empty")]
    NoTenant,
    /// A product that was named cannot be looked into.
    #[error("`{product}` {why}")]
    Product {
        /// The product.
        product: ProductKey,
        /// Why.
        why: Passed,
    },
}

/// Why a table is not looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Passed {
    /// Nobody knows what its columns are.
    #[error("is no product of the policy with records: what its columns hold is not known")]
    NotInPolicy,
    /// Its records name nobody by such an identifier.
    #[error("has no subject of that kind, so none of its records can match")]
    NoSubject,
    /// Its records do not say whose customer somebody is.
    #[error("stores no tenant, so none of its records can be told to be that tenant's")]
    NoTenant,
}

/// Which tables an inquiry is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// Those that are looked into.
    pub looked_into: Vec<ProductKey>,
    /// Those that are not, and why. A table that the policy does not know may hold records of anybody.
    pub passed: Vec<(ProductKey, Passed)>,
}

impl Inquiry {
    /// Errors unless it limits something and every condition can be true.
    pub fn check(&self) -> Result<(), InquiryError> {
        let ranges = self.events.filter(|range| range.from.is_some() || range.to.is_some());
        if self.subject.is_none() && self.tenant.is_none() && self.jurisdiction.is_none() && ranges.is_none() {
            return Err(InquiryError::Everything);
        }
        if ranges.is_some_and(|range| range.from.zip(range.to).is_some_and(|(from, to)| from >= to)) {
            return Err(InquiryError::NoTime);
        }
        if self.tenant.as_deref().is_some_and(|tenant| tenant.trim().is_empty()) {
            return Err(InquiryError::NoTenant);
        }
        Ok(())
    }

    /// The columns of a product that may name the subject; the tenant's column. Why not, where no record can match.
    pub(super) fn columns<'r>(&self, records: Option<&'r Records>) -> Result<(Vec<&'r str>, Option<&'r str>), Passed> {
        let records = records.ok_or(Passed::NotInPolicy)?;
        let stored = |column: &&str| records.fields.contains_key(*column);
        let mut subjects = Vec::new();
        if let Some(subject) = &self.subject {
            let named = records.subjects.iter().filter(|of| subject.kind.is_of(&of.kind));
            subjects.extend(named.map(|of| of.column.as_str()).filter(stored));
            if subjects.is_empty() {
                return Err(Passed::NoSubject);
            }
        }
        let tenant = records.tenant.as_deref().filter(stored);
        if self.tenant.is_some() && tenant.is_none() {
            return Err(Passed::NoTenant);
        }
        Ok((subjects, tenant))
    }
}

//! What is to become of a product's records when they end: the policy's `anonymize` with the types of its columns.
//!
//! Promises that every column is there and of a type that its part takes.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

use super::error::PlanError;
use super::numbers::Number;
use crate::policy::Anonymize;

/// The column of a cell that says how many records it stands for.
pub(super) const RECORDS: &str = "records";

/// How a product's records become cells.
#[derive(Debug, Clone, PartialEq)]
pub struct CellPlan {
    pub(super) k: usize,
    pub(super) of: String,
    pub(super) cell: Vec<(String, DataType)>,
    pub(super) sum: Vec<(String, Number)>,
}

impl CellPlan {
    /// The plan of `anonymize` over columns of which `type_of` tells the type. Errors on a column that is not there or not
    /// of its part's type: a single value for a cell, a number for a sum, text for the subject.
    pub fn new(anonymize: &Anonymize, type_of: impl Fn(&str) -> Option<DataType>) -> Result<Self, PlanError> {
        let found = |column: &String| type_of(column).ok_or_else(|| PlanError::Missing { column: column.clone() });
        let wrong = |column: &String, found: DataType, part: &'static str| PlanError::Type {
            column: column.clone(),
            found,
            part,
        };
        let of = found(&anonymize.of)?;
        if of != DataType::Utf8 {
            return Err(wrong(&anonymize.of, of, "the subject that is counted"));
        }
        let cell = anonymize.cell.iter().map(|name| match found(name)? {
            DataType::Utf8 | DataType::Boolean => Ok((name.clone(), found(name)?)),
            data_type if data_type.is_primitive() => Ok((name.clone(), data_type)),
            data_type => Err(wrong(name, data_type, "part of a cell")),
        });
        let cell = cell.collect::<Result<_, _>>()?;
        let sum = anonymize.sum.iter().map(|name| {
            let data_type = found(name)?;
            let number = Number::of(&data_type).ok_or_else(|| wrong(name, data_type, "a sum"))?;
            Ok((name.clone(), number))
        });
        let sum = sum.collect::<Result<_, _>>()?;
        // Below two there is nobody to hide among, whatever the caller's policy says.
        let k = usize::try_from(anonymize.k).unwrap_or(usize::MAX).max(2);
        Ok(Self { k, of: anonymize.of.clone(), cell, sum })
    }

    /// The columns that cells are made of: those that the source of the rows must give, where the rows have them.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let cell = self.cell.iter().map(|(name, _)| name.as_str());
        cell.chain([self.of.as_str()]).chain(self.sum.iter().map(|(name, _)| name.as_str()))
    }

    /// The columns of the cells: those of `cell`, those of `sum`, and `records`.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let cell = self.cell.iter().map(|(name, data_type)| Field::new(name, data_type.clone(), true));
        let sum = self.sum.iter().map(|(name, number)| Field::new(name, number.data_type(), true));
        let records = Field::new(RECORDS, DataType::Int64, true);
        Arc::new(Schema::new(cell.chain(sum).chain([records]).collect::<Vec<_>>()))
    }
}

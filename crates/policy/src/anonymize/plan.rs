//! The plan for a product's records when they end: the policy's `anonymize` with the types of its
//! columns.
//!
//! Every column of a plan exists and has a type that fits its use.

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;

use super::error::CellPlanError;
use super::numbers::NumericType;
use crate::Anonymize;

/// The column with the number of records that a cell represents.
pub(super) const RECORDS: &str = "records";

/// The plan that turns a product's records into cells.
#[derive(Debug, Clone, PartialEq)]
pub struct CellPlan {
    pub(super) k: usize,
    pub(super) of: String,
    pub(super) cell: Vec<(String, DataType)>,
    pub(super) sum: Vec<(String, NumericType)>,
}

impl CellPlan {
    /// Creates the plan of `anonymize`. `type_of` returns the type of a column. Errors if a column
    /// does not exist or has a type that does not fit its use: a single value for a cell, a number
    /// for a sum, text for the subject.
    pub fn new(
        anonymize: &Anonymize,
        type_of: impl Fn(&str) -> Option<DataType>,
    ) -> Result<Self, CellPlanError> {
        let found = |column: &String| {
            type_of(column).ok_or_else(|| CellPlanError::Missing {
                column: column.clone(),
            })
        };
        let wrong = |column: &String, found: DataType, part: &'static str| CellPlanError::Type {
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
            let number = NumericType::from_data_type(&data_type)
                .ok_or_else(|| wrong(name, data_type, "a sum"))?;
            Ok((name.clone(), number))
        });
        let sum = sum.collect::<Result<_, _>>()?;
        // With fewer than two subjects a cell protects no one, whatever the caller's policy says.
        let k = usize::try_from(anonymize.k).unwrap_or(usize::MAX).max(2);
        Ok(Self {
            k,
            of: anonymize.of.clone(),
            cell,
            sum,
        })
    }

    /// Returns the columns of which cells are made. The source must return those of them that the
    /// rows have.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        let cell = self.cell.iter().map(|(name, _)| name.as_str());
        cell.chain([self.of.as_str()])
            .chain(self.sum.iter().map(|(name, _)| name.as_str()))
    }

    /// Returns the columns of the cells: those of `cell`, those of `sum`, and `records`.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let cell = self
            .cell
            .iter()
            .map(|(name, data_type)| Field::new(name, data_type.clone(), true));
        let sum = self
            .sum
            .iter()
            .map(|(name, number)| Field::new(name, number.data_type(), true));
        let records = Field::new(RECORDS, DataType::Int64, true);
        Arc::new(Schema::new(
            cell.chain(sum).chain([records]).collect::<Vec<_>>(),
        ))
    }
}

//! The schema of a product's table: its columns, their roles, and their types in Delta and Arrow.
//!
//! The same policy always gives the same columns in the same order, and decides for each which
//! statistics the log may have.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use ebbtide_base::ids::{BucketUnit, Category, ProductKey};
pub use ebbtide_policy::expires_column;
use ebbtide_policy::tag::FormsMark;
use ebbtide_policy::{ColumnClass, Derivation, Policy, expires_category};

/// The role of a column, which decides what may be written about it outside its data pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnRole {
    /// Personal data: nothing of it is ever written outside data pages.
    Personal(Category),
    /// Not personal by the policy, or derived at ingest.
    Plain,
    /// Written by Ebbtide itself: a deadline, a country, the source of the record.
    Tag,
}

/// One column of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableColumn {
    /// Its name.
    pub name: String,
    /// Its Arrow type, one that Delta has.
    pub data_type: DataType,
    /// The role of the column.
    pub role: ColumnRole,
    /// Its meaning, for readers of the table.
    pub doc: Option<String>,
    /// True if its values get a bloom filter: subjects and the tenant, which are looked up by
    /// value.
    pub bloom: bool,
}

/// The columns of one product's table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSpec {
    /// The product.
    pub product: ProductKey,
    /// The unit of its buckets.
    pub unit: BucketUnit,
    /// Policy fields in the schema's order, derived columns, tags; the partition columns `bucket`
    /// and `profile` last.
    pub columns: Vec<TableColumn>,
    /// The canonical forms in which subjects are written; `None` for a product without subjects.
    pub forms: Option<FormsMark>,
}

/// The names of the partition columns, in order.
pub const PARTITION_COLUMNS: [&str; 2] = ["bucket", "profile"];

/// The tags with the source of a record. They are personal while they link to a message, so the log
/// never has their bounds.
pub const SOURCE_COLUMNS: [&str; 3] = ["source_topic", "source_partition", "source_offset"];

/// Returns the type of every instant in a table: microseconds in UTC.
#[must_use]
pub fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

impl TableSpec {
    /// Creates the spec of a product's table under a policy; `None` for a product that is unknown
    /// or has no records.
    #[must_use]
    pub fn of(policy: &Policy, product: &ProductKey) -> Option<TableSpec> {
        let records = policy.products.get(product)?.records.as_ref()?;
        let looked_up: BTreeSet<&str> = records
            .subjects
            .iter()
            .map(|subject| subject.column.as_str())
            .chain(records.tenant.as_deref())
            .collect();
        let mut columns = Vec::new();
        let mut categories = BTreeSet::new();
        for column in &records.schema.columns {
            let Some(class) = records.fields.get(&column.name) else {
                continue;
            };
            let role = match class {
                ColumnClass::Personal(category) => {
                    categories.insert(category.clone());
                    ColumnRole::Personal(category.clone())
                }
                ColumnClass::NotPersonal => ColumnRole::Plain,
            };
            columns.push(TableColumn {
                name: column.name.clone(),
                data_type: column.data_type.clone(),
                role,
                doc: column.doc.clone(),
                bloom: looked_up.contains(column.name.as_str()),
            });
        }
        columns.extend(records.derive.iter().map(|derived| TableColumn {
            name: derived.name.clone(),
            data_type: match derived.how {
                Derivation::CountryOf | Derivation::DomainOf => DataType::Utf8,
                Derivation::HourOf => DataType::Int32,
            },
            role: ColumnRole::Plain,
            doc: Some(format!("Derived at ingest from {}.", derived.of)),
            bloom: false,
        }));
        columns.extend(tags(&categories, policy.bucket));
        let forms = (!records.subjects.is_empty()).then(|| FormsMark::of(records));
        Some(TableSpec {
            product: product.clone(),
            unit: policy.bucket,
            columns,
            forms,
        })
    }

    /// Creates the specs of all products of a policy that have records, in its order.
    pub fn all(policy: &Policy) -> impl Iterator<Item = Arc<TableSpec>> {
        policy
            .products
            .keys()
            .filter_map(|product| Self::of(policy, product))
            .map(Arc::new)
    }

    /// Returns the column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&TableColumn> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Returns the column of that name if it is the deadline of a category that the policy no
    /// longer has for the product: files of an earlier policy contain it until their tags are
    /// updated.
    #[must_use]
    pub fn former_deadline(&self, name: &str) -> Option<TableColumn> {
        let category = Category::new(expires_category(name)?).ok()?;
        let is_former = self.column(name).is_none();
        is_former.then(|| TableColumn {
            name: expires_column(&category),
            data_type: instant(),
            role: ColumnRole::Tag,
            doc: None,
            bloom: false,
        })
    }

    /// Returns the columns of the files: all but the partition columns.
    pub fn stored(&self) -> impl Iterator<Item = &TableColumn> {
        self.columns
            .iter()
            .filter(|column| !PARTITION_COLUMNS.contains(&column.name.as_str()))
    }

    /// Returns the whole table as an Arrow schema, every column nullable, each with its meaning as
    /// the comment that Delta shows.
    #[must_use]
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(
            self.columns
                .iter()
                .map(TableColumn::field)
                .collect::<Vec<_>>(),
        ))
    }

    /// Returns true if the log may have the minimum and maximum of a column: tags except those that
    /// link to a message, and columns that are not personal, unless they are nested or text, which
    /// has no maximum length.
    #[must_use]
    pub fn has_bounds_in_log(&self, column: &TableColumn) -> bool {
        let name = column.name.as_str();
        match column.role {
            ColumnRole::Personal(_) => false,
            ColumnRole::Plain => has_stats(&column.data_type),
            ColumnRole::Tag => {
                !SOURCE_COLUMNS.contains(&name) && !PARTITION_COLUMNS.contains(&name)
            }
        }
    }
}

impl TableColumn {
    /// Returns its Arrow field, nullable, with its meaning as the comment that Delta shows.
    #[must_use]
    pub fn field(&self) -> Field {
        let field = Field::new(&self.name, self.data_type.clone(), true);
        match &self.doc {
            Some(doc) => field.with_metadata([("comment".to_owned(), doc.clone())].into()),
            None => field,
        }
    }
}

/// Returns true for numbers, dates and instants: the types with short and meaningful bounds.
fn has_stats(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Timestamp(TimeUnit::Microsecond, _)
    )
}

/// Returns the tags of a product with those categories, the partition columns last.
pub fn tags(categories: &BTreeSet<Category>, unit: BucketUnit) -> Vec<TableColumn> {
    let tag = |name: &str, data_type: DataType, doc: &str| TableColumn {
        name: name.to_owned(),
        data_type,
        role: ColumnRole::Tag,
        doc: Some(doc.to_owned()),
        bloom: false,
    };
    let mut tags: Vec<TableColumn> = categories
        .iter()
        .map(|category| {
            let doc = format!(
                "When {category} of this record expires; null while open or once it is deleted."
            );
            tag(&expires_column(category), instant(), &doc)
        })
        .collect();
    let bucket = match unit {
        BucketUnit::Day => DataType::Date32,
        BucketUnit::Hour => instant(),
    };
    tags.extend([
        tag(
            "jurisdiction",
            DataType::Utf8,
            "The country whose rules apply; ZZ if it is unknown.",
        ),
        tag(
            "policy_version",
            DataType::Utf8,
            "The policy under which the deadlines were written.",
        ),
        tag("ingested_at", instant(), "When Ebbtide took the record."),
        tag(
            "records",
            DataType::Int64,
            "How many records the row stands for: 1, or more in a cell.",
        ),
        tag(
            "source_topic",
            DataType::Utf8,
            "The Kafka topic the record came from.",
        ),
        tag(
            "source_partition",
            DataType::Int32,
            "The partition of that topic.",
        ),
        tag(
            "source_offset",
            DataType::Int64,
            "The offset in that partition.",
        ),
        tag(
            "bucket",
            bucket,
            "The day or hour of the event in the policy's zone.",
        ),
        tag(
            "profile",
            DataType::Utf8,
            "The resolved rules; their text is the table's property ebbtide.profile.<profile>.",
        ),
    ]);
    tags
}

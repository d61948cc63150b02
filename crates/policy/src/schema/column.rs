//! One column of a product's table, derived from its Avro schema: nested records are flattened.

use arrow::datatypes::DataType;

/// One column: a leaf of the schema's records, or a whole array or map.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The flattened name: `sender.id` is `sender_id`.
    pub name: String,
    /// The field names from the top of the record to the field.
    pub path: Vec<String>,
    /// The aliases of each of those fields.
    pub aliases: Vec<Vec<String>>,
    /// The Arrow type in which the column is stored; always one that Delta Lake has. Text is
    /// `Utf8`, times are `Timestamp(Microsecond, Some("UTC"))`, UUIDs and enums are text.
    pub data_type: DataType,
    /// True for a wall-clock time without a zone (Avro's local-timestamp types): its values are not
    /// instants.
    pub local: bool,
    /// True if the column, or a record around it, may be null.
    pub nullable: bool,
    /// The schema's `doc` of the field.
    pub doc: Option<String>,
}

impl Column {
    /// Returns true if the column is the renamed column at `path` of an older schema: each field on
    /// the path has that name, or has it as an alias.
    #[must_use]
    pub fn was(&self, path: &[String]) -> bool {
        self.path.len() == path.len()
            && self
                .path
                .iter()
                .zip(&self.aliases)
                .zip(path)
                .all(|((own, aliases), old)| own == old || aliases.contains(old))
    }

    /// Returns all former names of the column: each field on the path by its name or an alias,
    /// without the current name.
    #[must_use]
    pub fn former_names(&self) -> Vec<String> {
        let mut names = vec![String::new()];
        for (own, aliases) in self.path.iter().zip(&self.aliases) {
            let longer = |name: &String, part: &String| match name.is_empty() {
                true => part.clone(),
                false => format!("{name}_{part}"),
            };
            names = names
                .iter()
                .flat_map(|name| {
                    [own]
                        .into_iter()
                        .chain(aliases)
                        .map(move |part| longer(name, part))
                })
                .collect();
            // A schema may have many aliases in every field of the path.
            names.truncate(1000);
        }
        names.retain(|name| *name != self.name);
        names
    }
}

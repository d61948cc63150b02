//! Names of Avro's records, enums and fixed types: the construction of full names, and the writers'
//! names that a type is read from.

/// The name of a record, enum or fixed type, with the writers' names that are read as it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TypeName {
    /// The namespace and the name, separated by a dot.
    pub(super) full: String,
    /// Accepted names: a full name if it has a dot, otherwise an unqualified name of any namespace.
    accepted: Vec<String>,
    /// True if the policy lists the names.
    is_listed: bool,
}

impl TypeName {
    /// Creates a type that is read from writers' types of its own unqualified name, and of its
    /// `aliases`.
    pub(super) fn new<'a>(full: String, aliases: impl Iterator<Item = &'a str>) -> Self {
        let own = unqualified(&full).to_owned();
        let accepted = std::iter::once(own)
            .chain(aliases.map(|alias| alias.trim_matches('.').to_owned()))
            .collect();
        Self {
            full,
            accepted,
            is_listed: false,
        }
    }

    /// Accepts writers' types of `names` only.
    pub(super) fn accept_only(&mut self, names: &[String]) {
        self.accepted = names.to_vec();
        self.is_listed = true;
    }

    /// Returns true if the policy lists the names of writers' types that are read as this one.
    pub(super) fn is_listed(&self) -> bool {
        self.is_listed
    }

    /// Returns true if Avro reads a writer's type of that name as this one.
    pub(super) fn reads(&self, writer: &TypeName) -> bool {
        let is = |name: &String| match name.contains('.') {
            true => *name == writer.full,
            false => name == unqualified(&writer.full),
        };
        self.accepted.iter().any(is)
    }
}

/// Splits a name that is written in `space` into its own namespace (empty for none) and its
/// unqualified part.
///
/// A name with a dot contains its namespace. Dots at its ends are ignored.
pub(super) fn split<'a>(name: &'a str, space: &'a str) -> (&'a str, &'a str) {
    let has_space = name.contains('.');
    match name.trim_matches('.').rsplit_once('.') {
        Some((space, name)) => (space, name),
        None if has_space => ("", name.trim_matches('.')),
        None => (space, name),
    }
}

/// Returns the full name of a name that is written as `name` in `space`.
pub(super) fn full(name: &str, space: &str) -> String {
    match split(name, space) {
        ("", name) => name.to_owned(),
        (space, name) => format!("{space}.{name}"),
    }
}

fn unqualified(full: &str) -> &str {
    split(full, "").1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_dot_is_full_and_odd_dots_separate_nothing() {
        for (name, space, wanted) in [
            ("A", "", "A"),
            ("A", "b.c", "b.c.A"),
            ("d.A", "b.c", "d.A"),
            (".A", "b.c", "A"),
            ("d.A.", "b", "d.A"),
            ("d..A", "b", "d..A"),
            ("x-y.1$A", "b", "x-y.1$A"),
            ("", "b", "b."),
        ] {
            assert_eq!(full(name, space), wanted, "{name} in {space}");
        }
    }

    #[test]
    fn types_are_read_by_unqualified_name_or_alias() {
        let name =
            |full: &str, aliases: &[&str]| TypeName::new(full.to_owned(), aliases.iter().copied());
        let reader = name("a.Sms", &["Message", "old.Text"]);
        for (writer, wanted) in [
            ("a.Sms", true),
            ("b.Sms", true),
            ("Sms", true),
            ("x-y.Message", true),
            ("old.Text", true),
            ("new.Text", false),
            ("a.SmsReceipt", false),
            ("a.sms", false),
        ] {
            assert_eq!(reader.reads(&name(writer, &[])), wanted, "{writer}");
        }
        // A writer's aliases have no effect.
        assert!(!reader.reads(&name("a.Other", &["Sms"])));
    }

    #[test]
    fn listed_names_replace_a_types_own() {
        let mut reader = TypeName::new("a.Sms".to_owned(), std::iter::empty());
        reader.accept_only(&["b.Sms".to_owned(), "Mms".to_owned()]);
        let reads = |full: &str| reader.reads(&TypeName::new(full.to_owned(), std::iter::empty()));
        assert_eq!(["a.Sms", "b.Sms", "c.Mms"].map(reads), [false, true, true]);
    }
}

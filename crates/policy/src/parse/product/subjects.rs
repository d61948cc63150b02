//! The subject columns of a product.

use ebbtide_base::yaml::{YamlNode, check_keys, join};

use crate::model::{Platform, SubjectColumn, SubjectKind};
use crate::parse::columns::{ColumnUse, KeyPosition, ProductColumns, RequiredType};
use crate::parse::value_reader::{TextForm, ValueReader, did_you_mean};

/// Reads the columns that name a person, each with the kind of its identifiers.
pub(super) fn subjects(
    node: &YamlNode,
    path: &str,
    columns: &ProductColumns,
    reading: &mut ValueReader<'_>,
) -> Vec<SubjectColumn> {
    let mut subjects = Vec::new();
    for entry in reading.entries(node, path, "{ recipient: phone }") {
        let path = join(path, &entry.key);
        let column = columns.want_named(
            &entry.key,
            KeyPosition {
                at: entry.at,
                path: &path,
            },
            ColumnUse {
                role: "a subject",
                kind: RequiredType::Text,
            },
            reading,
        );
        let kind = subject_kind(&entry.value, &path, columns, reading);
        let (Some(column), Some(kind)) = (column, kind) else {
            continue;
        };
        if columns
            .fields
            .get(&column)
            .is_some_and(|class| class.category().is_none())
        {
            let what = format!("`{column}` names a person and is classified `none`");
            reading.problems.error(
                entry.at,
                &path,
                what,
                "give it the category of what it is, under fields",
            );
        }
        subjects.push(SubjectColumn { column, kind });
    }
    subjects
}

fn subject_kind(
    node: &YamlNode,
    path: &str,
    columns: &ProductColumns,
    reading: &mut ValueReader<'_>,
) -> Option<SubjectKind> {
    const FORMS: &str =
        "write `phone`, `email`, `{ platform_of: <column> }` or `{ platform: whatsapp }`";
    match node.text() {
        Some("phone") => return Some(SubjectKind::Phone),
        Some("email") => return Some(SubjectKind::Email),
        Some(text) => {
            let known = ["phone", "email"];
            let help = ebbtide_base::problem::nearest(text, known)
                .map_or(FORMS.to_owned(), |_| did_you_mean(text, &known));
            reading.problems.error(
                node.at,
                path,
                format!("`{text}` is no kind of subject"),
                help,
            );
            return None;
        }
        None => check_keys(node, &["platform_of", "platform"], path, reading.problems),
    }
    match (node.get("platform_of"), node.get("platform")) {
        (Some(of), None) => {
            let column = columns.want(
                of,
                &join(path, "platform_of"),
                ColumnUse {
                    role: "the platform",
                    kind: RequiredType::Text,
                },
                reading,
            )?;
            Some(SubjectKind::Channel(Platform::Column(column)))
        }
        (None, Some(name)) => {
            let path = join(path, "platform");
            let is = |text: &str| {
                !text.is_empty()
                    && text.bytes().all(|b| {
                        b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)
                    })
            };
            let name = reading.shaped(
                name,
                &path,
                TextForm {
                    what: "a platform's name in lower case",
                    example: "whatsapp",
                },
                is,
            )?;
            Some(SubjectKind::Channel(Platform::Fixed(name.to_owned())))
        }
        (Some(_), Some(_)) => {
            reading
                .problems
                .error(node.at, path, "two platforms of one identifier", FORMS);
            None
        }
        (None, None) => None,
    }
}

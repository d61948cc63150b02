//! The jurisdiction of a product's records, and country codes.

use ebbtide_base::ids::Country;
use ebbtide_base::yaml::{YamlNode, check_keys, join};

use crate::countries;
use crate::model::Jurisdiction;
use crate::parse::columns::{ColumnUse, KeyPosition, ProductColumns, RequiredType};
use crate::parse::value_reader::ValueReader;

/// Reads the source of the jurisdiction.
pub(super) fn jurisdiction(
    node: &YamlNode,
    path: &str,
    columns: &ProductColumns,
    reading: &mut ValueReader<'_>,
) -> Option<Jurisdiction> {
    const FORMS: &str = "write `{ country_of: <column of numbers> }`, `{ column: <column of countries> }`, a country, or `unknown`";
    if let Some(text) = node.text() {
        if text == "unknown" {
            return Some(Jurisdiction::Unknown);
        }
        if !text.bytes().all(|b| b.is_ascii_uppercase()) || text == Country::UNKNOWN.as_str() {
            reading.problems.error(
                node.at,
                path,
                format!("`{text}` says no jurisdiction"),
                FORMS,
            );
            return None;
        }
        let position = KeyPosition { at: node.at, path };
        return country(text, position, reading).map(Jurisdiction::Fixed);
    }
    check_keys(node, &["country_of", "column"], path, reading.problems);
    let wanted = ColumnUse {
        role: "the jurisdiction",
        kind: RequiredType::Text,
    };
    match (node.get("country_of"), node.get("column")) {
        (Some(of), None) => columns
            .want(of, &join(path, "country_of"), wanted, reading)
            .map(Jurisdiction::CountryOf),
        (None, Some(of)) => columns
            .want(of, &join(path, "column"), wanted, reading)
            .map(Jurisdiction::Column),
        (Some(_), Some(_)) => {
            reading
                .problems
                .error(node.at, path, "two sources of one jurisdiction", FORMS);
            None
        }
        (None, None) => None,
    }
}

/// Reads an assigned country code, and reports an error for any other text.
pub(in crate::parse) fn country(
    text: &str,
    position: KeyPosition<'_>,
    reading: &mut ValueReader<'_>,
) -> Option<Country> {
    let country = Country::new(text)
        .ok()
        .filter(|country| countries::is_assigned(*country));
    if country.is_none() {
        let upper = text.to_ascii_uppercase();
        let help = match upper.as_str() {
            "UK" => "write `GB`".to_owned(),
            "EL" => "write `GR`".to_owned(),
            "EU" => "list its countries one by one".to_owned(),
            _ if upper != text && countries::codes().any(|code| code == upper) => {
                format!("write `{upper}`")
            }
            _ => "write two capitals of ISO 3166-1, such as `NL`".to_owned(),
        };
        let what = format!("there is no country `{text}`");
        reading
            .problems
            .error(position.at, position.path, what, help);
    }
    country
}

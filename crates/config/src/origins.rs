//! The place at which each setting is set: its line in the file, or its variable.
//!
//! Checks that run after the file was read (against the policy, with the Kafka client) use it to
//! name the places of their problems.

use std::collections::BTreeMap;
use std::fmt;

use super::property::canonical;
use ebbtide_base::problem::{Problem, TextPosition};
use ebbtide_base::yaml::{YamlNode, join};

/// The place of every setting that the file or a variable sets, by the setting's path
/// (`sweep.every`).
#[derive(Debug, Clone, Default)]
pub struct Origins {
    file: String,
    set: BTreeMap<String, Origin>,
}

/// One place: a file with its line and column, or a variable (line 0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The file's or variable's name.
    pub file: String,
    /// The place in the file; zero for a variable.
    pub at: TextPosition,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

impl Origins {
    /// Collects the places of `tree`, which is the content of `file` overlaid with the variables of
    /// `set_by` (path to name).
    pub(super) fn read(file: &str, tree: &YamlNode, set_by: &BTreeMap<String, String>) -> Self {
        let mut origins = Self {
            file: file.to_owned(),
            set: BTreeMap::new(),
        };
        origins.collect(tree, "", set_by);
        origins
    }

    fn collect(&mut self, node: &YamlNode, path: &str, set_by: &BTreeMap<String, String>) {
        for entry in node.entries() {
            let path = join(path, &entry.key);
            let origin = match set_by.get(&path) {
                Some(variable) => Origin {
                    file: variable.clone(),
                    at: TextPosition::default(),
                },
                None => Origin {
                    file: self.file.clone(),
                    at: entry.value.at,
                },
            };
            if let Some(property) = path.strip_prefix(PROPERTIES) {
                self.set.insert(
                    format!("{PROPERTIES}{}", canonical(property)),
                    origin.clone(),
                );
            }
            self.set.insert(path.clone(), origin);
            self.collect(&entry.value, &path, set_by);
        }
    }

    /// Returns the place of `path`. If it is not set: the place of the section that it belongs to,
    /// or the file's beginning.
    #[must_use]
    pub fn of(&self, path: &str) -> Origin {
        let mut path = path;
        loop {
            if let Some(origin) = self.set.get(path) {
                return origin.clone();
            }
            match path.rsplit_once('.') {
                Some((section, _)) => path = section,
                None => {
                    return Origin {
                        file: self.file.clone(),
                        at: TextPosition { line: 1, column: 1 },
                    };
                }
            }
        }
    }

    /// Returns true if the file or a variable sets `path`.
    #[must_use]
    pub fn is_set(&self, path: &str) -> bool {
        self.set.contains_key(path)
    }
}

/// The prefix of the paths of the Kafka client's properties.
const PROPERTIES: &str = "kafka.properties.";

/// Replaces the file's name by the variable's name in each problem that a variable caused.
pub(super) fn name_variables(
    mut problems: Vec<Problem>,
    set_by: &BTreeMap<String, String>,
) -> Vec<Problem> {
    for problem in problems
        .iter_mut()
        .filter(|problem| problem.at == TextPosition::default())
    {
        if let Some(variable) = set_by.get(&problem.path) {
            problem.file.clone_from(variable);
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_found_by_its_line_its_variable_or_its_section() {
        let tree = ebbtide_base::yaml::parse(
            "sweep:\n  every: 1m\nkafka:\n  properties:\n    metadata.broker.list: a:1\n    client.id: x\n",
        );
        let set_by = BTreeMap::from([(
            "kafka.properties.client.id".to_owned(),
            "EBBTIDE_X".to_owned(),
        )]);
        let origins = Origins::read("e.yaml", &tree.unwrap(), &set_by);
        for (path, place, is_set) in [
            ("sweep.every", "e.yaml:2", true),
            ("sweep.takeover", "e.yaml:2", false),
            ("maintain.readers_grace", "e.yaml:1", false),
            ("kafka.properties.bootstrap.servers", "e.yaml:5", true),
            ("kafka.properties.client.id", "EBBTIDE_X", true),
        ] {
            assert_eq!(
                (origins.of(path).to_string().as_str(), origins.is_set(path)),
                (place, is_set),
                "{path}"
            );
        }
    }
}

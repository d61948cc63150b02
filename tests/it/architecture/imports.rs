//! The imports of a file: every path in it that starts at the crate's root, at `super` or at another crate.
//!
//! Paths are absolute (`super` is resolved, groups of a `use` are expanded), each with its line.

use super::tokens::Token;

/// A path that a file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The target of the path.
    pub to: Target,
    /// The line that has its name.
    pub line: usize,
}

/// The target of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The first name below this crate's root.
    Floor(String),
    /// The first name of a path of another crate, or of something in scope: the caller knows the crates that matter.
    Foreign(String),
}

/// Returns all paths in `tokens` of the file whose own module is `module` (`["tag", "number"]`).
pub fn imports(module: &[String], tokens: &[Token<'_>]) -> Vec<Import> {
    let mut scan = Scan { tokens, scopes: vec![module.to_vec()], braces: Vec::new(), found: Vec::new() };
    let mut at = 0;
    while at < tokens.len() {
        at = scan.step(at);
    }
    scan.found
}

struct Scan<'a> {
    tokens: &'a [Token<'a>],
    /// The module that the scan is in, and the modules around it within the file.
    scopes: Vec<Vec<String>>,
    /// For each open brace, true if it opened an inline module.
    braces: Vec<bool>,
    found: Vec<Import>,
}

impl<'a> Scan<'a> {
    fn text(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |t| t.text)
    }

    fn scope(&self) -> Vec<String> {
        self.scopes.last().cloned().unwrap_or_default()
    }

    /// Handles the token at `at`. Returns the position to continue at.
    fn step(&mut self, at: usize) -> usize {
        match self.text(at) {
            "mod" if self.text(at + 2) == "{" => {
                let mut inner = self.scope();
                inner.push(self.text(at + 1).to_owned());
                self.scopes.push(inner);
                self.braces.push(true);
                at + 3
            }
            "{" => {
                self.braces.push(false);
                at + 1
            }
            "}" => {
                if self.braces.pop() == Some(true) {
                    self.scopes.pop();
                }
                at + 1
            }
            "use" => self.tree(at + 1, None),
            _ if self.starts_path(at) => self.path(at),
            _ => at + 1,
        }
    }

    /// Returns true if the token is a name that is followed by `::` and not preceded by it.
    fn starts_path(&self, at: usize) -> bool {
        let word = self.text(at).starts_with(|c: char| c.is_alphabetic() || c == '_');
        word && self.text(at + 1) == "::" && (at == 0 || self.text(at - 1) != "::")
    }

    /// Handles a path outside a `use`. Returns the position to continue at.
    fn path(&mut self, at: usize) -> usize {
        self.tree(at, None)
    }

    /// Handles a use-tree at `at`, below `base`, which is `None` before the path begins. Returns the position to
    /// continue at.
    fn tree(&mut self, mut at: usize, base: Option<Vec<String>>) -> usize {
        let mut base = base;
        loop {
            let word = self.text(at);
            let line = self.tokens.get(at).map_or(0, |t| t.line);
            match word {
                "{" => return self.group(at + 1, base),
                "::" => {
                    at += 1;
                    continue;
                }
                "*" => return at + 1,
                _ => {}
            }
            base = match (word, base) {
                ("crate" | "ebbtide", None) => Some(Vec::new()),
                ("self", None) => Some(self.scope()),
                ("super", None) => Some(parent(self.scope())),
                ("super", Some(below)) => Some(parent(below)),
                (name, Some(mut below)) => {
                    below.push(name.to_owned());
                    if below.len() == 1 {
                        self.found.push(Import { to: Target::Floor(name.to_owned()), line });
                    } else if self.text(at.wrapping_sub(2)) == "super" {
                        self.found.push(Import { to: Target::Floor(below[0].clone()), line });
                    }
                    Some(below)
                }
                (name, None) => {
                    self.found.push(Import { to: Target::Foreign(name.to_owned()), line });
                    return self.foreign(at + 1);
                }
            };
            if self.text(at + 1) != "::" {
                return at + 1;
            }
            at += 2;
        }
    }

    /// Handles the branches of a group up to its closing brace. Returns the position to continue at.
    fn group(&mut self, mut at: usize, base: Option<Vec<String>>) -> usize {
        while at < self.tokens.len() {
            match self.text(at) {
                "}" => return at + 1,
                "," => at += 1,
                "as" => at += 2,
                "self" => at += 1,
                _ => at = self.tree(at, base.clone()),
            }
        }
        at
    }

    /// Skips the rest of a foreign path and its groups: the names below its crate do not matter.
    fn foreign(&self, mut at: usize) -> usize {
        while self.text(at) == "::" {
            at += 1;
            if self.text(at) == "{" {
                let mut depth = 0_usize;
                loop {
                    match self.text(at) {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        "" => return at,
                        _ => {}
                    }
                    at += 1;
                    if depth == 0 {
                        return at;
                    }
                }
            }
            at += 1;
        }
        at
    }
}

fn parent(mut module: Vec<String>) -> Vec<String> {
    module.pop();
    module
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    fn floors(module: &[&str], source: &str) -> Vec<(String, usize)> {
        let module: Vec<_> = module.iter().map(|&m| m.to_owned()).collect();
        let all = imports(&module, &tokens(source));
        all.into_iter()
            .filter_map(|i| match i.to {
                Target::Floor(name) => Some((name, i.line)),
                Target::Foreign(_) => None,
            })
            .collect()
    }

    fn named(names: &[(&str, usize)]) -> Vec<(String, usize)> {
        names.iter().map(|&(n, l)| (n.to_owned(), l)).collect()
    }

    #[test]
    fn a_use_a_group_and_a_path_in_the_code_are_all_found() {
        let source =
            "use crate::store::Table;\nuse crate::{\n ids::{A, B as C},\n tag,\n};\nfn f() { crate::policy::g(1) }";
        assert_eq!(floors(&["app"], source), named(&[("store", 1), ("ids", 3), ("tag", 4), ("policy", 6)]));
    }

    #[test]
    fn super_is_followed_out_of_files_and_inline_modules() {
        assert_eq!(floors(&["tag"], "use super::store::X;"), named(&[("store", 1)]));
        assert_eq!(floors(&["tag", "number"], "fn f() { super::super::app::g() }"), named(&[("app", 1)]));
        assert_eq!(floors(&["tag", "number"], "use super::prefix::Y;"), named(&[("tag", 1)]));
        let inline = "mod tests {\n use super::*;\n use super::super::ids::X;\n}\nuse super::clock::Z;";
        assert_eq!(floors(&["tag"], inline), named(&[("ids", 3), ("clock", 5)]));
    }

    #[test]
    fn the_crate_by_its_own_name_is_the_crate() {
        assert_eq!(floors(&[], "fn main() { ebbtide::cli::run() }"), named(&[("cli", 1)]));
    }

    #[test]
    fn another_crate_is_foreign_and_its_inner_names_do_not_count() {
        let source = "use parquet::{file::{a, store}, arrow};\nlet x = rdkafka::util::y();";
        let all = imports(&["app".to_owned()], &tokens(source));
        let names: Vec<_> = all.iter().map(|i| (&i.to, i.line)).collect();
        let foreign = |n: &str| Target::Foreign(n.to_owned());
        assert_eq!(names, [(&foreign("parquet"), 1), (&foreign("rdkafka"), 2)]);
    }
}

//! The rules of the repository as data, and the check of one file against them.
//!
//! Each breach is reported with file and line. Sources are read as text: they need not compile.

use super::imports::{Target, imports};
use super::tokens::{Token, tokens};

/// The floors from the top. A file may import floors below its own; if `inner` is true, also others of its floor.
const FLOORS: [(&[&str], bool); 13] = [
    (&["cli"], false),
    (&["demo"], false),
    (&["api"], false),
    (&["app"], false),
    (&["ingest", "expiry", "cases", "disclosure"], false),
    (&["controls"], false),
    (&["ledger"], false),
    (&["store"], false),
    (&["anonymize", "value_list"], false),
    (&["tag"], false),
    (&["policy"], false),
    (&["schema"], false),
    (&["record", "ids", "clock", "config", "metrics", "telemetry", "health", "problem", "yaml", "failpoint"], true),
];

/// Crates that only some floors may use, and these floors.
const FENCED: [(&str, &[&str]); 6] = [
    ("rdkafka", &["ingest", "demo"]),
    ("rdkafka_sys", &["ingest", "demo"]),
    ("deltalake_core", &["store"]),
    ("delta_kernel", &["store"]),
    ("parquet", &["store"]),
    ("object_store", &["store"]),
];

/// Calls that read the time or the environment, and the one floor that may make them.
const ROOMS: [(&str, &str, &str); 7] = [
    ("Utc", "now", "clock"),
    ("Local", "now", "clock"),
    ("SystemTime", "now", "clock"),
    ("Instant", "now", "clock"),
    ("env", "var", "config"),
    ("env", "var_os", "config"),
    ("env", "vars", "config"),
];

/// One source file: its path from the repository (`src/tag/number.rs`) and its text.
pub struct File<'a> {
    pub path: &'a str,
    pub text: &'a str,
}

impl File<'_> {
    /// Returns its module below the crate's root: `["tag", "number"]`; empty for `lib.rs` and `main.rs`.
    fn module(&self) -> Vec<String> {
        let path = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let mut names: Vec<String> = path.split('/').map(str::to_owned).collect();
        if names.last().is_some_and(|last| last == "mod" || (names.len() == 1 && (last == "lib" || last == "main"))) {
            names.pop();
        }
        names
    }

    fn is_test(&self) -> bool {
        self.module().iter().any(|name| name == "tests" || name.ends_with("_tests"))
    }
}

fn floor(name: &str) -> Option<usize> {
    FLOORS.iter().position(|(names, _)| names.contains(&name))
}

/// Returns every breach of the rules in `file`, as `path:line: what`.
pub fn breaches(file: &File<'_>) -> Vec<String> {
    let module = file.module();
    let top = module.first().map_or("", String::as_str);
    let tokens = tokens(file.text);
    let mut found = Vec::new();
    let mut report = |line: usize, what: String| found.push(format!("{}:{line}: {what}", file.path));
    if !top.is_empty() && floor(top).is_none() {
        report(
            1,
            format!("`{top}` is on no floor: give it a place in FLOORS of the architecture test, and in the docs"),
        );
        return found;
    }
    for import in imports(&module, &tokens) {
        match &import.to {
            Target::Floor(name) if !top.is_empty() => {
                if let Some(why) = wrong_way(top, name) {
                    report(import.line, format!("`{top}` imports `{name}`: {why}"));
                }
            }
            Target::Floor(_) => {}
            Target::Foreign(name) => {
                if let Some((_, users)) = FENCED.iter().find(|(fenced, _)| fenced == name)
                    && !users.contains(&top)
                {
                    report(import.line, format!("`{name}` is used under {} only", users.join(" and ")));
                }
            }
        }
    }
    if file.is_test() {
        return found;
    }
    for (line, what) in misplaced(top, &tokens) {
        report(line, what);
    }
    found
}

/// Returns the reason why `from` may not import `to`; `None` if it may.
fn wrong_way(from: &str, to: &str) -> Option<&'static str> {
    let (Some(own), Some(other)) = (floor(from), floor(to)) else {
        return Some("it is on no floor");
    };
    if from == to || other > own || (other == own && FLOORS[own].1) {
        None
    } else if other == own {
        Some("none of the works imports another")
    } else {
        Some("imports go down the floors")
    }
}

/// Returns the reads of clocks and the environment and the printing outside their floors, above the file's own tests.
fn misplaced(top: &str, tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for window in tokens.windows(3) {
        let [first, second, third] = [window[0].text, window[1].text, window[2].text];
        if (first, second, third) == ("mod", "tests", "{") {
            break;
        }
        if let Some((_, _, room)) = ROOMS.iter().find(|(of, call, _)| (first, second, third) == (*of, "::", *call))
            && top != *room
        {
            found.push((window[0].line, format!("`{first}::{third}` belongs to `{room}`")));
        }
        let prints = matches!(first, "print" | "println" | "eprint" | "eprintln" | "dbg") && second == "!";
        if prints && top != "cli" {
            found.push((window[0].line, format!("`{first}!` outside `cli`")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, text: &str) -> Vec<String> {
        breaches(&File { path, text })
    }

    #[test]
    fn an_import_up_the_floors_is_named_with_file_and_line() {
        let found = of("src/tag/mod.rs", "//! Head.\nuse crate::ids::Country;\nuse crate::store::Table;\n");
        assert_eq!(found, ["src/tag/mod.rs:3: `tag` imports `store`: imports go down the floors"]);
    }

    #[test]
    fn an_import_between_two_works_is_refused_and_by_super_too() {
        let found = of("src/expiry/sweep.rs", "use super::super::ingest::Lane;");
        assert_eq!(found, ["src/expiry/sweep.rs:1: `expiry` imports `ingest`: none of the works imports another"]);
    }

    #[test]
    fn the_ground_floor_may_import_its_own_and_every_floor_those_below() {
        assert_eq!(of("src/problem.rs", "use crate::ids::X;"), [""; 0]);
        assert_eq!(of("src/app.rs", "use crate::{ingest, store, tag, metrics};"), [""; 0]);
        assert_eq!(of("src/yaml/tests.rs", "use super::*; use crate::yaml::Y;"), [""; 0]);
        assert_eq!(of("src/main.rs", "fn main() { ebbtide::cli::main() }"), [""; 0]);
    }

    #[test]
    fn a_module_on_no_floor_is_refused() {
        assert_eq!(of("src/util.rs", "fn f() {}").len(), 1);
        assert_eq!(of("src/tag/mod.rs", "use crate::util::f;").len(), 1);
    }

    #[test]
    fn a_crate_with_one_user_is_refused_elsewhere() {
        assert_eq!(
            of("src/app.rs", "use rdkafka::config::X;\nfn f() -> parquet::file::Y {}"),
            [
                "src/app.rs:1: `rdkafka` is used under ingest and demo only",
                "src/app.rs:2: `parquet` is used under store only"
            ]
        );
        assert_eq!(of("src/store/segment.rs", "use parquet::file::X; use object_store::Y;"), [""; 0]);
    }

    #[test]
    fn clocks_the_environment_and_printing_have_their_rooms() {
        let text = "fn f() { chrono::Utc::now(); std::env::var(\"X\"); println!(\"x\"); }";
        assert_eq!(of("src/tag/mod.rs", text).len(), 3);
        assert_eq!(of("src/clock.rs", "fn f() { Utc::now(); }"), [""; 0]);
        assert_eq!(of("src/config.rs", "fn f() { std::env::var(\"X\"); }"), [""; 0]);
        assert_eq!(of("src/cli/run.rs", "fn f() { println!(\"x\") }"), [""; 0]);
        assert_eq!(of("src/tag/mod.rs", "mod tests { fn f() { println!(\"x\") } }"), [""; 0]);
    }
}

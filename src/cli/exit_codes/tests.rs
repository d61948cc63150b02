use std::collections::BTreeSet;

use super::{EXIT_CODES, MEANINGS};
use crate::cli::program;

fn operations() -> String {
    std::fs::read_to_string("docs/operations.md").unwrap()
}

/// Collects the paths of the commands that have no subcommands.
fn leaves(command: &clap::Command, path: &str, found: &mut BTreeSet<String>) {
    if !command.has_subcommands() {
        found.insert(path.trim_start().to_owned());
    }
    for below in command.get_subcommands() {
        leaves(below, &format!("{path} {}", below.get_name()), found);
    }
}

#[test]
fn every_command_is_in_the_table_of_exit_codes() {
    let mut commands = BTreeSet::new();
    leaves(&program(), "", &mut commands);
    let listed: BTreeSet<String> = EXIT_CODES
        .iter()
        .map(|codes| codes.command.to_owned())
        .collect();
    assert_eq!(listed, commands);
}

#[test]
fn documents_have_the_same_exit_codes_as_the_commands() {
    let mut table = "| command | 0 | 1 | 2 | 3 | 4 |\n|---|---|---|---|---|---|\n".to_owned();
    for codes in &EXIT_CODES {
        let cells = codes.meanings.map(|meaning| match meaning {
            "" => "-",
            meaning => meaning,
        });
        table += &format!("| `{}` | {} |\n", codes.command, cells.join(" | "));
    }
    let documented = operations();
    assert!(
        documented.contains(&format!("\n\n{table}\n")),
        "docs/operations.md needs this table:\n{table}"
    );
}

#[test]
fn documents_have_the_general_meaning_of_each_code() {
    let (documented, mut words) = (operations(), Vec::new());
    for (code, meaning) in MEANINGS.iter().enumerate() {
        words.push(format!("{code} {meaning}"));
    }
    let words = words.join(", ");
    let documented = documented.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(documented.contains(&words), "{words}");
}

#[test]
fn help_of_every_command_lists_the_codes_of_the_table() {
    for codes in &EXIT_CODES {
        let mut command = program();
        let mut below = &mut command;
        for name in codes.command.split(' ') {
            below = below.find_subcommand_mut(name).unwrap();
        }
        let help = below.render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for (code, meaning) in codes.returned() {
            let line = format!("{code}: {meaning}.");
            assert!(help.contains(&line), "{}: {line}: {help}", codes.command);
        }
    }
}

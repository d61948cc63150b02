//! The exit codes of all commands: one table, which `--help` shows and `docs/operations.md` repeats.

use clap::Command;

/// Done.
pub(super) const DONE: u8 = 0;
/// A problem was found, or something failed.
pub(super) const PROBLEM: u8 = 1;
/// Wrong use, which the caller can fix. Of a search: the answer is not complete.
pub(super) const WRONG_USE: u8 = 2;
/// More is left to do.
pub(super) const MORE_LEFT: u8 = 3;
/// The command did nothing, or only a part, because the clock is not trusted. Running it again does
/// not help.
pub(super) const CLOCK_NOT_TRUSTED: u8 = 4;

/// The general meaning of each code.
pub(super) const MEANINGS: [&str; 5] = [
    "done",
    "a problem was found or something failed",
    "wrong use",
    "more is left",
    "the clock is not trusted",
];

/// The exit codes of one command.
pub(super) struct ExitCodes {
    /// The command, as it is written after `ebbtide`.
    pub(super) command: &'static str,
    /// The meaning of each code. Empty if the command does not return the code.
    pub(super) meanings: [&'static str; 5],
}

const WRONG: &str = "wrong use";
const WRONG_FILE: &str = "wrong use, or the file cannot be read";
const WRONG_SETUP: &str =
    "wrong use, an unusable configuration or policy, or another policy is active";
const NO_TABLE: &str = "the table cannot be read, or does not exist";
const NO_ROOT: &str = "wrong use, or the root does not exist";
const NOT_EVERYWHERE: &str = "not in force everywhere, or something failed";
const UNTRUSTED: &str =
    "the clock is not trusted, and nothing was changed; see `ebbtide clock show`";
const UNTRUSTED_PART: &str =
    "the clock is not trusted, and only a part may be done; see `ebbtide clock show`";

/// The exit codes of every command, in the order of `--help`.
pub(super) const EXIT_CODES: [ExitCodes; 32] = [
    ExitCodes {
        command: "run",
        meanings: [
            "a clean stop",
            "it could not start or stop, or a part ended by itself; the last lines say why",
            WRONG,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "policy check",
        meanings: [
            "no errors; there may be warnings",
            "errors",
            WRONG_FILE,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "policy explain",
        meanings: [
            "explained",
            "the policy has errors",
            "wrong use, an unknown product, column or country, or the file cannot be read",
            "",
            "",
        ],
    },
    ExitCodes {
        command: "policy plan",
        meanings: [
            "the policy can be activated",
            "the policy has errors or is refused, or the tables cannot be read",
            "wrong use, no policy to compare with, or a file cannot be read",
            "",
            "",
        ],
    },
    ExitCodes {
        command: "policy activate",
        meanings: [
            "in force everywhere",
            "the policy has errors or is refused, or is not in force everywhere",
            "wrong use, the version was used before, or a file cannot be read; nothing was changed",
            "",
            UNTRUSTED,
        ],
    },
    ExitCodes {
        command: "policy history",
        meanings: [
            "listed or printed",
            "the version was never activated, or the control log cannot be read",
            WRONG,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "policy schema",
        meanings: ["printed", "", WRONG, "", ""],
    },
    ExitCodes {
        command: "config check",
        meanings: [
            "no errors; there may be warnings",
            "errors",
            WRONG_FILE,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "config show",
        meanings: [
            "printed",
            "the configuration has errors",
            WRONG_FILE,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "sweep",
        meanings: [
            "no expired data is left",
            "something failed, or a file could not be deleted",
            WRONG_SETUP,
            "more is left (--steps)",
            UNTRUSTED_PART,
        ],
    },
    ExitCodes {
        command: "compact",
        meanings: [
            "nothing is left to merge",
            "something failed",
            WRONG_SETUP,
            "more is left (--steps)",
            UNTRUSTED_PART,
        ],
    },
    ExitCodes {
        command: "clock show",
        meanings: [
            "the clock is trusted",
            "it is not, or the root cannot be read",
            NO_ROOT,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "clock confirm",
        meanings: ["recorded", "it could not be recorded", NO_ROOT, "", ""],
    },
    ExitCodes {
        command: "table list",
        meanings: ["listed", "the tables cannot be listed", WRONG, "", ""],
    },
    ExitCodes {
        command: "table show",
        meanings: ["shown", NO_TABLE, WRONG, "", ""],
    },
    ExitCodes {
        command: "table audit",
        meanings: [
            "no error was found",
            "errors were found, or the table cannot be read or does not exist",
            WRONG,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "partition list",
        meanings: [
            "every partition may be read",
            "one is refused, a topic cannot be read, or something failed",
            WRONG_SETUP,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "partition accept-loss",
        meanings: [
            "the decision is recorded, or the partition is not refused",
            "something failed, or the product has no table",
            "wrong use, an unusable configuration or policy, another policy is active, or no product reads the topic",
            "",
            UNTRUSTED,
        ],
    },
    ExitCodes {
        command: "hold place",
        meanings: [
            "in force everywhere",
            "not in force everywhere, or something failed; run `ebbtide hold list`",
            "wrong use, and nothing was changed",
            "",
            "",
        ],
    },
    ExitCodes {
        command: "hold list",
        meanings: [
            "every control is in force everywhere",
            "one is not (--repair finishes it), or something failed",
            WRONG,
            "",
            "with --repair, the clock is not trusted: every control is in force, and nothing was forgotten or listed",
        ],
    },
    ExitCodes {
        command: "hold release",
        meanings: [
            "released everywhere",
            "not released everywhere, or there is no such hold",
            WRONG,
            "",
            UNTRUSTED,
        ],
    },
    ExitCodes {
        command: "find",
        meanings: [
            "records were found",
            "none were found, and every table that may have such records was read",
            "the answer is not complete: wrong use, a failure, or a table or file that could not be searched",
            "",
            "",
        ],
    },
    ExitCodes {
        command: "contract end",
        meanings: [
            "in force everywhere",
            NOT_EVERYWHERE,
            "wrong use or refused, and nothing was changed",
            "",
            UNTRUSTED,
        ],
    },
    ExitCodes {
        command: "contract list",
        meanings: [
            "all are in force everywhere",
            "one is not (`ebbtide hold list --repair` finishes it), or something failed",
            WRONG,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "consent withdraw",
        meanings: [
            "in force everywhere",
            NOT_EVERYWHERE,
            "wrong use or refused, and nothing was changed",
            "",
            UNTRUSTED,
        ],
    },
    ExitCodes {
        command: "notice list",
        meanings: [
            "none waits",
            "at least one waits, or something failed",
            WRONG,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "notice show",
        meanings: [
            "shown",
            "something failed",
            "wrong use, or no such notice",
            "",
            "",
        ],
    },
    ExitCodes {
        command: "notice confirm",
        meanings: [
            "in force everywhere",
            NOT_EVERYWHERE,
            "wrong use, or no such notice waits",
            "",
            UNTRUSTED,
        ],
    },
    ExitCodes {
        command: "notice reject",
        meanings: [
            "rejected",
            "something failed",
            "wrong use, or no such notice waits",
            "",
            UNTRUSTED,
        ],
    },
    ExitCodes {
        command: "history",
        meanings: ["shown", NO_TABLE, WRONG, "", ""],
    },
    ExitCodes {
        command: "why",
        meanings: [
            "the record is known",
            "nothing is known of it, the policy has errors, or the table cannot be read or does not exist",
            WRONG,
            "",
            "",
        ],
    },
    ExitCodes {
        command: "residue",
        meanings: [
            "everything was searched, and nothing was found",
            "something was found, even if a part could not be searched",
            "wrong use, or nothing was found and a part could not be searched",
            "",
            "",
        ],
    },
];

/// Returns `command`, whose path is `path` (empty for the program), with the exit codes of it and of
/// its subcommands in the long help.
pub(super) fn with_exit_codes(command: Command, path: &str) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    let described = match (path, EXIT_CODES.iter().find(|codes| codes.command == path)) {
        ("", _) => describe(command, &program_help()),
        (_, Some(codes)) => describe(command, &codes.help()),
        (_, None) => command,
    };
    names.into_iter().fold(described, |command, name| {
        let path = format!("{path} {name}");
        command.mut_subcommand(name, |below| with_exit_codes(below, path.trim_start()))
    })
}

fn describe(command: Command, codes: &str) -> Command {
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let stop = if about.ends_with('.') { "" } else { "." };
    command.long_about(format!("{about}{stop}\n\n{codes}"))
}

/// Returns the general meaning of the codes, for the help of the program.
fn program_help() -> String {
    let meanings: Vec<String> = MEANINGS
        .iter()
        .enumerate()
        .map(|(code, meaning)| format!("{code} {meaning}"))
        .collect();
    format!(
        "Exit codes of most commands: {}. `ebbtide COMMAND --help` lists the codes of a command.",
        meanings.join(", ")
    )
}

impl ExitCodes {
    /// Returns the codes that the command returns, each with its meaning.
    pub(super) fn returned(&self) -> impl Iterator<Item = (u8, &'static str)> {
        (0..)
            .zip(self.meanings)
            .filter(|(_, meaning)| !meaning.is_empty())
    }

    fn help(&self) -> String {
        let codes: Vec<String> = self
            .returned()
            .map(|(code, meaning)| format!("{code}: {meaning}."))
            .collect();
        format!("Exit code {}", codes.join(" "))
    }
}

#[cfg(test)]
mod tests;

//! Checks the waits between a deadline and the deletion of the last byte against the shortest grace
//! of the policy.

use std::time::Duration;

use super::{PolicyInUse, error};
use crate::instance::janitor::PASSES;
use crate::instance::tasks::upkeep_every;
use ebbtide_base::problem::{Problem, Severity};
use ebbtide_config::{Config, show_duration};
use ebbtide_maintenance::shortest;
use ebbtide_policy::Rule;

/// One setting that takes time between a deadline and the deletion of the last byte.
#[derive(Debug, Clone, Copy)]
struct Wait {
    key: &'static str,
    time: Duration,
}

/// Waits that follow one another, then the time until the clean-up has passed each table.
#[derive(Debug, Clone)]
struct Chain {
    waits: Vec<Wait>,
    clean_up: Duration,
}

/// A setting that is too long, with the longest that would be valid.
struct LimitProblem {
    problem: Problem,
    most: Duration,
}

pub(super) fn check(config: &Config, policy: PolicyInUse<'_>) -> Vec<Problem> {
    let grace = |rule: &Rule| shortest(rule.grace).to_std().unwrap_or_default();
    let Some(rule) = policy.policy.rules.iter().min_by_key(|rule| grace(rule)) else {
        return Vec::new();
    };
    let budget = grace(rule);
    let at = format!(
        "rule `{}` ({}) allows a grace of {}",
        rule.id,
        policy.rule_key(config, &rule.id, "grace"),
        rule.grace
    );
    let mut problems = Vec::new();
    for chain in chains(config) {
        let total = chain.total();
        for (wait, most) in chain.too_long(budget) {
            let what = format!(
                "data that is due may stay for {} ({}), and {at}",
                in_words(total),
                chain.in_words()
            );
            let fix = format!(
                "write {} or less, or a longer grace there",
                show_duration(round_down(most))
            );
            let problem = error(config, wait.key, what, fix);
            report(&mut problems, LimitProblem { problem, most });
        }
    }
    let mut problems: Vec<Problem> = problems.into_iter().map(|known| known.problem).collect();
    problems.extend(orphans(config, budget, &at));
    problems
}

/// Adds a problem; of two at one setting, the one with the lower limit is kept.
fn report(problems: &mut Vec<LimitProblem>, new: LimitProblem) {
    let known = problems
        .iter_mut()
        .find(|known| known.problem.path == new.problem.path);
    match known {
        Some(known) if known.most > new.most => *known = new,
        Some(_) => {}
        None => problems.push(new),
    }
}

/// Returns the chains of waits. One of three things delays the first sweep of due data: its owner
/// does not run, the clock has jumped, or the record is still in memory.
fn chains(config: &Config) -> Vec<Chain> {
    let clean_up = upkeep_every(&config.maintain) * u32::try_from(PASSES).unwrap_or(u32::MAX);
    let readers = Wait {
        key: "maintain.readers_grace",
        time: config.maintain.readers_grace,
    };
    if !config.sweep.enabled {
        // Another process sweeps; this one deletes the files that the sweep replaced.
        return vec![Chain {
            waits: vec![readers],
            clean_up,
        }];
    }
    let every = Wait {
        key: "sweep.every",
        time: config.sweep.every,
    };
    let first = [
        Wait {
            key: "sweep.takeover",
            time: config.sweep.takeover,
        },
        Wait {
            key: "sweep.clock_settle",
            time: config.sweep.clock_settle,
        },
        Wait {
            key: "ingest.commit_age",
            time: config.ingest.commit_age,
        },
    ];
    first
        .map(|first| Chain {
            waits: vec![first, every, readers],
            clean_up,
        })
        .into()
}

impl Chain {
    fn total(&self) -> Duration {
        self.waits.iter().map(|wait| wait.time).sum::<Duration>() + self.clean_up
    }

    fn in_words(&self) -> String {
        let waits = self
            .waits
            .iter()
            .map(|wait| format!("{} {}", wait.key, show_duration(wait.time)));
        format!(
            "{} + the clean-up {}",
            waits.collect::<Vec<_>>().join(" + "),
            show_duration(self.clean_up)
        )
    }

    /// Returns the waits that make the chain longer than `budget`, each with the longest time at
    /// which all fit.
    fn too_long(&self, budget: Duration) -> Vec<(Wait, Duration)> {
        if self.total() <= budget {
            return Vec::new();
        }
        let most = level(&self.waits, budget.saturating_sub(self.clean_up));
        self.waits
            .iter()
            .filter(|wait| wait.time > most)
            .map(|wait| (*wait, most))
            .collect()
    }
}

/// Returns the level to which the longest waits must be cut so that their sum is `budget`: shorter
/// ones keep their time.
fn level(waits: &[Wait], budget: Duration) -> Duration {
    let mut times: Vec<Duration> = waits.iter().map(|wait| wait.time).collect();
    times.sort();
    let mut left = budget;
    for (at, time) in times.iter().enumerate() {
        let share = left / u32::try_from(times.len() - at).unwrap_or(u32::MAX);
        if *time > share {
            return share;
        }
        left -= *time;
    }
    left
}

/// Warns if data of a file that a crash left uncommitted is kept beyond the grace until the file is
/// old enough to be deleted. This is only a warning: the age must also be longer than any commit
/// takes, and no deadline depends on it in ordinary work.
fn orphans(config: &Config, budget: Duration, at: &str) -> Option<Problem> {
    const KEY: &str = "maintain.orphan_age";
    let age = config.maintain.orphan_age;
    if age <= budget {
        return None;
    }
    let what = format!(
        "after a crash, data of an unfinished commit may stay for {}, and {at}",
        in_words(age)
    );
    let fix = format!(
        "write {} or less, longer than any commit takes",
        show_duration(round_down(budget))
    );
    Some(Problem {
        severity: Severity::Warning,
        ..error(config, KEY, what, fix)
    })
}

/// Formats a time in all its units: `30d 1h 21m`.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let words: Vec<String> = units
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    if words.is_empty() {
        show_duration(time)
    } else {
        words.join(" ")
    }
}

/// Rounds down to a whole unit that people write; the result is more than three quarters of the
/// time.
fn round_down(time: Duration) -> Duration {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    for unit in [3_600_000, 60_000, 1_000] {
        if millis >= 4 * unit {
            return Duration::from_millis(millis / unit * unit);
        }
    }
    Duration::from_millis(millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(minutes: &[u64]) -> Vec<Wait> {
        minutes
            .iter()
            .map(|minutes| Wait {
                key: "k",
                time: Duration::from_secs(60 * minutes),
            })
            .collect()
    }

    #[test]
    fn the_longest_waits_are_cut_and_the_short_ones_stay() {
        for (times, budget, expected) in [
            (&[10, 1, 720][..], 71, 60),
            (&[100, 100, 100], 90, 30),
            (&[1, 100, 100], 101, 50),
            (&[5], 3, 3),
            (&[40, 50, 60], 120, 40),
        ] {
            let level = level(&waits(times), Duration::from_secs(60 * budget));
            assert_eq!(level.as_secs() / 60, expected, "{times:?} {budget}");
            let cut = times
                .iter()
                .map(|time| Duration::from_secs(60 * time).min(level))
                .sum::<Duration>();
            assert!(cut <= Duration::from_secs(60 * budget), "{times:?}");
        }
    }

    #[test]
    fn a_value_to_write_is_a_whole_number_of_a_large_unit() {
        for (seconds, written) in [
            (85_140, "23h"),
            (2_340, "39m"),
            (75, "75s"),
            (600, "10m"),
            (28_560, "7h"),
            (5, "5s"),
        ] {
            assert_eq!(
                show_duration(round_down(Duration::from_secs(seconds))),
                written
            );
        }
    }
}

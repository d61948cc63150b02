//! The metadata's patterns as automata over the ten digits, so that all numbers of a prefix can be
//! matched in one step. A pattern matches if it matches a prefix of the number, as in the crate.

use std::collections::BTreeSet;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// Reads a pattern as the `phonenumber` crate does: white space in it is ignored.
pub fn parse(pattern: &str) -> Hir {
    let mut parser = ParserBuilder::new()
        .unicode(false)
        .utf8(false)
        .ignore_whitespace(true)
        .build();
    parser
        .parse(pattern)
        .expect("the metadata's patterns are regular expressions")
}

/// Returns the digits that a class contains.
pub fn digits(class: &Class) -> Vec<u8> {
    let holds = |digit: &u8| match class {
        Class::Bytes(class) => class
            .ranges()
            .iter()
            .any(|r| (r.start()..=r.end()).contains(digit)),
        Class::Unicode(class) => class
            .ranges()
            .iter()
            .any(|r| (r.start()..=r.end()).contains(&char::from(*digit))),
    };
    (b'0'..=b'9').filter(holds).collect()
}

enum State {
    Digit(Vec<u8>, usize),
    Split(Vec<usize>),
    Match(usize),
}

/// Several patterns in one automaton.
#[derive(Default)]
pub struct Patterns {
    states: Vec<State>,
    starts: Vec<usize>,
}

/// The result of reading some digits: the states that continue, and the patterns that have matched.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    alive: BTreeSet<usize>,
    /// The numbers of the patterns that match a prefix of the digits.
    pub matched: BTreeSet<usize>,
}

impl Patterns {
    /// Adds a pattern. Returns its number.
    pub fn add(&mut self, pattern: &str) -> usize {
        let number = self.starts.len();
        let end = self.state(State::Match(number));
        let start = self.compile(&parse(pattern), end);
        self.starts.push(start);
        number
    }

    /// Returns the position before the first digit.
    pub fn start(&self) -> Position {
        let mut position = Position {
            alive: BTreeSet::new(),
            matched: BTreeSet::new(),
        };
        self.starts
            .iter()
            .for_each(|start| self.enter(*start, &mut position));
        position
    }

    /// Returns the position after one more digit.
    pub fn step(&self, from: &Position, digit: u8) -> Position {
        let mut position = Position {
            alive: BTreeSet::new(),
            matched: from.matched.clone(),
        };
        for state in &from.alive {
            if let State::Digit(digits, next) = &self.states[*state]
                && digits.contains(&digit)
            {
                self.enter(*next, &mut position);
            }
        }
        position
    }

    fn enter(&self, state: usize, position: &mut Position) {
        match &self.states[state] {
            State::Digit(..) => _ = position.alive.insert(state),
            State::Split(to) => to.iter().for_each(|next| self.enter(*next, position)),
            State::Match(pattern) => _ = position.matched.insert(*pattern),
        }
    }

    fn state(&mut self, state: State) -> usize {
        self.states.push(state);
        self.states.len() - 1
    }

    /// Builds from the end. Returns the state that reads `hir` and then continues at `next`.
    fn compile(&mut self, hir: &Hir, next: usize) -> usize {
        match hir.kind() {
            HirKind::Empty => next,
            HirKind::Literal(literal) => literal.0.iter().rev().fold(next, |next, digit| {
                self.state(State::Digit(vec![*digit], next))
            }),
            HirKind::Class(class) => self.state(State::Digit(digits(class), next)),
            HirKind::Capture(capture) => self.compile(&capture.sub, next),
            HirKind::Concat(parts) => parts
                .iter()
                .rev()
                .fold(next, |next, part| self.compile(part, next)),
            HirKind::Alternation(parts) => {
                let to = parts.iter().map(|part| self.compile(part, next)).collect();
                self.state(State::Split(to))
            }
            HirKind::Repetition(times) => {
                let most = times.max.expect("no pattern of the metadata is unbounded");
                let mut entry = next;
                for _ in times.min..most {
                    let once_more = self.compile(&times.sub, entry);
                    entry = self.state(State::Split(vec![once_more, next]));
                }
                (0..times.min).fold(entry, |next, _| self.compile(&times.sub, next))
            }
            HirKind::Look(_) => panic!("no pattern of the metadata looks around"),
        }
    }
}

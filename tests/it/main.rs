//! All integration tests in one binary, so that the suite links once. The test kit starts real
//! servers on free ports of 127.0.0.1, in temporary folders, and stops them with the test that
//! started them.
#![expect(
    clippy::disallowed_methods,
    reason = "tests wait by the clock and read their own environment"
)]

#[cfg(test)]
mod architecture;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod canaries;
#[cfg(test)]
mod clocks;
#[cfg(test)]
mod compaction;
#[cfg(test)]
mod finds;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod judges;
#[cfg(test)]
mod kills;
#[cfg(test)]
mod kills_of_sweeps;
#[cfg(test)]
mod lags;
#[cfg(test)]
mod letters;
#[cfg(test)]
mod life;
#[cfg(test)]
mod members;
#[cfg(test)]
mod object_store;
#[cfg(test)]
mod offsets;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod partitions;
#[cfg(test)]
mod policies;
#[cfg(test)]
mod products;
#[cfg(test)]
mod roots;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod servers;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod splices;
#[cfg(test)]
mod start;
#[cfg(test)]
mod subjects;
#[cfg(test)]
mod sweeps;
#[cfg(test)]
mod topic_states;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod triggers;
#[cfg(test)]
mod undeletable;

#[cfg(test)]
use ebbtide_testkit::ProgramUnderTest;

/// Returns the program under test.
#[cfg(test)]
fn program() -> &'static ProgramUnderTest {
    static PROGRAM: std::sync::OnceLock<ProgramUnderTest> = std::sync::OnceLock::new();
    PROGRAM.get_or_init(|| ProgramUnderTest::new(env!("CARGO_BIN_EXE_ebbtide")))
}

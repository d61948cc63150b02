//! Prints `country_prefixes.txt` of `crates/policy/src/tag` from the metadata of the `phonenumber`
//! crate, and `numbering_plans.txt` with the argument `plans`, after that crate is updated:
//! `cargo run -p ebbtide-policy --example country_prefixes > FILE`.

#![allow(clippy::print_stdout, reason = "a tool for developers")]

use ebbtide_policy::testing::country_prefixes;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("plans") => print!("{}", country_prefixes::plans::table()),
        _ => print!("{}", country_prefixes::table()),
    }
}

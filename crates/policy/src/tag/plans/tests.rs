//! Checks the table against the crate that it was generated from, and its contents.

use super::*;
use crate::testing::country_prefixes as generator;

fn plan(country: &str) -> &'static NumberingPlan {
    NumberingPlans::shared()
        .of(Country::new(country).unwrap())
        .unwrap()
}

#[test]
fn the_table_is_what_its_generator_prints() {
    let fix = "run `cargo run -p ebbtide-policy --example country_prefixes plans > crates/policy/src/tag/numbering_plans.txt`";
    assert!(generator::plans::table() == TABLE, "{fix}");
    assert_eq!(NumberingPlans::shared().all.len(), TABLE.lines().count());
}

#[test]
fn plans_contain_prefixes_and_the_first_digits_of_numbers() {
    assert_eq!(
        (plan("NL").code, plan("NL").trunk, plan("NL").abroad),
        (&b"31"[..], &b"0"[..], &b"00"[..])
    );
    assert_eq!(
        (plan("US").code, plan("US").trunk, plan("US").abroad),
        (&b"1"[..], &b"1"[..], &b"011"[..])
    );
    assert_eq!((plan("IT").trunk, plan("RU").trunk), (&b""[..], &b"8"[..]));
    assert!(plan("BR").abroad_varies && plan("BR").abroad.is_empty());
    assert!(plan("AU").abroad_varies && plan("AU").abroad == b"0011" && !plan("NL").abroad_varies);
    assert!(
        plan("NL").holds(b"612345678")
            && !plan("NL").holds(b"0612345678")
            && !plan("NL").holds(b"61234567")
    );
    assert!(
        plan("IT").holds(b"0612345678")
            && plan("US").holds(b"2025550123")
            && !plan("US").holds(b"1025550123")
    );
}

#[test]
fn national_prefix_is_found_only_where_the_number_must_lose_it() {
    let plans = NumberingPlans::shared();
    for (digits, wanted) in [
        ("310612345678", Some((2, 1))),
        ("4402079460958", Some((2, 1))),
        ("78005553535", None),
        ("788005553535", Some((1, 1))),
        ("789161234567", Some((1, 1))),
        ("31612345678", None),
        ("390612345678", None),
        ("31012", None),
    ] {
        assert_eq!(plans.trunk_in(digits.as_bytes()), wanted, "{digits}");
        assert!(
            wanted.is_none() || plans.may_have_trunk(digits.as_bytes()),
            "{digits}"
        );
    }
}

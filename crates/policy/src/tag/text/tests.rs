//! Tests of text in lower case.

use super::{lower, written};

#[test]
fn a_text_is_trimmed_and_lower_case_in_any_alphabet() {
    for (text, wanted) in [
        (" A.B@Example.ORG\n", "a.b@example.org"),
        ("ÄÖ", "äö"),
        ("İ", "i\u{307}"),
        ("", ""),
    ] {
        assert_eq!(written(|to| lower(text, to)), wanted);
    }
}

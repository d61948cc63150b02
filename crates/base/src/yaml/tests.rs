//! Tests of the YAML reader: values with their places, and each reason for which a file is
//! rejected.

use super::*;

#[test]
fn every_node_knows_its_place() {
    let root = parse("a: 1\nb:\n  - x\n  - y: \"0012\"\n").unwrap();
    let b = root.get("b").unwrap();
    assert_eq!(b.at, TextPosition { line: 3, column: 3 });
    let inner = b.list().unwrap()[1].entry("y").unwrap();
    assert_eq!(inner.at, TextPosition { line: 4, column: 5 });
    assert_eq!(inner.value.text(), Some("0012"));
}

#[test]
fn text_is_set_with_the_mappings_on_the_way_and_never_through_a_text_or_a_list() {
    let mut root = parse("a: 1\nb: [x]\nc:\n").unwrap();
    root.set(&["c", "d", "e"], "new");
    root.set(&["c", "d", "e"], "newer");
    root.set(&["a"], "2");
    root.set(&["a", "b"], "lost");
    root.set(&["b", "c"], "lost");
    let set = root.get("c").and_then(|c| c.get("d")?.get("e")).unwrap();
    assert_eq!(
        (set.text(), set.at),
        (Some("newer"), TextPosition::default())
    );
    assert_eq!(root.get("a").unwrap().text(), Some("2"));
    assert_eq!(root.get("b").unwrap().list().unwrap().len(), 1);
}

#[test]
fn repeated_key_is_refused_with_its_place() {
    let error = parse("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert_eq!(error.at, TextPosition { line: 3, column: 1 });
    assert!(error.what.contains("`a`"));
}

#[test]
fn aliases_copy_what_their_anchor_named() {
    let root = parse("a: &x [1, 2]\nb: *x\n").unwrap();
    assert_eq!(root.get("b").unwrap().list().unwrap().len(), 2);
}

#[test]
fn aliases_that_multiply_are_refused() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let items = vec![format!("*a{}", level - 1); 10].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{items}]\n"));
    }
    assert!(parse(&text).unwrap_err().what.contains("too large"));
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_known_one() {
    let mut problems = Problems::new("p.yaml");
    check_keys(
        &parse("toppics: []\n").unwrap(),
        &["topics", "schema"],
        "products.sms",
        &mut problems,
    );
    let found = problems.into_sorted();
    assert_eq!(
        found[0].to_string(),
        "p.yaml:1:1: error: products.sms.toppics: unknown key `toppics`; did you mean `topics`?"
    );
}

#[test]
fn broken_yaml_is_an_error_with_a_place() {
    for bad in ["a: [1", "a: b: c", "- a\nb: 1", "a: *nope"] {
        assert!(parse(bad).is_err(), "{bad:?}");
    }
}

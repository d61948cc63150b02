use super::*;

fn read(file: &[u8]) -> Result<Vec<(u32, String)>, String> {
    let list = parse(file, &[]).map_err(|error| error.to_string())?;
    Ok(list
        .values
        .into_iter()
        .map(|value| (value.line, value.text))
        .collect())
}

fn utf16(text: &str, unit: fn(u16) -> [u8; 2]) -> Vec<u8> {
    ["\u{feff}", text]
        .concat()
        .encode_utf16()
        .flat_map(unit)
        .collect()
}

#[test]
fn every_encoding_and_line_end_gives_the_same_values() {
    let wanted = Ok(vec![
        (1, "+31612341003".to_owned()),
        (2, "Zoë größe".to_owned()),
    ]);
    for end in [
        "\n", "\r\n", "\r", "\u{85}", "\u{2028}", "\u{2029}", "\u{b}",
    ] {
        let text = format!("+31612341003{end}Zoë größe{end}");
        let with_mark = ["\u{feff}", &text].concat();
        for file in [
            text.clone().into_bytes(),
            with_mark.into_bytes(),
            utf16(&text, u16::to_le_bytes),
            utf16(&text, u16::to_be_bytes),
        ] {
            assert_eq!(read(&file), wanted, "{end:?}");
        }
    }
}

#[test]
fn text_around_a_value_is_left_out() {
    for line in [
        "  ada@example.net\t",
        "\u{a0}ada@example.net\u{3000}",
        "\u{200b}ada@example.net\u{200e}",
        "\"ada@example.net\"",
        "\" ada@example.net \"",
        "=\"ada@example.net\"",
        "'ada@example.net'",
        "'ada@example.net",
        "\u{201c}ada@example.net\u{201d}",
        "<ada@example.net>",
        "Ada Doe <ada@example.net>",
        "mailto:ada@example.net",
        "mailto:ada@example.net?subject=x",
        "mailto:ada%40example.net",
        "\"Doe, Ada\" <ada@example.net>",
        "ada%40example.net",
        "ada@example.net,",
        "ada@example.net;;",
        "• ada@example.net",
    ] {
        assert_eq!(
            read(line.as_bytes()),
            Ok(vec![(1, "ada@example.net".to_owned())]),
            "{line:?}"
        );
    }
    assert_eq!(
        read(br#""Doe, ""Jo"" Ann""#),
        Ok(vec![(1, r#"Doe, "Jo" Ann"#.to_owned())])
    );
    for one in [
        "0031 6 12345678",
        "2026-11-24 10:00:00.123456",
        "31612345678",
        "re: lunch today",
        "canary 00017",
        "1234567890",
    ] {
        assert_eq!(
            read(one.as_bytes()),
            Ok(vec![(1, one.to_owned())]),
            "{one:?}"
        );
    }
    let tel = "tel:+31612341003;phone-context=example.net";
    assert_eq!(read(tel.as_bytes()), Ok(vec![(1, tel.to_owned())]));
}

#[test]
fn blank_lines_and_repeated_values_count_no_value() {
    let list = parse(
        "one-value\n\n \u{a0}\n\u{200b}\n\"one-value\"\nother-value\n\"\"\n".as_bytes(),
        &[],
    )
    .unwrap();
    let lines: Vec<u32> = list.values.iter().map(|value| value.line).collect();
    assert_eq!((lines, list.repeated), (vec![1, 6], 1));
    for empty in ["", "\n\n", "\u{feff}", "\"\"\r\n"] {
        assert_eq!(
            parse(empty.as_bytes(), &[]),
            Err(ListError::Empty),
            "{empty:?}"
        );
    }
}

#[test]
fn line_that_is_not_one_value_is_refused_with_its_number() {
    for (line, part) in [
        ("+31612341003,Ada", "several columns"),
        ("\"+31612341003\";\"Ada\"", "several columns"),
        ("+31612341003\tAda", "several columns"),
        ("Ada|+31612341003", "several columns"),
        ("+31612341003 +31612341004", "several numbers"),
        ("ada@example.net bob@example.net", "several numbers"),
        ("Ada +31612341003", "beside other words"),
        ("\"+31612341003", "not closed"),
        ("\"Hi\" she said", "quoted in part"),
        ("3.16123E+10", "E+"),
        ("3,16123E+10", "E+"),
        ("text\u{1a}", "control character"),
        ("text \u{1b}[0m", "control character"),
        ("Zo\u{fffd} Doe", "U+FFFD"),
        ("Zo\u{c3}\u{ab} Doe", "read in another encoding"),
        ("ada(at)example.net", "in another way"),
        ("canary 0123456789", "beside other words or signs"),
        ("06-11112222", "no number with its calling code"),
        ("0611112222", "no number with its calling code"),
    ] {
        let refused = read(format!("first-value\n\n{line}\n").as_bytes()).unwrap_err();
        assert!(
            refused.starts_with("line 3 ") && refused.contains(part),
            "{line:?}: {refused}"
        );
        assert!(
            !refused.contains("Ada") && !refused.contains("316"),
            "{refused}"
        );
    }
}

#[test]
fn content_that_is_not_text_is_refused() {
    let refused = |file: &[u8]| read(file).unwrap_err();
    assert!(refused(b"first-value\r\nZo\xeb Doe\r\n").starts_with("line 2 is not UTF-8 text"));
    let without_mark: Vec<u8> = "first-value\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(refused(&without_mark).starts_with("line 1 holds NUL"));
    assert!(refused(b"first-value\nsecond\0value\n").starts_with("line 2 holds NUL"));
    assert!(refused(b"\xff\xfea\0\n\0b").starts_with("line 2 holds half a character"));
    assert!(refused(b"\xff\xfe\0\0a\0\0\0").contains("UTF-32"));
    assert!(refused(b"PK\x03\x04....").contains("spreadsheet"));
    assert!(refused(b"{\\rtf1 text}").contains("RTF"));
}

#[test]
fn one_value_is_read_in_the_same_way_and_a_second_is_refused() {
    for file in [
        "phone:+31612341003",
        "phone:+31612341003\r\n",
        "\u{feff}phone:+31612341003\n",
        "\n\"phone:+31612341003\"\n",
    ] {
        assert_eq!(
            parse_one(file.as_bytes()),
            Ok("phone:+31612341003".to_owned()),
            "{file:?}"
        );
    }
    assert_eq!(
        parse_one("phone:+31\u{a0}6\u{200b}1".as_bytes()),
        Ok("phone:+31 61".to_owned())
    );
    assert_eq!(
        parse_one(b"phone:tel:+316;ext=1").as_deref(),
        Ok("phone:tel:+316;ext=1")
    );
    assert_eq!(
        parse_one(b"phone:+31612341003\nphone:+31612341004\n")
            .unwrap_err()
            .to_string(),
        "line 2 is a second value; give one"
    );
    assert_eq!(parse_one(b"\n"), Err(ListError::Empty));
}

#[test]
fn a_value_is_spelled_in_every_form_that_looks_the_same() {
    for (given, stored) in [
        ("Zoe\u{308} Doe", "Zo\u{eb} Doe"),
        ("Zo\u{eb} Doe", "Zoe\u{308} Doe"),
        ("Zo\u{eb} Doe", "ZO\u{cb} DOE"),
        ("+31\u{a0}6\u{a0}1234", "+31 6 1234"),
        ("ada\u{200b}@example.net", "ada@example.net"),
        ("\u{ff0b}\u{ff13}\u{ff11}\u{ff16}", "+316"),
        ("2026\u{2011}11\u{2011}24", "2026-11-24"),
        ("31612341003.0", "31612341003"),
        ("plain text", "plain text"),
    ] {
        assert!(
            spellings(given).iter().any(|spelling| spelling == stored),
            "{given:?}"
        );
    }
    assert_eq!(spellings("plain text 1.0"), ["plain text 1.0"]);
}

#[test]
fn subject_with_a_mark_before_it_is_read_or_refused_whatever_the_mark() {
    let marks = [
        "- ",
        "* ",
        "1. ",
        "1) ",
        "1: ",
        "> ",
        "\u{2013} ",
        "\u{b7} ",
        "\u{25cf} ",
        "# ",
        "1 ",
        "\u{2713} ",
        "-",
        "*",
        "#",
        ">",
        "1.",
        "=",
    ];
    for value in ["ann.lee@example.org", "+31612345678"] {
        for mark in marks {
            for space in ["", " "] {
                let line = format!("{mark}{space}{value}");
                match read(line.as_bytes()) {
                    Ok(values) => {
                        let all = spellings(&values[0].1).into_iter().flat_map(|text| {
                            let forms = crate::tag::canonical_forms(&text);
                            [text].into_iter().chain(forms)
                        });
                        let stored = value.trim_start_matches('+');
                        assert!(all.into_iter().any(|form| form == stored), "{line:?}");
                    }
                    Err(error) => assert!(error.starts_with("line 1 "), "{line:?}: {error}"),
                }
            }
        }
        for mark in &marks[..12] {
            assert_eq!(
                read(format!("{mark}{value}").as_bytes()),
                Ok(vec![(1, value.to_owned())]),
                "{mark:?}"
            );
        }
    }
}

#[test]
fn subject_among_other_signs_is_refused_outside_double_quotes() {
    for around in [
        "[_]",
        "{_}",
        "(_)",
        "email=_",
        "_:",
        "_/_",
        "[\"_\"]",
        "{\"x\":\"_\"}",
        "_!",
        "x _",
        "_ x",
        "_ _",
        "<p>_</p>",
    ] {
        for value in ["ann.lee@example.org", "+31612345678"] {
            let line = around.replace('_', value);
            let Err(error) = read(line.as_bytes()) else {
                // Brackets around a number, and a word and a colon before it, are spellings of the
                // number.
                assert!(
                    value.starts_with('+') && matches!(around, "[_]" | "(_)" | "_:"),
                    "{line:?} is accepted"
                );
                continue;
            };
            assert!(
                error.starts_with("line 1 ") && error.contains("double quotes")
                    || error.contains("quote it"),
                "{error}"
            );
            let quoted = format!("\"{}\"", line.replace('"', "\"\""));
            assert_eq!(read(quoted.as_bytes()), Ok(vec![(1, line)]));
        }
    }
}

#[test]
fn national_number_is_read_by_the_countries_in_use() {
    let nl = [Country::new("NL").unwrap()];
    for line in ["06-11112222", "0611112222", "(020) 123-4567", "020 1234567"] {
        let refused = parse(line.as_bytes(), &[]).unwrap_err().to_string();
        assert!(
            refused.starts_with("line 1 ") && refused.contains("calling code"),
            "{refused}"
        );
        assert_eq!(parse(line.as_bytes(), &nl).unwrap().values[0].text, line);
    }
}

#[test]
fn ascii_appended_to_utf16_is_refused_with_its_line() {
    for tail in [
        "+31612345678\r\n\r\n",
        "ann.lee@example.org\n",
        "ann@x.org\r\n",
        "Zoe Doe\n",
        "0031612345678\n\n",
    ] {
        for unit in [u16::to_le_bytes, u16::to_be_bytes] {
            let mut file = utf16("first-value\r\nsecond\r\n", unit);
            file.extend(tail.as_bytes());
            let refused = read(&file).unwrap_err();
            assert!(refused.starts_with("line 3 "), "{tail:?}: {refused}");
        }
    }
}

#[test]
fn one_subject_is_the_same_as_on_a_command_line() {
    for subject in [
        "email:\"Jane\" <jane@EXAMPLE.org>",
        "phone:\"Bob\" <sip:+31612345678@x>",
        "email:'jane@example.org'",
        "email:mailto:jane@example.org?subject=x",
        "channel:whatsapp:\"+31612345678\"",
    ] {
        assert_eq!(parse_one(subject.as_bytes()).as_deref(), Ok(subject));
        assert_eq!(
            parse_one(format!("\u{feff}{subject},\r\n").as_bytes()).as_deref(),
            Ok(subject)
        );
    }
    // The kind is given separately.
    assert_eq!(
        parse_one(b"\"Jane\" <jane@example.org>").as_deref(),
        Ok("\"Jane\" <jane@example.org>")
    );
}

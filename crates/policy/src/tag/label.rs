//! Labels that people and address books write before a number: `Tel. +31…`, `Mobile: 06…`.

/// Words of the larger languages of Latin script for a telephone and its kinds, in lower case.
const WORDS: [&str; 29] = [
    "tel",
    "tél",
    "telephone",
    "téléphone",
    "telefon",
    "telefono",
    "teléfono",
    "telefone",
    "telefoon",
    "telefoonnummer",
    "telefonnummer",
    "phone",
    "ph",
    "fon",
    "mobile",
    "mobil",
    "mobiel",
    "móvil",
    "movil",
    "cellulare",
    "celular",
    "cell",
    "cel",
    "mob",
    "handy",
    "gsm",
    "portable",
    "fax",
    "whatsapp",
];

/// Returns the text after a label; `None` if there is no label before a number.
///
/// The number begins with `+`, a bracket or a zero: other digits may count labels (`Phone 2`) or be
/// a part of a name. A colon alone ends the name of a channel's platform (`gsm:+31…`), so a label
/// has a full stop or a space.
pub(super) fn after_label(text: &str) -> Option<&str> {
    let (word, rest) = text.split_at(text.find(|c: char| !c.is_alphabetic())?);
    let number = rest.trim_start_matches(['.', ':', ' ', '\u{A0}']);
    let has_mark = rest[..rest.len() - number.len()].contains(['.', ' ', '\u{A0}']);
    let is_number = number.starts_with(['+', '(', '0']) && !number.contains('@');
    (has_mark && is_number && WORDS.contains(&word.to_lowercase().as_str())).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::after_label;

    #[test]
    fn label_before_a_number_is_left_out_and_other_text_is_not() {
        for (text, wanted) in [
            ("Tel. +31612345678", Some("+31612345678")),
            ("TEL +31 6 12345678", Some("+31 6 12345678")),
            ("Tél. : +33 6 12 34 56 78", Some("+33 6 12 34 56 78")),
            ("Mobile: (06) 12345678", Some("(06) 12345678")),
            ("Tel.:+31612345678", Some("+31612345678")),
            ("gsm:+31612345678", None),
            ("GSM0612345678", None),
            ("Phone 2 0612345678", None),
            ("Tel 4711223", None),
            ("T: 0612345678", None),
            ("No. 0612345678", None),
            ("Bank +31612345678", None),
            ("mob.+31612345678@example.org", None),
            ("Tel. Bob", None),
            ("Tel.", None),
            ("+31612345678", None),
            ("", None),
        ] {
            assert_eq!(after_label(text), wanted, "{text:?}");
        }
    }
}

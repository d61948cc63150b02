//! Notes about a subject that may not mean what it seems to mean.

use ebbtide_controls::Subject;

/// Returns the note for a number without a calling code: some of its records may not be `done`
/// ("found", "held"). `None` for any other subject.
#[must_use]
pub fn national_note(subject: Option<&Subject>, done: &str) -> Option<String> {
    subject.filter(|subject| subject.is_national()).map(|_| {
        format!(
            "the number has no country code: each product reads it by its default_country, and where it has none, only records \
             that carry it in this very form are {done}"
        )
    })
}

//! The canonical form of a subject: the text in its column, which every search, hold and notice
//! compares.
//!
//! All of them use [`SubjectForm`], so that a person has one form per product.

use std::fmt;

use super::phone::{self, PhoneForm};
use super::text::written;
use super::{channel, email};
use crate::{Records, SubjectColumn, SubjectKind};
use ebbtide_base::ids::Country;

/// Returns a telephone number in the form in which its column stores it without a default country:
/// E.164 without the plus. Text that is not a number is trimmed.
#[must_use]
pub fn canonical_phone(number: &str) -> String {
    PhoneForm::new(None).canonical(number)
}

/// Returns the digits of a number that is given without a marked calling code, which each product
/// reads by its default country. `None` for any other text.
#[must_use]
pub fn dialled_phone(number: &str) -> Option<String> {
    phone::as_dialled(number)
}

/// Returns true if digits alone can be a number of some country from its calling code on.
#[must_use]
pub fn has_calling_code(digits: &str) -> bool {
    phone::has_calling_code(digits)
}

/// Returns a mail address in the form in which its column stores it: the address alone, in lower
/// case, its domain in ASCII.
#[must_use]
pub fn canonical_email(address: &str) -> String {
    written(|to| email::write(address, to))
}

/// Returns a channel's id in the form in which its column stores it: `platform:id`, the platform in
/// lower case.
#[must_use]
pub fn canonical_channel(platform: &str, id: &str) -> String {
    written(|to| channel::write(Some(platform), id, to))
}

/// The canonical form of one subject column of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectForm {
    /// Telephone numbers.
    Phone(PhoneForm),
    /// Mail addresses.
    Email,
    /// `platform:id`.
    Channel,
}

impl SubjectForm {
    /// Returns the form of subjects of a kind, in a product whose national numbers belong to
    /// `home`.
    #[must_use]
    pub fn new(kind: &SubjectKind, home: Option<Country>) -> SubjectForm {
        match kind {
            SubjectKind::Phone => SubjectForm::Phone(PhoneForm::new(home)),
            SubjectKind::Email => SubjectForm::Email,
            SubjectKind::Channel(_) => SubjectForm::Channel,
        }
    }

    /// Returns the form of a subject column of a product's records.
    #[must_use]
    pub fn of(records: &Records, subject: &SubjectColumn) -> SubjectForm {
        Self::new(&subject.kind, records.default_country)
    }

    /// Returns the canonical form of a value in a column or a control, which may be in this or an
    /// earlier canonical form or belong to another default country. The result is its own canonical
    /// form.
    #[must_use]
    pub fn stored(&self, value: &str) -> String {
        written(|to| self.write_stored(value, to))
    }

    /// Returns the canonical form of a subject that a control or a search names.
    #[must_use]
    pub fn named(&self, subject: NamedSubject<'_>) -> String {
        match self {
            SubjectForm::Phone(form) if subject.as_dialled => form.canonical(subject.text),
            _ => self.stored(subject.text),
        }
    }

    /// Returns the same, in a buffer that is reused.
    #[must_use]
    pub fn stored_into<'b>(&self, value: &str, buffer: &'b mut Vec<u8>) -> &'b str {
        buffer.clear();
        self.write_stored(value, buffer);
        // The input is UTF-8, and so is the output.
        std::str::from_utf8(buffer).unwrap_or_default()
    }

    /// Appends the same to a buffer.
    pub(super) fn write_stored(&self, value: &str, to: &mut Vec<u8>) {
        match self {
            SubjectForm::Phone(form) => form.write_stored(value, to),
            SubjectForm::Email => {
                email::write(value, to);
                true
            }
            SubjectForm::Channel => {
                let (platform, id) = value.split_once(':').unwrap_or(("", value));
                channel::write(Some(platform), id, to);
                true
            }
        };
    }
}

/// A subject as a control or a search names it.
#[derive(Clone, Copy)]
pub struct NamedSubject<'s> {
    /// The canonical form without a default country, or the digits of a number that is named as it
    /// is dialled.
    pub text: &'s str,
    /// True for a number without a marked calling code: each product reads it as in its records.
    pub as_dialled: bool,
}

/// A subject to look for in the subject columns of one product. Its `Debug` does not show the
/// value.
#[derive(Clone, PartialEq, Eq)]
pub struct SubjectValue {
    form: SubjectForm,
    mark: FormsMark,
    value: String,
}

impl SubjectValue {
    /// Creates a subject that a control or a search names, in columns of a product's records like
    /// `subject`.
    #[must_use]
    pub fn new(
        records: &Records,
        subject: &SubjectColumn,
        named: NamedSubject<'_>,
    ) -> SubjectValue {
        let form = SubjectForm::of(records, subject);
        SubjectValue {
            form,
            mark: FormsMark::of(records),
            value: form.named(named),
        }
    }

    /// Returns the form that files with the mark contain.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Returns the mark of files whose subjects are in this form: in those files, comparing the
    /// text is enough.
    #[must_use]
    pub fn mark(&self) -> FormsMark {
        self.mark
    }

    /// Returns true if a column's value names the subject, in this or an earlier form.
    #[must_use]
    pub fn is_named_by(&self, stored: &str, buffer: &mut Vec<u8>) -> bool {
        if stored == self.value {
            return true;
        }
        self.form.stored_into(stored, buffer) == self.value
    }
}

impl fmt::Debug for SubjectValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubjectValue")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

/// The canonical forms of the subjects in a file: their version and the default country. It is part
/// of the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FormsMark {
    default_country: Option<Country>,
}

/// The prefix of the names of files whose subjects are in the canonical forms of this version. A
/// change of the output of [`SubjectForm`] requires another number.
const FORMS: &str = "s3";

impl FormsMark {
    /// Returns the mark of files that are written from a product's records.
    #[must_use]
    pub fn of(records: &Records) -> FormsMark {
        FormsMark {
            default_country: records.default_country,
        }
    }

    /// Returns the country whose national numbers are read as such in files with the mark.
    #[must_use]
    pub fn default_country(&self) -> Option<Country> {
        self.default_country
    }

    /// Reads the mark from a file's name; `None` if the file is of an earlier version.
    #[must_use]
    pub fn of_name(name: &str) -> Option<FormsMark> {
        match name.strip_prefix(FORMS)?.split_once('-')?.0 {
            "" => Some(FormsMark {
                default_country: None,
            }),
            country => Some(FormsMark {
                default_country: Some(Country::new(country).ok()?),
            }),
        }
    }
}

impl fmt::Display for FormsMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FORMS)?;
        self.default_country
            .map_or(Ok(()), |country| f.write_str(country.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_looked_up_by_what_its_column_holds() {
        assert_eq!(canonical_phone("+31 6 1234-5678"), "31612345678");
        assert_eq!(canonical_phone(" ACME "), "ACME");
        assert_eq!(canonical_email(" Ann@Example.ORG"), "ann@example.org");
        assert_eq!(canonical_channel("WhatsApp", "+31612"), "whatsapp:+31612");
    }

    #[test]
    fn the_mark_of_a_file_is_read_back_and_others_have_none() {
        let mark = |country: Option<&str>| FormsMark {
            default_country: country.map(|code| Country::new(code).unwrap()),
        };
        for of in [mark(None), mark(Some("NL"))] {
            assert_eq!(
                FormsMark::of_name(&format!("{of}-0b3a6a4e.parquet")),
                Some(of)
            );
        }
        for name in [
            "0b3a6a4e-8d5c.parquet",
            "s2-0b3a.parquet",
            "s2NL-0b3a.parquet",
            "s3nl-0b3a.parquet",
            "cells-3-0b3a.parquet",
            "s3",
        ] {
            assert_eq!(FormsMark::of_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_stored_value_of_an_earlier_form_comes_to_the_form_of_a_new_one() {
        let country = |code: &str| Some(Country::new(code).unwrap());
        let phone = |home, value: &str| SubjectForm::new(&SubjectKind::Phone, home).stored(value);
        assert_eq!(phone(None, "tel:+39-06-1234-5678"), "390612345678");
        assert_eq!(phone(None, "Tel. +39 06 1234 5678"), "390612345678");
        assert_eq!(phone(None, "390612345678"), "390612345678");
        assert_eq!(phone(country("NL"), "0612345678"), "31612345678");
        // A stored value of digits alone was E.164, whatever the default country is now.
        assert_eq!(phone(country("US"), "3212345678"), "+3212345678");
        assert_eq!(SubjectForm::Email.stored("bob <bob@x.org>"), "bob@x.org");
        assert_eq!(
            SubjectForm::Channel.stored("whatsapp:+31612345678"),
            "whatsapp:31612345678"
        );
    }
}

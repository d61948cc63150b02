//! A person is found under each spelling that records have, in products of every default country.

use phonenumber::metadata::DATABASE;

use crate::Subject;
use ebbtide_base::ids::Country;
use ebbtide_policy::SubjectKind;
use ebbtide_policy::tag::{PhoneForm, SubjectForm};

#[test]
fn named_number_has_the_form_of_the_records_that_write_it_so() {
    for country in [
        "NL", "US", "GB", "FR", "ES", "IT", "BR", "MX", "SG", "RU", "AU", "KE", "HU", "AR", "CL",
        "DE", "JP",
    ] {
        let form = SubjectForm::new(&SubjectKind::Phone, Country::new(country).ok());
        let meta = DATABASE.iter().find(|meta| meta.id() == country).unwrap();
        let all = meta.descriptors();
        let examples = [all.fixed_line(), all.mobile()]
            .into_iter()
            .flatten()
            .filter_map(|kind| kind.example());
        for example in examples {
            let trunk = meta
                .national_prefix()
                .filter(|prefix| prefix.bytes().all(|byte| byte.is_ascii_digit()));
            let (code, trunk) = (meta.country_code(), trunk.unwrap_or_default());
            for spelling in [
                example.to_owned(),
                format!("{trunk}{example}"),
                format!("({trunk}{}) {}", &example[..2], &example[2..]),
                format!("+{code} {example}"),
                format!("00{code}{example}"),
                format!("{code}{example}"),
            ] {
                let ingested = PhoneForm::new(Country::new(country).ok()).canonical(&spelling);
                let subject: Subject = format!("phone:{spelling}").parse().unwrap();
                assert_eq!(
                    form.named(subject.named()),
                    ingested,
                    "{spelling} in {country}"
                );
            }
        }
    }
}

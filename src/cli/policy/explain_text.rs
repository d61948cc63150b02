//! An explanation of the policy as text for people.

use std::fmt::Write;

use ebbtide_policy::{ExplainedCategory, Explanation};

/// Returns an explanation as text.
pub(super) fn text(explanation: &Explanation) -> String {
    let Explanation {
        product,
        policy_version,
        zone,
        country,
        tenant,
        bucket,
        notes,
        categories,
        not_personal,
    } = explanation;
    let country = country.map_or("any country that no rule names".to_owned(), |country| {
        country.to_string()
    });
    let tenant = tenant
        .as_deref()
        .map_or("any tenant that no rule names".to_owned(), |tenant| {
            format!("tenant {tenant}")
        });
    let mut text = format!(
        "{product}, {country}, {tenant}; policy {policy_version}, a record of {bucket} ({zone})\n"
    );
    for note in notes {
        let _ = writeln!(text, "note: {note}");
    }
    for category in categories {
        category_text(category, zone, &mut text);
    }
    if !not_personal.is_empty() {
        let _ = writeln!(text, "\nnot personal: {}", not_personal.join(", "));
    }
    text
}

fn category_text(explained: &ExplainedCategory, zone: &str, text: &mut String) {
    let ExplainedCategory {
        category,
        term,
        fields,
        rule,
        keep,
        boundary,
        trigger,
        due,
        grace,
        ..
    } = explained;
    let _ = writeln!(text, "\n{category} ({term}): {}", fields.join(", "));
    let clock = match trigger.as_str() {
        "contract_end" => "the end of the contract with the tenant",
        "consent_withdrawn" => "the event, or immediately when consent is withdrawn",
        _ => "the event",
    };
    let bound = if boundary == "at_most" {
        "at most"
    } else {
        "at least"
    };
    let _ = writeln!(text, "  rule      {rule}: {bound} {keep} from {clock}");
    let _ = match (due, &explained.due_local) {
        (Some(due), Some(local)) if zone != "UTC" => {
            writeln!(
                text,
                "  due       {due} ({local} {zone}), deleted within {grace}"
            )
        }
        (Some(due), _) => writeln!(text, "  due       {due}, deleted within {grace}"),
        (None, _) => writeln!(
            text,
            "  due       open: {keep} after an end that is not known yet, deleted within {grace}"
        ),
    };
    for (name, values) in [
        ("bases", &explained.bases),
        ("purposes", &explained.purposes),
    ] {
        if !values.is_empty() {
            let _ = writeln!(text, "  {name:<9} {}", values.join(", "));
        }
    }
    if let Some(source) = &explained.source {
        let _ = writeln!(text, "  source    {source}");
    }
    // First the rules that match. Rules that do not decide for the same reason share a line.
    let (near, far): (Vec<_>, Vec<_>) = explained.others.iter().partition(|lost| lost.matches);
    let mut lines: Vec<(Vec<&str>, &str)> = Vec::new();
    for lost in near.into_iter().chain(far) {
        match lines.iter_mut().find(|(_, why)| *why == lost.why) {
            Some((rules, _)) => rules.push(&lost.rule),
            None => lines.push((vec![&lost.rule], &lost.why)),
        }
    }
    for (index, (rules, why)) in lines.iter().enumerate() {
        let label = if index == 0 { "not" } else { "" };
        let _ = writeln!(text, "  {label:<9} {}: {why}", rules.join(", "));
    }
}

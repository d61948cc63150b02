//! The effect of a new policy as text for people.

use std::fmt::Write;

use crate::cli::report::counted;
use ebbtide_base::ids::Country;
use ebbtide_maintenance::{ColumnEffect, DeadlineMoves, MovedFields, PolicyEffects, ProductEffect};
use ebbtide_policy::{ProductDiff, ProductPresence, countries};
use ebbtide_services::policy::PolicyPlan;

/// Returns the effect of a policy as text, and what of it is refused.
pub(super) fn text(plan: &PolicyPlan) -> String {
    let mut out = effects_text(&plan.effects);
    for problem in &plan.problems {
        // Writing to a `String` cannot fail.
        let _ = writeln!(out, "{problem}");
    }
    out
}

fn effects_text(effects: &PolicyEffects) -> String {
    let diff = &effects.diff;
    let mut out = format!("policy {} in the place of {}\n", diff.to, diff.from);
    // Writing to a `String` cannot fail.
    for (what, categories) in [
        ("new categories", &diff.added),
        ("categories removed", &diff.removed),
    ] {
        let names: Vec<&str> = categories
            .iter()
            .map(|category| category.as_str())
            .collect();
        if !names.is_empty() {
            let _ = writeln!(out, "{what}: {}", names.join(", "));
        }
    }
    for product in &diff.products {
        let effect = effects
            .products
            .iter()
            .find(|effect| effect.product == product.product);
        product_text(product, effect, &mut out);
    }
    let sum = |of: fn(&ProductEffect) -> u64| effects.products.iter().map(of).sum::<u64>();
    let (stale, records) = (sum(|of| of.stale), sum(|of| of.records));
    let _ = match stale {
        0 => writeln!(
            out,
            "\nno stored record is touched ({})",
            counted(records, "record")
        ),
        _ => writeln!(
            out,
            "\n{} of {} are to be tagged again: {} copied, {} rewritten ({} opened for this plan)",
            stale,
            counted(records, "stored record"),
            counted(sum(|of| of.bytes_copied), "byte"),
            counted(sum(|of| of.bytes_rewritten), "byte"),
            counted(sum(|of| of.opened), "segment"),
        ),
    };
    let unknown = sum(|of| of.unknown_files);
    if unknown > 0 {
        let _ = writeln!(
            out,
            "the effect on {} of other engines is unknown",
            counted(unknown, "file")
        );
    }
    out
}

fn product_text(product: &ProductDiff, effect: Option<&ProductEffect>, out: &mut String) {
    let ProductDiff {
        product: key,
        what,
        fields,
        terms,
        ends,
        default_country,
    } = product;
    let moved = effect
        .map(|effect| effect.moved.as_slice())
        .unwrap_or_default();
    let reformed = effect.map_or(0, |effect| effect.reformed);
    let is_same =
        fields.is_empty() && terms.is_empty() && ends.is_none() && default_country.is_none();
    if *what == ProductPresence::Kept && is_same && reformed == 0 && moved.is_empty() {
        return;
    }
    let what = match what {
        ProductPresence::Kept => "",
        ProductPresence::Added => " (new)",
        ProductPresence::Removed => " (left out)",
    };
    let _ = writeln!(out, "\n{key}{what}");
    for field in fields {
        let effect = effect.and_then(|effect| effect.columns.iter().find(|of| of.change == *field));
        let _ = writeln!(
            out,
            "  {field}{}",
            effect.map(column_text).unwrap_or_default()
        );
    }
    for term in terms {
        let _ = writeln!(out, "  {term}");
    }
    if let Some((before, after)) = ends {
        let or = |end: &Option<String>| end.clone().unwrap_or_else(|| "nothing".to_owned());
        let _ = writeln!(out, "  records end: {} -> {}", or(before), or(after));
    }
    if let Some((before, after)) = default_country {
        let or = |country: &Option<Country>| {
            country.map_or_else(|| "none".to_owned(), |country| country.to_string())
        };
        let _ = writeln!(
            out,
            "  default country of national numbers: {} -> {}",
            or(before),
            or(after)
        );
    }
    if reformed > 0 {
        let records = counted(reformed, "stored record");
        let _ = writeln!(out, "  subjects come to their canonical form: {records}");
    }
    for MovedFields {
        category,
        jurisdictions,
        movement,
    } in moved
    {
        let _ = writeln!(
            out,
            "  stored {category}{}: {}",
            countries(jurisdictions),
            movement_text(movement)
        );
    }
}

fn column_text(effect: &ColumnEffect) -> String {
    let records = counted(effect.records, "stored record");
    match effect.movement {
        DeadlineMoves {
            earlier: 0,
            later: 0,
            ..
        } => format!("; {records}"),
        movement => format!("; {records}, {}", movement_text(&movement)),
    }
}

fn movement_text(movement: &DeadlineMoves) -> String {
    let DeadlineMoves {
        earlier,
        later,
        due_at_once,
    } = movement;
    let earlier = (*earlier > 0).then(|| match due_at_once {
        0 => format!("{} due earlier", counted(*earlier, "field")),
        _ => format!(
            "{} due earlier, {due_at_once} of them immediately",
            counted(*earlier, "field")
        ),
    });
    let later = (*later > 0).then(|| format!("{} kept longer", counted(*later, "field")));
    earlier
        .into_iter()
        .chain(later)
        .collect::<Vec<_>>()
        .join(", ")
}

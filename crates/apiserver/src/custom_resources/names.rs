//! Who gets which names of a group: a name belongs to the definition that was given it first.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinitionNames as Names;
use std::collections::HashSet;

/// What became of a definition's wishes.
#[derive(Debug, PartialEq)]
pub(super) struct Judged {
    /// Those that it has: each wish that was granted, and of the others what it had before.
    pub(super) accepted: Names,
    /// Reason and message of the last conflict; `None` without any.
    pub(super) conflict: Option<(&'static str, String)>,
}

/// Judges a definition's wishes; `others` are the accepted names of the group's other definitions.
pub(super) fn judge<'a>(wanted: &Names, had: &Names, others: impl Iterator<Item = &'a Names>) -> Judged {
    let (mut resources, mut kinds): (HashSet<&str>, HashSet<&str>) = Default::default();
    for names in others {
        resources.insert(&names.plural);
        resources.extend(names.singular.as_deref());
        resources.extend(names.short_names.iter().flatten().map(String::as_str));
        kinds.insert(&names.kind);
        kinds.extend(names.list_kind.as_deref());
    }
    let mut accepted = had.clone();
    let mut conflict = None;
    let mut grant = |wish: &str, own: &str, taken: &HashSet<&str>, reason: &'static str| {
        let refused = wish != own && taken.contains(wish);
        if refused {
            conflict = Some((reason, format!("{wish:?} is already in use")));
        }
        !refused
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    if grant(&wanted.plural, &had.plural, &resources, "PluralConflict") {
        accepted.plural.clone_from(&wanted.plural);
    }
    if grant(&text(&wanted.singular), &text(&had.singular), &resources, "SingularConflict") {
        accepted.singular.clone_from(&wanted.singular);
    }
    let own = had.short_names.clone().unwrap_or_default();
    let wishes = wanted.short_names.iter().flatten();
    let granted = wishes.filter(|wish| {
        let had = if own.contains(wish) { wish.as_str() } else { "" };
        grant(wish, had, &resources, "ShortNamesConflict")
    });
    if granted.count() == wanted.short_names.as_ref().map_or(0, Vec::len) {
        accepted.short_names.clone_from(&wanted.short_names);
    }
    if grant(&wanted.kind, &had.kind, &kinds, "KindConflict") {
        accepted.kind.clone_from(&wanted.kind);
    }
    if grant(&text(&wanted.list_kind), &text(&had.list_kind), &kinds, "ListKindConflict") {
        accepted.list_kind.clone_from(&wanted.list_kind);
    }
    accepted.categories.clone_from(&wanted.categories);
    Judged { accepted, conflict }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plural: &str, kind: &str, short: &str) -> Names {
        Names {
            plural: plural.to_owned(),
            singular: Some(kind.to_lowercase()),
            kind: kind.to_owned(),
            list_kind: Some(format!("{kind}List")),
            short_names: Some(vec![short.to_owned()]),
            categories: None,
        }
    }

    #[test]
    fn a_name_belongs_to_the_first() {
        let first = names("widgets", "Widget", "w");
        let fresh = judge(&first, &Names::default(), [].into_iter());
        assert_eq!((fresh.accepted, fresh.conflict), (first.clone(), None));
        for (wanted, reason, name) in [
            (names("widgets", "Other", "o"), "PluralConflict", "widgets"),
            (names("others", "Other", "w"), "ShortNamesConflict", "w"),
            (names("others", "WidgetList", "o"), "KindConflict", "WidgetList"),
        ] {
            let judged = judge(&wanted, &Names::default(), [&first].into_iter());
            assert_eq!(judged.conflict, Some((reason, format!("{name:?} is already in use"))));
        }
        let kept = judge(&names("widgets", "Widget", "x"), &first, [&names("others", "Other", "x")].into_iter());
        assert_eq!(kept.accepted.short_names, first.short_names);
    }
}

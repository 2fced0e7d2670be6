//! Sets of tolerations: which one says all that another says, what two sets say together.

use k8s_openapi::api::core::v1::Toleration;

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

/// Equality is what an absent operator means.
fn operator(toleration: &Toleration) -> &str {
    match text(&toleration.operator) {
        "" => "Equal",
        own => own,
    }
}

/// Whether `wide` tolerates whatever `narrow` does, and for as long.
fn covers(wide: &Toleration, narrow: &Toleration) -> bool {
    if wide == narrow {
        return true;
    }
    // No key means every taint, no effect every effect.
    let every_key = text(&wide.key).is_empty() && operator(wide) == "Exists";
    if text(&wide.key) != text(&narrow.key) && !every_key {
        return false;
    }
    let effect = text(&wide.effect);
    if effect != text(&narrow.effect) && !effect.is_empty() {
        return false;
    }
    let ends_earlier =
        wide.toleration_seconds.is_some_and(|wide| narrow.toleration_seconds.is_none_or(|own| own > wide));
    if effect == "NoExecute" && ends_earlier {
        return false;
    }
    match operator(wide) {
        "Equal" => operator(narrow) == "Equal" && text(&wide.value) == text(&narrow.value),
        "Exists" => true,
        _ => false,
    }
}

/// Both sets, without what others of them say already; of equal ones the first stays.
pub(super) fn merged(first: &[Toleration], second: &[Toleration]) -> Vec<Toleration> {
    let all: Vec<&Toleration> = first.iter().chain(second).collect();
    let mut merged: Vec<Toleration> = Vec::with_capacity(all.len());
    for (place, own) in all.iter().enumerate() {
        let said_before = merged.iter().any(|other| covers(other, own));
        let said_later = all[place + 1..].iter().any(|other| *other != *own && covers(other, own));
        if !said_before && !said_later {
            merged.push((*own).clone());
        }
    }
    merged
}

/// Whether each is covered by one that is allowed; an empty list allows all.
pub(super) fn allowed(own: &[Toleration], list: &[Toleration]) -> bool {
    list.is_empty() || own.iter().all(|own| list.iter().any(|allowed| covers(allowed, own)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(value: Value) -> Toleration {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_wider_toleration_says_what_a_narrower_one_says() {
        let all = json!({"operator": "Exists"});
        let gpu = json!({"key": "gpu", "operator": "Exists"});
        let big = json!({"key": "gpu", "value": "big", "effect": "NoSchedule"});
        let minute = json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60});
        let hour = json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3600});
        let ever = json!({"key": "gpu", "operator": "Exists", "effect": "NoExecute"});
        for (wide, narrow, does) in [
            (&all, &gpu, true),
            (&gpu, &all, false),
            (&gpu, &big, true),
            (&big, &gpu, false),
            (&hour, &minute, true),
            (&minute, &hour, false),
            (&minute, &ever, false),
            (&ever, &minute, true),
            (&big, &json!({"key": "gpu", "operator": "Equal", "value": "big", "effect": "NoSchedule"}), true),
            (&big, &json!({"key": "gpu", "value": "small", "effect": "NoSchedule"}), false),
            (&big, &json!({"key": "gpu", "value": "big", "effect": "NoExecute"}), false),
        ] {
            assert_eq!(covers(&of(wide.clone()), &of(narrow.clone())), does, "{wide} covers {narrow}");
        }
    }

    #[test]
    fn sets_are_merged_without_what_is_said_twice() {
        let (gpu, big) = (of(json!({"key": "gpu", "operator": "Exists"})), of(json!({"key": "gpu", "value": "big"})));
        let other = of(json!({"key": "other", "operator": "Exists"}));
        let sets = [vec![big.clone(), other.clone()], vec![gpu.clone(), other.clone()]];
        assert_eq!(merged(&sets[0], &sets[1]), [other.clone(), gpu.clone()]);
        assert!(allowed(&[big.clone(), other.clone()], &[gpu.clone(), other.clone()]));
        assert!(!allowed(&[gpu, other], std::slice::from_ref(&big)));
        assert!(allowed(&[big], &[]));
    }
}

//! Taints of nodes and the pods that put up with them: asked by the scheduler and by eviction.

use k8s_openapi::api::core::v1::{Taint, Toleration};

/// Whether a toleration covers a taint. An empty key with `Exists` covers all, an empty effect every effect.
pub fn covers(toleration: &Toleration, taint: &Taint) -> bool {
    fn text(value: &Option<String>) -> &str {
        value.as_deref().unwrap_or_default()
    }
    let (effect, key) = (text(&toleration.effect), text(&toleration.key));
    if !(effect.is_empty() || effect == taint.effect) || !(key.is_empty() || key == taint.key) {
        return false;
    }
    match text(&toleration.operator) {
        "Exists" => true,
        "" | "Equal" => !key.is_empty() && text(&toleration.value) == text(&taint.value),
        _ => false,
    }
}

/// The first taint of one of the effects that no toleration covers.
pub fn untolerated<'a>(taints: &'a [Taint], tolerations: &[Toleration], effects: &[&str]) -> Option<&'a Taint> {
    let matter = taints.iter().filter(|taint| effects.contains(&taint.effect.as_str()));
    matter.into_iter().find(|taint| !tolerations.iter().any(|toleration| covers(toleration, taint)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tolerations_cover_taints() {
        let check = |toleration: serde_json::Value, taint: serde_json::Value, want| {
            let (toleration, taint) =
                (serde_json::from_value(toleration).unwrap(), serde_json::from_value(taint).unwrap());
            assert_eq!(covers(&toleration, &taint), want, "{toleration:?} {taint:?}");
        };
        let json = |text: &str| serde_json::from_str(text).unwrap();
        let taint = || json(r#"{"key": "a", "value": "1", "effect": "NoSchedule"}"#);
        check(json(r#"{"operator": "Exists"}"#), taint(), true);
        check(json(r#"{"key": "a", "operator": "Exists"}"#), taint(), true);
        check(json(r#"{"key": "a", "value": "1"}"#), taint(), true);
        check(json(r#"{"key": "a", "operator": "Equal", "value": "2"}"#), taint(), false);
        check(json(r#"{"key": "b", "operator": "Exists"}"#), taint(), false);
        check(json(r#"{"key": "a", "operator": "Exists", "effect": "NoExecute"}"#), taint(), false);
        check(json(r#"{"key": "a", "operator": "Exists", "effect": "NoSchedule"}"#), taint(), true);
        check(json(r#"{}"#), json(r#"{"key": "a", "effect": "NoSchedule"}"#), false);
    }
}

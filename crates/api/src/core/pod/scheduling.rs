//! Whether a pod's wishes for where it runs make sense: tolerations, affinities, spreading, gates.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::core::v1::{
    Affinity, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec,
    Toleration, TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// What a taint or a toleration of one does to pods.
pub(crate) const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

pub(super) fn validate(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    check::label_map(errors, &path.child("nodeSelector"), spec.node_selector.as_ref());
    if let Some(affinity) = &spec.affinity {
        self::affinity(errors, &path.child("affinity"), affinity);
    }
    let gates = spec.scheduling_gates.as_deref().unwrap_or_default();
    for (index, gate) in gates.iter().enumerate() {
        let path = path.child("schedulingGates").index(index);
        check::label_key(errors, &path, &gate.name);
        if gates[..index].iter().any(|other| other.name == gate.name) {
            errors.push(FieldError::duplicate(path, &gate.name));
        }
    }
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    spread(errors, &path.child("topologySpreadConstraints"), constraints);
    tolerations(errors, &path.child("tolerations"), spec.tolerations.as_deref().unwrap_or_default());
}

pub(crate) fn tolerations(errors: &mut Errors, path: &FieldPath, tolerations: &[Toleration]) {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    for (index, toleration) in tolerations.iter().enumerate() {
        let path = path.index(index);
        let (key, operator) = (text(&toleration.key), text(&toleration.operator));
        let (value, effect) = (text(&toleration.value), text(&toleration.effect));
        if !key.is_empty() {
            check::label_key(errors, &path.child("key"), &key);
        } else if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(path.child("operator"), &operator, detail));
        }
        if toleration.toleration_seconds.is_some() && effect != "NoExecute" {
            let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
            errors.push(FieldError::invalid(path.child("effect"), &effect, detail));
        }
        match operator.as_str() {
            "Equal" | "" => {
                let complaints = labels::label_value(&value);
                if !complaints.is_empty() {
                    errors.push(FieldError::invalid(path.child("operator"), &value, complaints.join(";")));
                }
            }
            "Exists" if !value.is_empty() => {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(path.child("operator"), &value, detail));
            }
            // Nothing that a reader could take for another number: no leading zeros, no plus.
            "Gt" | "Lt" if !value.parse::<i64>().is_ok_and(|number| number.to_string() == *value) => {
                let detail = "value must be an integer when `operator` is 'Gt' or 'Lt'";
                errors.push(FieldError::invalid(path.child("value"), &value, detail));
            }
            "Exists" | "Gt" | "Lt" => {}
            other => check::supported_if_set(errors, &path.child("operator"), Some(other), &["Equal", "Exists"]),
        }
        if !effect.is_empty() {
            check::supported_if_set(errors, &path.child("effect"), Some(&effect), EFFECTS);
        }
    }
}

fn affinity(errors: &mut Errors, path: &FieldPath, affinity: &Affinity) {
    if let Some(node) = &affinity.node_affinity {
        node_affinity(errors, &path.child("nodeAffinity"), node);
    }
    let empty = (&None, &None);
    let near = affinity.pod_affinity.as_ref().map_or(empty, |pod| {
        (
            &pod.required_during_scheduling_ignored_during_execution,
            &pod.preferred_during_scheduling_ignored_during_execution,
        )
    });
    let far = affinity.pod_anti_affinity.as_ref().map_or(empty, |pod| {
        (
            &pod.required_during_scheduling_ignored_during_execution,
            &pod.preferred_during_scheduling_ignored_during_execution,
        )
    });
    for (field, (required, preferred)) in [("podAffinity", near), ("podAntiAffinity", far)] {
        let path = path.child(field);
        for (index, term) in required.iter().flatten().enumerate() {
            pod_term(errors, &path.child(REQUIRED).index(index), term);
        }
        for (index, term) in preferred.iter().flatten().enumerate() {
            weighted_term(errors, &path.child(PREFERRED).index(index), term);
        }
    }
}

fn weight(errors: &mut Errors, path: &FieldPath, weight: i32) {
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(path.child("weight"), &weight, "must be in the range 1-100"));
    }
}

fn weighted_term(errors: &mut Errors, path: &FieldPath, term: &WeightedPodAffinityTerm) {
    weight(errors, path, term.weight);
    pod_term(errors, &path.child("podAffinityTerm"), &term.pod_affinity_term);
}

fn pod_term(errors: &mut Errors, path: &FieldPath, term: &PodAffinityTerm) {
    for (field, selector) in [("labelSelector", &term.label_selector), ("namespaceSelector", &term.namespace_selector)]
    {
        if let Some(selector) = selector {
            check::label_selector(errors, &path.child(field), selector);
        }
    }
    for name in term.namespaces.iter().flatten() {
        check::dns1123_label(errors, &path.child("namespace"), name);
    }
    let wanted = term.match_label_keys.as_deref().unwrap_or_default();
    let unwanted = term.mismatch_label_keys.as_deref().unwrap_or_default();
    for (field, keys) in [("matchLabelKeys", wanted), ("mismatchLabelKeys", unwanted)] {
        selector_keys(errors, &path.child(field), keys, term.label_selector.as_ref());
    }
    for (index, key) in wanted.iter().enumerate().filter(|(_, key)| unwanted.contains(key)) {
        let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
        errors.push(FieldError::invalid(path.child("matchLabelKeys").index(index), key, detail));
    }
    if term.topology_key.is_empty() {
        errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
    }
    check::label_key(errors, &path.child("topologyKey"), &term.topology_key);
}

fn selector_keys(errors: &mut Errors, path: &FieldPath, keys: &[String], selector: Option<&LabelSelector>) {
    if keys.is_empty() {
        return;
    }
    if selector.is_none() {
        let detail = "must not be specified when labelSelector is not set";
        errors.push(FieldError::forbidden(path.clone(), detail));
        return;
    }
    for (index, key) in keys.iter().enumerate() {
        check::label_key(errors, &path.index(index), key);
    }
}

fn node_affinity(errors: &mut Errors, path: &FieldPath, affinity: &NodeAffinity) {
    if let Some(selector) = &affinity.required_during_scheduling_ignored_during_execution {
        node_selector(errors, &path.child(REQUIRED), selector);
    }
    for (index, term) in affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten().enumerate() {
        let path = path.child(PREFERRED).index(index);
        weight(errors, &path, term.weight);
        // Values that are no labels can never match, which does no harm in a mere preference.
        node_term(errors, &path.child("preference"), &term.preference, false);
    }
}

/// Also what a persistent volume wants of its nodes.
pub(crate) fn node_selector(errors: &mut Errors, path: &FieldPath, selector: &NodeSelector) {
    let path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.push(FieldError::required(path, "must have at least one node selector term"));
        return;
    }
    for (index, term) in selector.node_selector_terms.iter().enumerate() {
        node_term(errors, &path.index(index), term, true);
    }
}

fn node_term(errors: &mut Errors, path: &FieldPath, term: &NodeSelectorTerm, strict_values: bool) {
    for (index, requirement) in term.match_expressions.iter().flatten().enumerate() {
        node_requirement(errors, &path.child("matchExpressions").index(index), requirement, strict_values);
    }
    for (index, requirement) in term.match_fields.iter().flatten().enumerate() {
        node_field(errors, &path.child("matchFields").index(index), requirement);
    }
}

fn node_requirement(errors: &mut Errors, path: &FieldPath, requirement: &NodeSelectorRequirement, strict: bool) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "Gt" | "Lt" => {
            if values.len() != 1 {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.push(FieldError::required(path.child("values"), detail));
            }
        }
        operator => check::values_suit_operator(errors, path, operator, values),
    }
    check::label_key(errors, &path.child("key"), &requirement.key);
    for (index, value) in values.iter().enumerate().filter(|_| strict) {
        check::each(errors, &path.child("values").index(index), value, labels::label_value(value));
    }
}

fn node_field(errors: &mut Errors, path: &FieldPath, requirement: &NodeSelectorRequirement) {
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() != 1 => {
            let detail = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(FieldError::required(path.child("values"), detail));
        }
        "In" | "NotIn" => {}
        other => errors.push(FieldError::invalid(path.child("operator"), other, "not a valid selector operator")),
    }
    if requirement.key != "metadata.name" {
        errors.push(FieldError::invalid(path.child("key"), &requirement.key, "not a valid field selector key"));
        return;
    }
    for (index, value) in values.iter().enumerate() {
        check::dns1123_subdomain(errors, &path.child("values").index(index), value);
    }
}

fn spread(errors: &mut Errors, path: &FieldPath, constraints: &[TopologySpreadConstraint]) {
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        let action = constraint.when_unsatisfiable.as_str();
        if constraint.max_skew <= 0 {
            errors.push(FieldError::invalid(path.child("maxSkew"), &constraint.max_skew, "must be greater than zero"));
        }
        if constraint.topology_key.is_empty() {
            errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
        }
        let actions = &["DoNotSchedule", "ScheduleAnyway"];
        check::supported_if_set(errors, &path.child("whenUnsatisfiable"), Some(action), actions);
        let same = |other: &TopologySpreadConstraint| {
            other.topology_key == constraint.topology_key && other.when_unsatisfiable == action
        };
        if constraints[index + 1..].iter().any(same) {
            let pair = format!("{{{}, {action}}}", constraint.topology_key);
            errors.push(FieldError::duplicate(path.child("{topologyKey, whenUnsatisfiable}"), &pair));
        }
        if let Some(domains) = constraint.min_domains {
            let path = path.child("minDomains");
            if domains <= 0 {
                errors.push(FieldError::invalid(path.clone(), &domains, "must be greater than zero"));
            }
            if action != "DoNotSchedule" {
                let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
                errors.push(FieldError::invalid(path, &domains, detail));
            }
        }
        for (field, policy) in [
            ("nodeAffinityPolicy", constraint.node_affinity_policy.as_deref()),
            ("nodeTaintsPolicy", constraint.node_taints_policy.as_deref()),
        ] {
            check::supported_if_set(errors, &path.child(field), policy, &["Honor", "Ignore"]);
        }
        let keys = constraint.match_label_keys.as_deref().unwrap_or_default();
        selector_keys(errors, &path.child("matchLabelKeys"), keys, constraint.label_selector.as_ref());
        if let Some(selector) = &constraint.label_selector {
            let taken = |key: &String| {
                selector.match_labels.as_ref().is_some_and(|labels| labels.contains_key(key))
                    || selector.match_expressions.iter().flatten().any(|expression| expression.key == *key)
            };
            for (index, key) in keys.iter().enumerate().filter(|(_, key)| taken(key)) {
                let detail = "exists in both matchLabelKeys and labelSelector";
                errors.push(FieldError::invalid(path.child("matchLabelKeys").index(index), key, detail));
            }
            check::label_selector(errors, &path.child("labelSelector"), selector);
        }
    }
}

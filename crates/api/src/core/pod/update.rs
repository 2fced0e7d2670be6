//! What may change in a pod once it is there.

use super::annotations::{self, MIRROR};
use super::scheduling;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;
use k8s_openapi::api::core::v1::{
    Container, ContainerStatus, NodeAffinity, NodeSelectorTerm, Pod, PodSpec, PodStatus, Toleration,
};

const UPDATABLE: &str = "pod updates may not change fields other than `spec.containers[*].image`,\
                         `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
                         additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be \
                         set to 1 if it was previously negative)";

/// Errors of a change through the pod itself.
pub(super) fn pod(new: &Pod, old: &Pod) -> Errors {
    let mut errors = annotations::stay(new, old);
    let empty = PodSpec::default();
    let (new, old) = (new.spec.as_ref().unwrap_or(&empty), old.spec.as_ref().unwrap_or(&empty));
    let path = FieldPath::new("spec");
    let init = |spec: &PodSpec| spec.init_containers.as_ref().map_or(0, Vec::len);
    for (field, new, old) in
        [("containers", new.containers.len(), old.containers.len()), ("initContainers", init(new), init(old))]
    {
        if new != old {
            errors.push(FieldError::forbidden(path.child(field), "pod updates may not add or remove containers"));
            return errors;
        }
    }
    if !deadline(&mut errors, &path.child("activeDeadlineSeconds"), new, old) {
        return errors;
    }
    added_tolerations(
        &mut errors,
        &path.child("tolerations"),
        new.tolerations.as_deref().unwrap_or_default(),
        old.tolerations.as_deref().unwrap_or_default(),
    );
    removed_gates(&mut errors, &path.child("schedulingGates"), new, old);
    let mut rest = new.clone();
    ignore_updatable(&mut rest, old);
    if old.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()) {
        gated(&mut errors, &path, &mut rest, old);
    }
    if !check::same(&rest, old) {
        errors.push(FieldError::forbidden(path, format!("{UPDATABLE}\n{}", difference(&rest, old))));
    }
    errors
}

/// Takes over `old`'s value of everything that was checked by itself.
fn ignore_updatable(new: &mut PodSpec, old: &PodSpec) {
    for (container, before) in new.containers.iter_mut().zip(&old.containers) {
        container.image.clone_from(&before.image);
    }
    let init = new.init_containers.iter_mut().flatten().zip(old.init_containers.iter().flatten());
    for (container, before) in init {
        container.image.clone_from(&before.image);
    }
    new.active_deadline_seconds = old.active_deadline_seconds;
    new.scheduling_gates.clone_from(&old.scheduling_gates);
    new.tolerations.clone_from(&old.tolerations);
    let negative = old.termination_grace_period_seconds.is_some_and(|seconds| seconds < 0);
    if negative && new.termination_grace_period_seconds == Some(1) {
        new.termination_grace_period_seconds = old.termination_grace_period_seconds;
    }
}

/// The fields that differ, a line each, for the writer to see which.
fn difference(new: &PodSpec, old: &PodSpec) -> String {
    let (Ok(serde_json::Value::Object(new)), Ok(serde_json::Value::Object(old))) =
        (serde_json::to_value(new), serde_json::to_value(old))
    else {
        return String::new();
    };
    let mut names: Vec<&String> = new.keys().chain(old.keys()).collect();
    names.sort();
    names.dedup();
    let shown = |value: Option<&serde_json::Value>| value.map_or_else(|| "null".to_owned(), ToString::to_string);
    let lines = names.into_iter().filter(|name| new.get(*name) != old.get(*name));
    let lines: Vec<String> =
        lines.map(|name| format!("-\t{name}: {}\n+\t{name}: {}", shown(old.get(name)), shown(new.get(name)))).collect();
    lines.join("\n")
}

/// The deadline may be set, and may come nearer. False: the rest is not worth checking.
fn deadline(errors: &mut Errors, path: &FieldPath, new: &PodSpec, old: &PodSpec) -> bool {
    match (new.active_deadline_seconds, old.active_deadline_seconds) {
        (Some(new), _) if !(0..=i64::from(i32::MAX)).contains(&new) => {
            check::each(errors, path, &new, labels::in_range(new, 0, i32::MAX.into()));
            false
        }
        (Some(new), Some(old)) if old < new => {
            errors.push(FieldError::invalid(path.clone(), &new, "must be less than or equal to previous value"));
            false
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(path.clone(), &(), detail));
            true
        }
        _ => true,
    }
}

fn added_tolerations(errors: &mut Errors, path: &FieldPath, new: &[Toleration], old: &[Toleration]) {
    let kept = |before: &Toleration| {
        new.iter().any(|toleration| {
            Toleration { toleration_seconds: toleration.toleration_seconds, ..before.clone() } == *toleration
        })
    };
    if !old.iter().all(kept) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path.clone(), detail));
        return;
    }
    scheduling::tolerations(errors, path, new);
}

fn removed_gates(errors: &mut Errors, path: &FieldPath, new: &PodSpec, old: &PodSpec) {
    let known = old.scheduling_gates.as_deref().unwrap_or_default();
    for (index, gate) in new.scheduling_gates.iter().flatten().enumerate() {
        if !known.iter().any(|other| other.name == gate.name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{}'", gate.name);
            errors.push(FieldError::forbidden(path.index(index).child("name"), detail));
        }
    }
}

/// A pod that is held back from scheduling may still be told to run on fewer nodes.
fn gated(errors: &mut Errors, path: &FieldPath, new: &mut PodSpec, old: &PodSpec) {
    let before = old.node_selector.clone().unwrap_or_default();
    let after = new.node_selector.clone().unwrap_or_default();
    if before.iter().any(|(key, value)| after.get(key) != Some(value)) {
        let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
        errors.push(FieldError::invalid(path.child("nodeSelector"), &after, detail));
    }
    new.node_selector.clone_from(&old.node_selector);
    let node_affinity = |spec: &PodSpec| spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.clone());
    let (after, before) = (node_affinity(new), node_affinity(old));
    if after != before {
        narrowed(errors, &path.child("affinity").child("nodeAffinity"), after.as_ref(), before.as_ref());
        let affinity = new.affinity.get_or_insert_default();
        affinity.node_affinity = before;
        if old.affinity.is_none() && *affinity == Default::default() {
            new.affinity = None;
        }
    }
}

fn narrowed(errors: &mut Errors, path: &FieldPath, new: Option<&NodeAffinity>, old: Option<&NodeAffinity>) {
    let terms = |affinity: Option<&NodeAffinity>| -> Vec<NodeSelectorTerm> {
        let required = affinity.and_then(|own| own.required_during_scheduling_ignored_during_execution.as_ref());
        required.map(|selector| selector.node_selector_terms.clone()).unwrap_or_default()
    };
    let (new, old) = (terms(new), terms(old));
    let path = path.child("requiredDuringSchedulingIgnoredDuringExecution").child("nodeSelectorTerms");
    if !old.is_empty() && old.len() != new.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(FieldError::invalid(path, &new, detail));
        return;
    }
    for (index, (new, old)) in new.iter().zip(&old).enumerate() {
        let expressions = (new.match_expressions.as_deref(), old.match_expressions.as_deref());
        let fields = (new.match_fields.as_deref(), old.match_fields.as_deref());
        let was_empty = old.match_expressions.is_none() && old.match_fields.is_none();
        let longer = new.match_expressions.is_some() || new.match_fields.is_some();
        let kept =
            [expressions, fields].iter().all(|(new, old)| new.unwrap_or_default().starts_with(old.unwrap_or_default()));
        if !kept || (was_empty && longer) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(path.index(index), new, detail));
        }
    }
}

/// Errors of a change of the status.
pub(super) fn status(new: &Pod, old: &Pod) -> Errors {
    let mut errors = annotations::stay(new, old);
    let empty = PodStatus::default();
    let path = FieldPath::new("status");
    let (new_status, old_status) = (new.status.as_ref().unwrap_or(&empty), old.status.as_ref().unwrap_or(&empty));
    if let Some(name) = new_status.nominated_node_name.as_deref().filter(|name| !name.is_empty()) {
        check::dns1123_subdomain(&mut errors, &path.child("nominatedNodeName"), name);
    }
    if old_status.qos_class.is_some() {
        check::immutable(&mut errors, path.child("qosClass"), &new_status.qos_class, &old_status.qos_class);
    }
    let spec = old.spec.clone().unwrap_or_default();
    let restart_policy = spec.restart_policy.as_deref().unwrap_or_default();
    let sidecar = |name: &str| {
        spec.init_containers.iter().flatten().any(|other| other.name == name && super::qos::is_sidecar(other))
    };
    for (field, new, old, policy) in [
        ("containerStatuses", &new_status.container_statuses, &old_status.container_statuses, restart_policy),
        (
            "initContainerStatuses",
            &new_status.init_container_statuses,
            &old_status.init_container_statuses,
            restart_policy,
        ),
        (
            "ephemeralContainerStatuses",
            &new_status.ephemeral_container_statuses,
            &old_status.ephemeral_container_statuses,
            "Never",
        ),
    ] {
        let (new, old) = (new.as_deref().unwrap_or_default(), old.as_deref().unwrap_or_default());
        stays_ended(&mut errors, &path.child(field), new, old, policy, &sidecar);
    }
    addresses(&mut errors, &path, new_status);
    own_conditions(&mut errors, new_status);
    claims(&mut errors, &path.child("resourceClaimStatuses"), new_status, &spec);
    check::non_negative(&mut errors, path.child("observedGeneration"), new_status.observed_generation);
    errors
}

/// The addresses of the pod and of its node: at most one of each family, and the node's first one also by itself.
fn addresses(errors: &mut Errors, path: &FieldPath, status: &PodStatus) {
    let of_pod: Vec<&str> = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str()).collect();
    let of_node: Vec<&str> = status.host_ips.iter().flatten().map(|ip| ip.ip.as_str()).collect();
    if let Some(first) = of_node.first().filter(|first| status.host_ip.as_deref() != Some(first)) {
        let path = path.child("hostIPs").index(0).child("ip");
        errors.push(FieldError::invalid(path, first, "must be equal to `hostIP`"));
    }
    for (field, ips) in [("podIPs", of_pod), ("hostIPs", of_node)] {
        let path = path.child(field);
        for (index, ip) in ips.iter().enumerate() {
            check::ip(errors, &path.index(index), ip);
            if ips[..index].contains(ip) {
                errors.push(FieldError::duplicate(path.index(index), &serde_json::json!({"ip": ip})));
            }
        }
        let sixes = ips.iter().filter(|ip| ip.contains(':')).count();
        if ips.len() > 2 || (ips.len() == 2 && sixes != 1) {
            let shown: Vec<_> = ips.iter().map(|ip| serde_json::json!({"ip": ip})).collect();
            let detail = "may specify no more than one IP for each IP family";
            errors.push(FieldError::invalid(path, &shown, detail));
        }
    }
}

/// Conditions that are not Kubernetes' own have names like labels have. The path is upstream's.
fn own_conditions(errors: &mut Errors, status: &PodStatus) {
    let path = FieldPath::new("metadata").child("conditions");
    for (index, condition) in status.conditions.iter().flatten().enumerate() {
        if !matches!(condition.type_.as_str(), "PodScheduled" | "Ready" | "Initialized") {
            check::label_key(errors, &path.index(index).child("Type"), &condition.type_);
        }
    }
}

fn claims(errors: &mut Errors, path: &FieldPath, status: &PodStatus, spec: &PodSpec) {
    let statuses = status.resource_claim_statuses.as_deref().unwrap_or_default();
    for (index, own) in statuses.iter().enumerate() {
        let path = path.index(index).child("name");
        if !spec.resource_claims.iter().flatten().any(|claim| claim.name == own.name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            errors.push(FieldError::invalid(path.clone(), &own.name, detail));
        }
        if statuses[..index].iter().any(|other| other.name == own.name) {
            errors.push(FieldError::duplicate(path.clone(), &own.name));
        }
        if let Some(claim) = &own.resource_claim_name {
            check::dns1123_subdomain(errors, &path, claim);
        }
    }
}

/// A container that has ended for good does not come back to life.
fn stays_ended(
    errors: &mut Errors,
    path: &FieldPath,
    new: &[ContainerStatus],
    old: &[ContainerStatus],
    restart_policy: &str,
    sidecar: &dyn Fn(&str) -> bool,
) {
    if restart_policy == "Always" {
        return;
    }
    for (index, before) in old.iter().enumerate() {
        let Some(ended) = before.state.as_ref().and_then(|state| state.terminated.as_ref()) else { continue };
        if (ended.exit_code != 0 && restart_policy == "OnFailure") || sidecar(&before.name) {
            continue;
        }
        let runs = |status: &ContainerStatus| status.state.as_ref().is_none_or(|state| state.terminated.is_none());
        if new.iter().any(|status| status.name == before.name && runs(status)) {
            let path = path.index(index).child("state");
            errors.push(FieldError::forbidden(path, "may not be transitioned to non-terminated state"));
        }
    }
}

/// Errors of a change of the ephemeral containers, of which more may come but none may change or go.
pub(super) fn ephemeral_containers(new: &Pod, old: &Pod) -> Errors {
    let mut errors = Errors::new();
    let path = FieldPath::new("spec").child("ephemeralContainers");
    let of = |pod: &Pod| pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.clone()).unwrap_or_default();
    if old.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR)) {
        return vec![FieldError::forbidden(FieldPath::default(), "static pods do not support ephemeral containers")];
    }
    let after = of(new);
    for before in of(old) {
        let name = &before.name;
        match after.iter().find(|container| container.name == *name) {
            None => {
                let detail = format!("existing ephemeral containers {name:?} may not be removed\n");
                errors.push(FieldError::forbidden(path.clone(), detail));
            }
            Some(container) if !check::same(container, &before) => {
                let detail = format!("existing ephemeral containers {name:?} may not be changed\n");
                errors.push(FieldError::forbidden(path.clone(), detail));
            }
            Some(_) => {}
        }
    }
    errors
}

/// Takes over `old`'s value of all but the requests and limits of containers.
pub(super) fn keep_all_but_resources(new: &mut PodSpec, old: &PodSpec) {
    let wanted = std::mem::replace(new, old.clone());
    let resize = |container: &mut Container, wanted: &[Container]| {
        if let Some(own) = wanted.iter().find(|own| own.name == container.name) {
            container.resources.clone_from(&own.resources);
            container.resize_policy.clone_from(&own.resize_policy);
        }
    };
    new.containers.iter_mut().for_each(|container| resize(container, &wanted.containers));
    let init = wanted.init_containers.unwrap_or_default();
    new.init_containers.iter_mut().flatten().for_each(|container| resize(container, &init));
}

/// Errors of a change of requests and limits, of which cpu and memory may change but not go.
pub(super) fn resize(new: &Pod, old: &Pod) -> Errors {
    let mut errors = Errors::new();
    if old.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR)) {
        return vec![FieldError::forbidden(FieldPath::default(), "static pods cannot be resized")];
    }
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return errors };
    let path = FieldPath::new("spec");
    if new.resources.is_some() || old.resources.is_some() {
        let detail = "pods with pod-level resources cannot be resized";
        return vec![FieldError::forbidden(FieldPath::default(), detail)];
    }
    if super::qos_class(new) != super::qos_class(old) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid(path.clone(), super::qos_class(new), detail));
    }
    for (index, (new, old)) in new.containers.iter().zip(&old.containers).enumerate() {
        resized(&mut errors, &path, &path.child("containers").index(index).child("resources"), new, old);
    }
    let init = new.init_containers.iter().flatten().zip(old.init_containers.iter().flatten());
    for (index, (new, old)) in init.enumerate() {
        if super::is_sidecar(new) {
            resized(&mut errors, &path, &path.child("initContainers").index(index).child("resources"), new, old);
        } else if !check::same(&new.resources, &old.resources) {
            let detail = "resources for non-sidecar init containers are immutable";
            errors.push(FieldError::forbidden(path.clone(), detail));
        }
    }
    errors
}

fn resized(errors: &mut Errors, spec: &FieldPath, path: &FieldPath, new: &Container, old: &Container) {
    let (after, before) = (new.resources.clone().unwrap_or_default(), old.resources.clone().unwrap_or_default());
    for (field, words, after, before) in [
        ("requests", "resource requests cannot be removed", &after.requests, &before.requests),
        ("limits", "resource limits cannot be removed", &after.limits, &before.limits),
    ] {
        let (after, before) = (after.clone().unwrap_or_default(), before.clone().unwrap_or_default());
        if before.keys().any(|name| !after.contains_key(name)) {
            errors.push(FieldError::forbidden(path.child(field), words));
        }
        let compute = |name: &str| matches!(name, "cpu" | "memory");
        let changed = after.iter().any(|(name, amount)| !compute(name) && before.get(name) != Some(amount));
        if changed {
            errors.push(FieldError::forbidden(spec.clone(), "only cpu and memory resources are mutable"));
        }
    }
}

//! What may be asked for and how much: the names of resources and the rules for their amounts.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::quantity::Quantity;
use k8s_openapi::api::core::v1::{ResourceClaim, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use std::collections::BTreeMap;

/// Amounts by resource name.
pub type ResourceList = BTreeMap<String, ApiQuantity>;

const HUGE_PAGES: &str = "hugepages-";
const OF_CONTAINERS: &[&str] = &["cpu", "ephemeral-storage", "memory"];
const OF_PODS: &[&str] = &["cpu", "memory"];
/// Countable things that a quota can bound; their amounts are whole numbers.
const COUNTED: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
];
const OF_QUOTAS: &[&str] = &[
    "cpu",
    "ephemeral-storage",
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
    "requests.storage",
];

/// Whose resources are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    Container,
    Pod,
    Quota,
    Any,
}

fn is_huge_page(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource that a device plugin offers: `example.com/gpu`.
pub fn is_extended(name: &str) -> bool {
    !is_native(name)
        && !name.starts_with("requests.")
        && crate::labels::label_key(&format!("requests.{name}")).is_empty()
}

/// Whether Kubernetes itself counts this for a quota.
pub(crate) fn is_standard_quota(name: &str) -> bool {
    OF_QUOTAS.contains(&name) || COUNTED.contains(&name)
}

/// Whether a limit may exceed its request.
fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

fn is_standard(name: &str) -> bool {
    OF_QUOTAS.contains(&name)
        || COUNTED.contains(&name)
        || name == "storage"
        || is_huge_page(name)
        || name.strip_prefix("requests.").is_some_and(is_huge_page)
}

/// That a resource of this name may be named there.
pub(crate) fn name(errors: &mut Errors, path: &FieldPath, name: &str, holder: Holder) {
    let before = errors.len();
    check::label_key(errors, path, name);
    if errors.len() == before && !name.contains('/') && !is_standard(name) {
        let detail = "must be a standard resource type or fully qualified";
        errors.push(FieldError::invalid(path.clone(), name, detail));
    }
    match holder {
        Holder::Container if !name.contains('/') && !OF_CONTAINERS.contains(&name) && !is_huge_page(name) => {
            errors.push(FieldError::invalid(path.clone(), name, "must be a standard resource for containers"));
        }
        Holder::Container if name.contains('/') && !is_native(name) && !is_extended(name) => {
            let detail = "doesn't follow extended resource name standard";
            errors.push(FieldError::invalid(path.clone(), name, detail));
        }
        Holder::Pod if errors.len() == before && !is_huge_page(name) => {
            check::supported_if_set(errors, path, Some(name), OF_PODS);
        }
        Holder::Quota if !name.contains('/') && (!is_standard(name) || name == "storage") => {
            errors.push(FieldError::invalid(path.clone(), name, "must be a standard resource for quota"));
        }
        _ => {}
    }
}

/// That an amount is one, not negative, and whole where only whole ones make sense. The decoder has refused what is no
/// quantity; what the server itself makes passes here as well.
pub(crate) fn amount(errors: &mut Errors, path: &FieldPath, name: &str, amount: &ApiQuantity) -> Option<Quantity> {
    let parsed = match Quantity::try_from(amount) {
        Ok(parsed) => parsed,
        Err(error) => {
            errors.push(FieldError::invalid(path.clone(), &amount.0, error.to_string()));
            return None;
        }
    };
    if parsed.is_negative() {
        errors.push(FieldError::invalid(path.clone(), &amount.0, "must be greater than or equal to 0"));
    }
    if (COUNTED.contains(&name) || is_extended(name)) && parsed.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path.clone(), &amount.0, "must be an integer"));
    }
    Some(parsed)
}

/// A list of amounts, each by itself.
pub(crate) fn list(errors: &mut Errors, path: &FieldPath, list: Option<&ResourceList>, holder: Holder) {
    for (resource, quantity) in list.into_iter().flatten() {
        let path = path.key(resource);
        name(errors, &path, resource, holder);
        amount(errors, &path, resource, quantity);
    }
}

/// Requests and limits of a container or a pod. `claims` are the names of the pod's resource claims.
pub(crate) fn requirements(
    errors: &mut Errors,
    path: &FieldPath,
    requirements: &ResourceRequirements,
    holder: Holder,
    claims: &[&str],
) {
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let mut all = Vec::new();
    for (list, path) in [(&requirements.limits, &limits_path), (&requirements.requests, &requests_path)] {
        for (resource, quantity) in list.iter().flatten() {
            let path = path.key(resource);
            name(errors, &path, resource, holder);
            let parsed = amount(errors, &path, resource, quantity);
            if let Some(parsed) = parsed.filter(|_| is_huge_page(resource)) {
                huge_page(errors, &path, resource, parsed);
            }
            all.push(resource.as_str());
        }
    }
    for (resource, request) in requirements.requests.iter().flatten() {
        let limit = requirements.limits.as_ref().and_then(|limits| limits.get(resource));
        request_within(errors, &limits_path, &requests_path, resource, request, limit);
    }
    if all.iter().any(|name| is_huge_page(name)) && !all.iter().any(|name| OF_PODS.contains(name)) {
        errors.push(FieldError::forbidden(path.clone(), "HugePages require cpu or memory"));
    }
    claim_names(errors, &path.child("claims"), requirements.claims.as_deref().unwrap_or_default(), claims);
}

fn request_within(
    errors: &mut Errors,
    limits_path: &FieldPath,
    requests_path: &FieldPath,
    resource: &str,
    request: &ApiQuantity,
    limit: Option<&ApiQuantity>,
) {
    let Some(limit) = limit else {
        if !may_overcommit(resource) {
            let detail = "Limit must be set for non overcommitable resources";
            errors.push(FieldError::required(limits_path.clone(), detail));
        }
        return;
    };
    let (Ok(asked), Ok(bound)) = (Quantity::try_from(request), Quantity::try_from(limit)) else { return };
    let must = if asked != bound && !may_overcommit(resource) {
        "must be equal to"
    } else if asked > bound {
        "must be less than or equal to"
    } else {
        return;
    };
    let detail = format!("{must} {resource} limit of {bound}");
    errors.push(FieldError::invalid(requests_path.clone(), &asked.to_string(), detail));
}

fn huge_page(errors: &mut Errors, path: &FieldPath, resource: &str, amount: Quantity) {
    let page = Quantity::parse(resource.trim_start_matches(HUGE_PAGES)).map_or(0, Quantity::value);
    if page <= 0 || amount.value() % page != 0 {
        let detail = format!("{amount} is not positive integer multiple of {resource}");
        errors.push(FieldError::invalid(path.clone(), &amount.to_string(), detail));
    }
}

fn claim_names(errors: &mut Errors, path: &FieldPath, claims: &[ResourceClaim], known: &[&str]) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = path.index(index);
        let (name, request) = (claim.name.as_str(), claim.request.as_deref().unwrap_or_default());
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        if !request.is_empty() {
            check::dns1123_label(errors, &path.child("request"), request);
        }
        let overlaps = |(other, part): &(&str, &str)| {
            *other == name && (part.is_empty() || request.is_empty() || *part == request)
        };
        if seen.iter().any(overlaps) {
            errors.push(FieldError::duplicate(path.clone(), name));
        }
        seen.push((name, request));
        if !known.contains(&name) {
            let mut error = FieldError::not_found(path, name);
            let list = if known.is_empty() { " which is empty".to_owned() } else { format!(": {}", known.join(", ")) };
            error.detail = format!("must be one of the names in pod.spec.resourceClaims{list}");
            errors.push(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::tests::texts;
    use serde_json::json;

    fn check(value: serde_json::Value, expected: &[&str]) {
        let mut errors = Errors::new();
        let parsed: ResourceRequirements = serde_json::from_value(value.clone()).unwrap();
        requirements(&mut errors, &FieldPath::new("resources"), &parsed, Holder::Container, &[]);
        assert_eq!(texts(&errors), expected, "{value}");
    }

    #[test]
    fn requests_and_limits_are_validated_in_upstreams_words() {
        check(json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "100m", "memory": "1Gi"}}), &[]);
        check(
            json!({"requests": {"cpu": "200m"}, "limits": {"cpu": "100m"}}),
            &["resources.requests: Invalid value: \"200m\": must be less than or equal to cpu limit of 100m"],
        );
        check(
            json!({"requests": {"x.io/gpu": "1"}}),
            &["resources.limits: Required value: Limit must be set for non overcommitable resources"],
        );
        check(
            json!({"requests": {"x.io/gpu": "1"}, "limits": {"x.io/gpu": "2"}}),
            &["resources.requests: Invalid value: \"1\": must be equal to x.io/gpu limit of 2"],
        );
        check(
            json!({"limits": {"x.io/gpu": "500m"}}),
            &["resources.limits[x.io/gpu]: Invalid value: \"500m\": must be an integer"],
        );
        check(
            json!({"limits": {"cpu": "-1"}}),
            &["resources.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"],
        );
        check(
            json!({"limits": {"disk": "1"}}),
            &[
                "resources.limits[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified",
                "resources.limits[disk]: Invalid value: \"disk\": must be a standard resource for containers",
            ],
        );
        check(json!({"limits": {"hugepages-2Mi": "2Mi"}}), &["resources: Forbidden: HugePages require cpu or memory"]);
        check(
            json!({"limits": {"hugepages-2Mi": "3Mi", "cpu": "1"}}),
            &["resources.limits[hugepages-2Mi]: Invalid value: \"3Mi\": 3Mi is not positive integer multiple of \
               hugepages-2Mi"],
        );
        check(
            json!({"claims": [{"name": "a"}, {"name": "a"}]}),
            &[
                "resources.claims[0]: Not found: \"a\": must be one of the names in pod.spec.resourceClaims which is empty",
                "resources.claims[1]: Duplicate value: \"a\"",
                "resources.claims[1]: Not found: \"a\": must be one of the names in pod.spec.resourceClaims which is empty",
            ],
        );
    }
}

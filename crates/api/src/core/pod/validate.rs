//! Whether a pod, or a template of pods, makes sense.

use super::{annotations, containers, scheduling, security, system, volumes};
use crate::check::{self, Errors};
use crate::core::resources::{self, Holder};
use crate::field::{FieldError, FieldPath};
use crate::quantity::Quantity;
use k8s_openapi::api::core::v1::{Pod, PodDNSConfig, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// What Linux takes for a hostname.
const HOSTNAME_BYTES_MAX: usize = 64;
const RESPONDERS_MAX: usize = 10;
const RESPONDER_PRIORITY_MAX: i64 = 100_000;
const NAME_SERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;
const SEARCH_LIST_BYTES_MAX: usize = 2048;

/// Where a pod spec stands; real pods are held to a little more than templates.
#[derive(Clone, Copy)]
enum Place<'a> {
    Pod(&'a ObjectMeta),
    Template,
}

pub(super) fn pod(pod: &Pod) -> Errors {
    let mut errors = Errors::new();
    let empty = PodSpec::default();
    let spec = pod.spec.as_ref().unwrap_or(&empty);
    let path = FieldPath::new("spec");
    annotations::validate(&mut errors, &FieldPath::new("metadata").child("annotations"), &pod.metadata, spec, true);
    self::spec(&mut errors, &path, spec, Place::Pod(&pod.metadata));
    if spec.service_account_name.as_deref().unwrap_or_default().is_empty() {
        for (index, volume) in spec.volumes.iter().flatten().enumerate() {
            let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
            for (source_index, _) in sources.enumerate().filter(|(_, source)| source.service_account_token.is_some()) {
                let path = path.child("volumes").index(index).child("projected").child("sources").index(source_index);
                let detail = "must not be specified when serviceAccountName is not set";
                errors.push(FieldError::forbidden(path.child("serviceAccountToken"), detail));
            }
        }
    }
    for (field, list) in [("containers", Some(&spec.containers)), ("initContainers", spec.init_containers.as_ref())] {
        for (index, container) in list.into_iter().flatten().enumerate() {
            containers::image_is_trimmed(&mut errors, &path.child(field).index(index), container);
        }
    }
    errors
}

/// What only a new pod may not have.
pub(super) fn pod_create(pod: &Pod) -> Errors {
    let mut errors = Errors::new();
    let Some(spec) = &pod.spec else { return errors };
    let path = FieldPath::new("spec");
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        errors.push(FieldError::forbidden(path.child("ephemeralContainers"), "cannot be set on create"));
    }
    let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    if gated && !spec.node_name.as_deref().unwrap_or_default().is_empty() {
        let detail = "cannot be set until all schedulingGates have been cleared";
        errors.push(FieldError::forbidden(path.child("nodeName"), detail));
    }
    annotations::agree(&mut errors, &path, &pod.metadata, spec);
    errors
}

/// A template, as the controllers' kinds carry one.
pub(crate) fn template(errors: &mut Errors, path: &FieldPath, template: &PodTemplateSpec) {
    let empty_meta = ObjectMeta::default();
    let empty_spec = PodSpec::default();
    let meta = template.metadata.as_ref().unwrap_or(&empty_meta);
    let spec = template.spec.as_ref().unwrap_or(&empty_spec);
    check::label_map(errors, &path.child("labels"), meta.labels.as_ref());
    check::annotations(errors, &path.child("annotations"), meta.annotations.as_ref());
    annotations::validate(errors, &path.child("annotations"), meta, spec, false);
    self::spec(errors, &path.child("spec"), spec, Place::Template);
    annotations::agree(errors, &path.child("spec"), meta, spec);
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        let detail = "ephemeral containers not allowed in pod template";
        errors.push(FieldError::forbidden(path.child("spec").child("ephemeralContainers"), detail));
    }
}

fn spec(errors: &mut Errors, path: &FieldPath, spec: &PodSpec, place: Place<'_>) {
    let real_pod = matches!(place, Place::Pod(_));
    let pod_name = match place {
        Place::Pod(meta) => meta.name.as_deref().filter(|name| !name.is_empty()),
        Place::Template => None,
    };
    if spec.termination_grace_period_seconds.is_none() {
        errors.push(FieldError::required(path.child("terminationGracePeriodSeconds"), ""));
    }
    volumes::validate(errors, &path.child("volumes"), spec.volumes.as_deref().unwrap_or_default(), pod_name);
    resource_claims(errors, &path.child("resourceClaims"), spec);
    containers::validate(errors, path, spec);
    pod_resources(errors, &path.child("resources"), spec);
    containers::host_network_ports(errors, path, spec, real_pod);
    policies(errors, path, spec);
    security::of_pod(errors, path, spec);
    scheduling::validate(errors, path, spec);
    dns(errors, &path.child("dnsConfig"), spec);
    for (index, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let path = path.child("readinessGates").index(index).child("conditionType");
        check::label_key(errors, &path, &gate.condition_type);
    }
    names(errors, path, spec);
    if let Some(seconds) = spec.active_deadline_seconds {
        let complaints = crate::labels::in_range(seconds, 1, i32::MAX.into());
        check::each(errors, &path.child("activeDeadlineSeconds"), &seconds, complaints);
    }
    for (index, alias) in spec.host_aliases.iter().flatten().enumerate() {
        let path = path.child("hostAliases").index(index);
        check::ip(errors, &path.child("ip"), &alias.ip);
        for (index, name) in alias.hostnames.iter().flatten().enumerate() {
            check::dns1123_subdomain(errors, &path.child("hostnames").index(index), name);
        }
    }
    resources::list(errors, &path.child("overhead"), spec.overhead.as_ref(), Holder::Container);
    system::validate(errors, path, spec);
    responders(errors, &path.child("evictionResponders"), spec);
}

/// Who has a say before the pod is evicted.
fn responders(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    let responders = spec.eviction_responders.as_deref().unwrap_or_default();
    if responders.len() > RESPONDERS_MAX {
        errors.push(FieldError::too_many(path.clone(), responders.len(), RESPONDERS_MAX));
    }
    if !responders.is_empty() && spec.scheduling_group.is_some() {
        errors.push(FieldError::forbidden(path.clone(), "may not be set together with schedulingGroup"));
    }
    for (index, responder) in responders.iter().enumerate() {
        let path = path.index(index);
        check::domain_prefixed_path(errors, &path.child("name"), &responder.name);
        if responders[..index].iter().any(|other| other.name == responder.name) {
            errors.push(FieldError::duplicate(path.child("name"), &responder.name));
        }
        let complaints = crate::labels::in_range(responder.priority.into(), 0, RESPONDER_PRIORITY_MAX);
        check::each(errors, &path.child("priority"), &responder.priority, complaints);
    }
}

fn policies(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    let policies = &["Always", "OnFailure", "Never"];
    check::supported(errors, &path.child("restartPolicy"), spec.restart_policy.as_deref(), policies);
    let policies = &["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    check::supported(errors, &path.child("dnsPolicy"), spec.dns_policy.as_deref(), policies);
    let policies = &["PreemptLowerPriority", "Never"];
    check::supported_if_set(errors, &path.child("preemptionPolicy"), spec.preemption_policy.as_deref(), policies);
}

fn names(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    for (field, name) in [
        ("serviceAccountName", &spec.service_account_name),
        ("nodeName", &spec.node_name),
        ("priorityClassName", &spec.priority_class_name),
    ] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            check::dns1123_subdomain(errors, &path.child(field), name);
        }
    }
    // Left out is not the same as empty here.
    if let Some(name) = &spec.runtime_class_name {
        check::dns1123_subdomain(errors, &path.child("runtimeClassName"), name);
    }
    for (field, name) in [("hostname", &spec.hostname), ("subdomain", &spec.subdomain)] {
        if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
            check::dns1123_label(errors, &path.child(field), name);
        }
    }
    hostname_override(errors, path, spec);
    if let Some(group) = &spec.scheduling_group {
        let at = path.child("schedulingGroup");
        match group.pod_group_name.as_deref() {
            None => errors.push(FieldError::required(at, "must specify one of: `podGroupName`")),
            Some(name) => check::dns1123_subdomain(errors, &at.child("podGroupName"), name),
        }
    }
}

/// A name in place of the one that the cluster would give, which therefore cannot be the node's or a full one.
fn hostname_override(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    let Some(name) = spec.hostname_override.as_deref().filter(|name| !name.is_empty()) else { return };
    let at = path.child("hostnameOverride");
    check::dns1123_subdomain(errors, &at, name);
    if name.len() > HOSTNAME_BYTES_MAX {
        errors.push(FieldError::too_long(at.clone(), HOSTNAME_BYTES_MAX));
    }
    for (field, set) in [("hostNetwork", spec.host_network), ("setHostnameAsFQDN", spec.set_hostname_as_fqdn)] {
        if set == Some(true) {
            errors.push(FieldError::forbidden(at.clone(), format!("may not be specified when {field} is true")));
        }
    }
}

fn resource_claims(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    let claims = spec.resource_claims.as_deref().unwrap_or_default();
    for (index, claim) in claims.iter().enumerate() {
        let path = path.index(index);
        if claim.name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else if claims[..index].iter().any(|other| other.name == claim.name) {
            errors.push(FieldError::duplicate(path.child("name"), &claim.name));
        } else {
            check::dns1123_label(errors, &path.child("name"), &claim.name);
        }
        for (field, name) in [
            ("resourceClaimName", &claim.resource_claim_name),
            ("resourceClaimTemplateName", &claim.resource_claim_template_name),
        ] {
            if let Some(name) = name {
                check::dns1123_subdomain(errors, &path.child(field), name);
            }
        }
        let detail = match (&claim.resource_claim_name, &claim.resource_claim_template_name) {
            (Some(_), Some(_)) => "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
            (None, None) => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
            _ => continue,
        };
        errors.push(FieldError::invalid(path, claim, detail));
    }
}

/// The pod's own requests and limits, and that its containers stay within them.
fn pod_resources(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    let Some(resources) = &spec.resources else { return };
    if resources.claims.is_some() {
        let detail = "claims cannot be set for Resources at pod-level";
        errors.push(FieldError::forbidden(path.child("claims"), detail));
    }
    resources::requirements(errors, path, resources, Holder::Pod, &[]);
    let amount = |list: &Option<resources::ResourceList>, name: &str| {
        list.as_ref().and_then(|list| list.get(name)).and_then(|quantity| Quantity::try_from(quantity).ok())
    };
    for (name, together) in super::qos::container_requests(spec) {
        let own = amount(&resources.requests, &name).unwrap_or(Quantity::ZERO);
        if together > own {
            let detail = format!("must be greater than or equal to aggregate container requests of {together}");
            errors.push(FieldError::invalid(path.child("requests").key(&name), &own.to_string(), detail));
        }
    }
    for (index, container) in spec.containers.iter().enumerate() {
        let limits = container.resources.iter().flat_map(|resources| resources.limits.iter().flatten());
        for (name, limit) in limits {
            let (Ok(limit), Some(own)) = (Quantity::try_from(limit), amount(&resources.limits, name)) else { continue };
            if limit > own {
                let path = path.child("containers").index(index).key(name).child("limits");
                let detail = format!("must be less than or equal to pod limits of {own}");
                errors.push(FieldError::invalid(path, &limit.to_string(), detail));
            }
        }
    }
}

fn dns(errors: &mut Errors, path: &FieldPath, spec: &PodSpec) {
    if spec.dns_policy.as_deref() == Some("None") {
        match &spec.dns_config {
            None => {
                let detail = "must provide `dnsConfig` when `dnsPolicy` is None";
                errors.push(FieldError::required(path.clone(), detail));
            }
            Some(config) if config.nameservers.as_ref().is_none_or(Vec::is_empty) => {
                let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
                errors.push(FieldError::required(path.child("nameservers"), detail));
                return;
            }
            Some(_) => {}
        }
    }
    if let Some(config) = &spec.dns_config {
        dns_config(errors, path, config);
    }
}

fn dns_config(errors: &mut Errors, path: &FieldPath, config: &PodDNSConfig) {
    let servers = config.nameservers.as_deref().unwrap_or_default();
    if servers.len() > NAME_SERVERS_MAX {
        let detail = format!("must not have more than {NAME_SERVERS_MAX} nameservers");
        errors.push(FieldError::invalid(path.child("nameservers"), servers, detail));
    }
    for (index, server) in servers.iter().enumerate() {
        check::ip(errors, &path.child("nameservers").index(index), server);
    }
    let searches = config.searches.as_deref().unwrap_or_default();
    if searches.len() > SEARCHES_MAX {
        let detail = format!("must not have more than {SEARCHES_MAX} search paths");
        errors.push(FieldError::invalid(path.child("searches"), searches, detail));
    }
    if searches.join(" ").len() > SEARCH_LIST_BYTES_MAX {
        let detail =
            format!("must not have more than {SEARCH_LIST_BYTES_MAX} characters (including spaces) in the search list");
        errors.push(FieldError::invalid(path.child("searches"), searches, detail));
    }
    for (index, search) in searches.iter().enumerate().filter(|(_, search)| *search != ".") {
        let name = search.strip_suffix('.').unwrap_or(search);
        // Search domains are not always host names: an underscore is let pass.
        let complaints = crate::labels::dns1123_subdomain(&name.replace('_', "a"), false);
        check::each(errors, &path.child("searches").index(index), name, complaints);
    }
    for (index, option) in config.options.iter().flatten().enumerate() {
        if option.name.as_deref().unwrap_or_default().is_empty() {
            errors.push(FieldError::required(path.child("options").index(index), "must not be empty"));
        }
    }
}

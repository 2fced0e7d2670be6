//! A pod's JSON as its view is read from it: only the fields that the view has, texts borrowed where they can be.
//!
//! A spec whose text is known is not read at all, apart from its node and hostname, which are cut out before texts are
//! compared.

use super::spec::{Container, Reference, Spec, Target};
use super::{Phase, PodView, Ready, Shelf, Unscheduled};
use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

type List<T> = Option<Vec<T>>;

/// A text that is borrowed if it has no escapes; an `Option<Cow>` never would be.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn text<'a>(text: &'a Option<Text<'_>>) -> &'a str {
    text.as_ref().map_or("", |text| &text.0)
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<Status<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    uid: Option<Text<'a>>,
    #[serde(borrow)]
    resource_version: Option<Text<'a>>,
    #[serde(borrow)]
    labels: Option<&'a RawValue>,
    #[serde(borrow)]
    owner_references: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<Annotations<'a>>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    finalizers: List<IgnoredAny>,
}

#[derive(Deserialize)]
struct Annotations<'a> {
    #[serde(borrow, rename = "controller.kubernetes.io/pod-deletion-cost")]
    deletion_cost: Option<Text<'a>>,
    #[serde(rename = "kubernetes.io/config.mirror")]
    mirror: Option<IgnoredAny>,
}

/// What of a spec is the pod's own.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Own<'a> {
    #[serde(borrow)]
    node_name: Option<Text<'a>>,
    #[serde(borrow)]
    hostname: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    #[serde(borrow)]
    phase: Option<Text<'a>>,
    #[serde(borrow, rename = "podIP")]
    pod_ip: Option<Text<'a>>,
    #[serde(borrow, rename = "podIPs")]
    pod_ips: List<Address<'a>>,
    start_time: Option<Time>,
    #[serde(borrow)]
    conditions: List<Condition<'a>>,
    container_statuses: List<Restarts>,
    #[serde(borrow)]
    resource_claim_statuses: List<OfClaim<'a>>,
    #[serde(borrow)]
    extended_resource_claim_status: Option<OfClaim<'a>>,
}

/// Where a spec or a status names a resource claim.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OfClaim<'a> {
    #[serde(borrow)]
    resource_claim_name: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow)]
    ip: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition<'a> {
    #[serde(borrow, rename = "type")]
    type_: Text<'a>,
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    reason: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    last_transition_time: Option<Time>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Restarts {
    restart_count: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpecWire<'a> {
    #[serde(borrow)]
    scheduler_name: Option<Text<'a>>,
    priority: Option<i32>,
    #[serde(borrow)]
    preemption_policy: Option<Text<'a>>,
    scheduling_gates: List<IgnoredAny>,
    #[serde(borrow)]
    service_account_name: Option<Text<'a>>,
    #[serde(borrow)]
    subdomain: Option<Text<'a>>,
    node_selector: Option<BTreeMap<String, String>>,
    affinity: Option<Affinity>,
    tolerations: List<Toleration>,
    topology_spread_constraints: List<TopologySpreadConstraint>,
    overhead: Option<BTreeMap<String, Quantity>>,
    resources: Option<ResourceRequirements>,
    #[serde(borrow)]
    containers: List<ContainerWire<'a>>,
    #[serde(borrow)]
    init_containers: List<ContainerWire<'a>>,
    #[serde(borrow)]
    ephemeral_containers: List<ContainerWire<'a>>,
    #[serde(borrow)]
    image_pull_secrets: List<Named<'a>>,
    #[serde(borrow)]
    volumes: List<Volume<'a>>,
    #[serde(borrow)]
    resource_claims: List<OfClaim<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerWire<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    image: Option<String>,
    resources: Option<ResourceRequirements>,
    ports: List<k8s_openapi::api::core::v1::ContainerPort>,
    restart_policy: Option<String>,
    #[serde(borrow)]
    env: List<Variable<'a>>,
    #[serde(borrow)]
    env_from: List<Sources<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variable<'a> {
    #[serde(borrow)]
    value_from: Option<Sources<'a>>,
}

/// Where an environment or a projected volume takes from; the same two kinds by three names.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sources<'a> {
    #[serde(borrow, alias = "secretRef", alias = "secretKeyRef")]
    secret: Option<Named<'a>>,
    #[serde(borrow, alias = "configMapRef", alias = "configMapKeyRef")]
    config_map: Option<Named<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    secret: Option<SecretVolume<'a>>,
    #[serde(borrow)]
    config_map: Option<Named<'a>>,
    #[serde(borrow)]
    persistent_volume_claim: Option<ClaimVolume<'a>>,
    ephemeral: Option<IgnoredAny>,
    #[serde(borrow)]
    csi: Option<CsiVolume<'a>>,
    #[serde(borrow)]
    projected: Option<Projected<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SecretVolume<'a> {
    #[serde(borrow)]
    secret_name: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ClaimVolume<'a> {
    #[serde(borrow)]
    claim_name: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CsiVolume<'a> {
    #[serde(borrow)]
    node_publish_secret_ref: Option<Named<'a>>,
}

#[derive(Deserialize)]
struct Projected<'a> {
    #[serde(borrow)]
    sources: List<Sources<'a>>,
}

pub(super) fn decode(json: &[u8], shelf: &mut Shelf) -> Result<PodView, serde_json::Error> {
    let wire: Wire<'_> = serde_json::from_slice(json)?;
    let meta = &wire.metadata;
    let name = text(&meta.name);
    let key = match text(&meta.namespace) {
        "" => name.into(),
        namespace => format!("{namespace}/{name}").into(),
    };
    let (own, spec) = spec(wire.spec.map_or("{}", RawValue::get), shelf)?;
    let node = text(&own.node_name);
    let labels = meta.labels.map_or("null", RawValue::get);
    let owners = meta.owner_references.map_or("null", RawValue::get);
    let status = wire.status.unwrap_or_default();
    let cost = meta.annotations.as_ref().map_or("", |annotations| text(&annotations.deletion_cost));
    let restarts = status.container_statuses.iter().flatten().filter_map(|container| container.restart_count);
    Ok(PodView {
        key,
        uid: text(&meta.uid).into(),
        resource_version: text(&meta.resource_version).into(),
        labels: shelf.labels.get_or_make(&[labels], || read(labels).map(Arc::new))?,
        owners: shelf.owners.get_or_make(&[owners], || read::<Vec<_>>(owners).map(Arc::from))?,
        created: meta.creation_timestamp.as_ref().map(|time| time.0),
        deletion: meta.deletion_timestamp.as_ref().map(|time| time.0),
        has_finalizers: meta.finalizers.as_ref().is_some_and(|finalizers| !finalizers.is_empty()),
        deletion_cost: cost.parse().unwrap_or(0),
        claims: claims(&status),
        is_mirror: meta.annotations.as_ref().is_some_and(|annotations| annotations.mirror.is_some()),
        node: shelf.nodes.get_or_make(&[node], || Ok::<_, serde_json::Error>(node.into()))?,
        hostname: text(&own.hostname).into(),
        spec,
        phase: phase(text(&status.phase)),
        ready: ready(&status),
        started: status.start_time.as_ref().map(|time| time.0),
        unscheduled: unscheduled(&status),
        addresses: addresses(&status),
        restarts: restarts.max().unwrap_or(0),
    })
}

fn read<T: for<'de> Deserialize<'de> + Default>(json: &str) -> Result<T, serde_json::Error> {
    serde_json::from_str::<Option<T>>(json).map(Option::unwrap_or_default)
}

fn phase(name: &str) -> Phase {
    match name {
        "" | "Pending" => Phase::Pending,
        "Running" => Phase::Running,
        "Succeeded" => Phase::Succeeded,
        "Failed" => Phase::Failed,
        _ => Phase::Unknown,
    }
}

fn condition<'a>(status: &'a Status<'_>, type_: &str) -> Option<&'a Condition<'a>> {
    status.conditions.iter().flatten().find(|condition| condition.type_.0 == type_)
}

fn ready(status: &Status<'_>) -> Option<Ready> {
    let ready = condition(status, "Ready")?;
    let since = ready.last_transition_time.as_ref().map(|time| time.0);
    Some(Ready { is_true: text(&ready.status) == "True", since })
}

fn unscheduled(status: &Status<'_>) -> Option<Box<Unscheduled>> {
    let scheduled = condition(status, "PodScheduled").filter(|condition| text(&condition.status) == "False")?;
    Some(Box::new(Unscheduled {
        reason: text(&scheduled.reason).into(),
        message: text(&scheduled.message).into(),
        since: scheduled.last_transition_time.as_ref().map(|time| time.0),
    }))
}

fn claims(status: &Status<'_>) -> Box<[Box<str>]> {
    let all = status.resource_claim_statuses.iter().flatten().chain(&status.extended_resource_claim_status);
    all.filter_map(|own| own.resource_claim_name.as_ref()).map(|name| (*name.0).into()).collect()
}

fn addresses(status: &Status<'_>) -> Box<[IpAddr]> {
    let listed = status.pod_ips.iter().flatten().map(|address| text(&address.ip));
    let mut all: Vec<IpAddr> = Vec::new();
    for address in listed.chain([text(&status.pod_ip)]).filter_map(|address| address.parse().ok()) {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    all.into()
}

/// What is the pod's own in a spec's text, and the rest of it.
fn spec<'a>(json: &'a str, shelf: &mut Shelf) -> Result<(Own<'a>, Arc<Spec>), serde_json::Error> {
    let own: Own<'a> = read_borrowed(json)?;
    let mut cuts: Vec<(usize, usize)> = Vec::with_capacity(2);
    for text in [&own.node_name, &own.hostname].into_iter().flatten() {
        // A text with escapes stays where it is; its spec is shared by none.
        if let Cow::Borrowed(text) = text.0 {
            let start = text.as_ptr() as usize - json.as_ptr() as usize;
            cuts.push((start, start + text.len()));
        }
    }
    cuts.sort_unstable();
    let (mut parts, mut from) = ([""; 3], 0);
    for (part, (start, end)) in parts.iter_mut().zip(&cuts) {
        *part = &json[from..*start];
        from = *end;
    }
    parts[cuts.len()] = &json[from..];
    let Shelf { specs, alike, .. } = shelf;
    let spec = specs.get_or_make(&parts, || {
        let wire: SpecWire<'_> = read_borrowed(json)?;
        Ok::<_, serde_json::Error>(alike.share(wire.into()))
    })?;
    Ok((own, spec))
}

/// JSON that the pod's own reading has found to be an object already.
fn read_borrowed<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str(if json == "null" { "{}" } else { json })
}

impl From<SpecWire<'_>> for Spec {
    fn from(wire: SpecWire<'_>) -> Spec {
        let refers = references(&wire);
        let containers = |wire: List<ContainerWire<'_>>| {
            let container = |container: ContainerWire<'_>| Container {
                name: text(&container.name).into(),
                image: container.image,
                resources: container.resources,
                ports: container.ports,
                restart_policy: container.restart_policy,
            };
            wire.into_iter().flatten().map(container).collect()
        };
        Spec {
            scheduler_name: text(&wire.scheduler_name).into(),
            priority: wire.priority.unwrap_or(0),
            preempts: text(&wire.preemption_policy) != "Never",
            is_gated: wire.scheduling_gates.is_some_and(|gates| !gates.is_empty()),
            service_account: text(&wire.service_account_name).into(),
            subdomain: text(&wire.subdomain).into(),
            node_selector: wire.node_selector,
            affinity: wire.affinity,
            tolerations: wire.tolerations.unwrap_or_default(),
            spread: wire.topology_spread_constraints.unwrap_or_default(),
            overhead: wire.overhead,
            resources: wire.resources,
            containers: containers(wire.containers),
            init_containers: containers(wire.init_containers),
            refers,
        }
    }
}

fn references(wire: &SpecWire<'_>) -> Box<[Reference]> {
    let mut all = Vec::new();
    let mut add = |target, name: &str| {
        let reference = Reference::Named(target, name.into());
        if !all.contains(&reference) {
            all.push(reference);
        }
    };
    let named = |named: &Option<Named<'_>>| named.as_ref().map(|named| text(&named.name).to_owned());
    if let Some(account) = wire.service_account_name.as_ref().filter(|account| !account.0.is_empty()) {
        add(Target::ServiceAccount, &account.0);
    }
    for pull in wire.image_pull_secrets.iter().flatten() {
        add(Target::Secret, text(&pull.name));
    }
    let containers = [&wire.containers, &wire.init_containers, &wire.ephemeral_containers];
    let containers = || containers.into_iter().flatten().flatten();
    let from_env = containers().flat_map(|container| container.env.iter().flatten());
    let sources = containers().flat_map(|container| container.env_from.iter().flatten());
    let volumes = || wire.volumes.iter().flatten();
    let projected = volumes().flat_map(|volume| volume.projected.iter());
    let projected = projected.flat_map(|projected| projected.sources.iter().flatten());
    for source in sources.chain(from_env.filter_map(|variable| variable.value_from.as_ref())).chain(projected) {
        named(&source.secret).iter().for_each(|name| add(Target::Secret, name));
        named(&source.config_map).iter().for_each(|name| add(Target::ConfigMap, name));
    }
    for volume in volumes() {
        let secret = volume.secret.as_ref().and_then(|secret| secret.secret_name.as_ref());
        secret.iter().for_each(|name| add(Target::Secret, &name.0));
        named(&volume.config_map).iter().for_each(|name| add(Target::ConfigMap, name));
        let claim = volume.persistent_volume_claim.as_ref().and_then(|claim| claim.claim_name.as_ref());
        claim.iter().for_each(|name| add(Target::Claim, &name.0));
        let csi = volume.csi.as_ref().and_then(|csi| named(&csi.node_publish_secret_ref));
        csi.iter().for_each(|name| add(Target::Secret, name));
    }
    for claim in wire.resource_claims.iter().flatten().filter_map(|claim| claim.resource_claim_name.as_ref()) {
        add(Target::ResourceClaim, &claim.0);
    }
    let own = volumes().filter(|volume| volume.ephemeral.is_some());
    all.extend(own.map(|volume| Reference::OwnClaim(text(&volume.name).into())));
    all.into()
}

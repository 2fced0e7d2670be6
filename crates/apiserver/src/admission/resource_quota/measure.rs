//! What an object uses of what quotas bound: the table of kinds that are more than counted, and the names of measures.
//!
//! Every stored object of every kind uses one of `count/<resource>.<group>`. Pure.

use super::pods;
use super::scope::Traits;
use api::quantity::{Format, Quantity};
use api::{Kind, Object, ResourceDef, Subresource};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::resource::v1::ResourceClaim;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use k8s_openapi::jiff::Timestamp;
use registry::Operation;
use std::collections::{BTreeMap, BTreeSet};

pub(super) type Amounts = BTreeMap<String, Quantity>;

/// Group and plural: all versions of a kind are one.
pub(super) type KindId = (&'static str, &'static str);

pub(super) const ONE: Quantity = Quantity::from_units(1, Format::DecimalSI);

/// What one object uses, and what scopes ask of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) amounts: Amounts,
    pub(super) traits: Traits,
}

/// What an object uses now, and what it uses from a certain time on without anything being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    pub(super) now: Usage,
    pub(super) later: Option<(Timestamp, Usage)>,
}

/// A kind that is more than counted.
struct Special {
    def: &'static ResourceDef,
    /// Whether a quota on this name bounds the kind.
    bounds: fn(&str) -> bool,
    measure: fn(&dyn Object, &mut Measured, Timestamp),
    /// Whether an update through this door is charged.
    updates: fn(Option<Subresource>) -> bool,
}

const SPECIAL: [Special; 4] = [
    Special {
        def: &Pod::DEF,
        bounds: pods::bounds,
        measure: pods::measure,
        updates: |subresource| subresource == Some(Subresource::Resize),
    },
    Special { def: &Service::DEF, bounds: bounds_services, measure: service, updates: |door| door.is_none() },
    Special {
        def: &PersistentVolumeClaim::DEF,
        bounds: bounds_volumes,
        measure: volume,
        updates: |door| door.is_none(),
    },
    Special { def: &ResourceClaim::DEF, bounds: bounds_devices, measure: devices, updates: |door| door.is_none() },
];

/// Kinds of core that may be counted by their plural alone.
const COUNTED: [&str; 4] = ["configmaps", "replicationcontrollers", "resourcequotas", "secrets"];
/// Kinds that no quota bounds: they are many, and their makers are not their users.
const IGNORED: [KindId; 2] = [("", "events"), ("events.k8s.io", "events")];

const COUNT: &str = "count/";
const SERVICES: &str = "services";
const NODE_PORTS: &str = "services.nodeports";
const LOAD_BALANCERS: &str = "services.loadbalancers";
const CLAIMS: &str = "persistentvolumeclaims";
const STORAGE: &str = "requests.storage";
const STORAGE_CLASS: &str = ".storageclass.storage.k8s.io/";
const DEVICE_CLASS: &str = ".deviceclass.resource.k8s.io/devices";
const OLD_STORAGE_CLASS: &str = "volume.beta.kubernetes.io/storage-class";
/// Devices that one request for all of a class may be given.
const DEVICES_MAX: i64 = 32;

fn special(group: &str, plural: &str) -> Option<&'static Special> {
    SPECIAL.iter().find(|special| special.def.group == group && special.def.plural == plural)
}

/// Whether an attempt may use more than before.
pub(super) fn charges(def: &ResourceDef, operation: Operation, subresource: Option<Subresource>) -> bool {
    match operation {
        Operation::Create => subresource.is_none() && !IGNORED.contains(&(def.group, def.plural)),
        Operation::Update => special(def.group, def.plural).is_some_and(|special| (special.updates)(subresource)),
        _ => false,
    }
}

/// The kind, by group and plural, that a quota's entry bounds; `None` where it bounds nothing here.
pub(super) fn kind_of(measure: &str) -> Option<(&str, &str)> {
    if let Some(counted) = measure.strip_prefix(COUNT) {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        return Some((group, plural)).filter(|kind| !IGNORED.contains(kind));
    }
    let own =
        SPECIAL.iter().find(|special| (special.bounds)(measure)).map(|special| (special.def.group, special.def.plural));
    own.or_else(|| COUNTED.contains(&measure).then_some(("", measure)))
}

/// Whether objects of the kind must be decoded to be measured.
pub(super) fn is_special(def: &ResourceDef) -> bool {
    special(def.group, def.plural).is_some()
}

/// What one object uses; without the object, what any of its kind does.
pub(super) fn measure(def: &ResourceDef, object: Option<&dyn Object>, now: Timestamp) -> Measured {
    let mut measured = Measured::default();
    let amounts = &mut measured.now.amounts;
    amounts.insert(format!("{COUNT}{}", def.group_resource()), ONE);
    if def.group.is_empty() && COUNTED.contains(&def.plural) {
        amounts.insert(def.plural.to_owned(), ONE);
    }
    if let (Some(special), Some(object)) = (special(def.group, def.plural), object) {
        (special.measure)(object, &mut measured, now);
    }
    measured
}

/// A parsed list; amounts that do not parse were refused where they were written.
pub(super) fn parsed(list: Option<&BTreeMap<String, ApiQuantity>>) -> Amounts {
    let parsed =
        list.into_iter().flatten().filter_map(|(name, text)| Some((name.clone(), Quantity::try_from(text).ok()?)));
    parsed.collect()
}

fn units(count: usize) -> Quantity {
    Quantity::from_units(i64::try_from(count).unwrap_or(i64::MAX), Format::DecimalSI)
}

fn bounds_services(name: &str) -> bool {
    [SERVICES, NODE_PORTS, LOAD_BALANCERS].contains(&name)
}

/// Node ports are counted by what the service is about to be given, not by what it has yet.
fn service(object: &dyn Object, measured: &mut Measured, _: Timestamp) {
    let Some(spec) = object.downcast::<Service>().and_then(|service| service.spec.as_ref()) else { return };
    let ports = || spec.ports.iter().flatten();
    let balances = spec.type_.as_deref() == Some("LoadBalancer");
    let node_ports = match spec.type_.as_deref() {
        Some("NodePort") => ports().count(),
        Some("LoadBalancer") if spec.allocate_load_balancer_node_ports == Some(false) => {
            ports().filter(|port| port.node_port.unwrap_or_default() != 0).count()
        }
        Some("LoadBalancer") => ports().count(),
        _ => 0,
    };
    let used = [(SERVICES, ONE), (NODE_PORTS, units(node_ports)), (LOAD_BALANCERS, units(usize::from(balances)))];
    measured.now.amounts.extend(used.map(|(name, amount)| (name.to_owned(), amount)));
}

fn bounds_volumes(name: &str) -> bool {
    let of_class = name.split_once(STORAGE_CLASS).map(|(_, measure)| measure);
    [CLAIMS, STORAGE].contains(&of_class.unwrap_or(name))
}

/// Whole bytes, and of what is asked for and what was allocated already the greater.
fn storage_of(claim: &PersistentVolumeClaim) -> Option<Quantity> {
    let whole = |amount: Quantity| Quantity::from_units(amount.value(), amount.format());
    let requests = claim.spec.as_ref()?.resources.as_ref()?.requests.as_ref();
    let asked = parsed(requests).get("storage").copied().map(whole)?;
    let allocated = claim.status.as_ref().and_then(|status| status.allocated_resources.as_ref());
    let allocated = parsed(allocated).get("storage").copied().map(whole);
    Some(allocated.filter(|allocated| *allocated > asked).unwrap_or(asked))
}

fn volume(object: &dyn Object, measured: &mut Measured, _: Timestamp) {
    let Some(claim) = object.downcast::<PersistentVolumeClaim>() else { return };
    let annotated = claim.metadata.annotations.as_ref().and_then(|own| own.get(OLD_STORAGE_CLASS));
    let class = annotated.or(claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_ref()));
    let used = [(CLAIMS, Some(ONE)), (STORAGE, storage_of(claim))];
    for (name, amount) in used.into_iter().filter_map(|(name, amount)| Some((name, amount?))) {
        measured.now.amounts.insert(name.to_owned(), amount);
        if let Some(class) = class.filter(|class| !class.is_empty()) {
            measured.now.amounts.insert(format!("{class}{STORAGE_CLASS}{name}"), amount);
        }
    }
    let status = claim.status.as_ref();
    let classes = [
        claim.spec.as_ref().and_then(|spec| spec.volume_attributes_class_name.as_ref()),
        status.and_then(|status| status.current_volume_attributes_class_name.as_ref()),
        status.and_then(|status| status.modify_volume_status.as_ref()?.target_volume_attributes_class_name.as_ref()),
    ];
    let classes = classes.into_iter().flatten().filter(|class| !class.is_empty()).cloned();
    measured.now.traits = Traits::Volume { classes: BTreeSet::from_iter(classes) };
}

fn bounds_devices(name: &str) -> bool {
    name.ends_with(DEVICE_CLASS)
}

fn device_count(mode: Option<&str>, count: Option<i64>) -> i64 {
    match mode {
        Some("All") => DEVICES_MAX,
        Some("ExactCount") | None => count.unwrap_or(1),
        Some(_) => 0,
    }
}

/// Of alternatives that ask for several classes, each class by the most that one of them asks for.
fn devices(object: &dyn Object, measured: &mut Measured, _: Timestamp) {
    let Some(claim) = object.downcast::<ResourceClaim>() else { return };
    let mut by_class: BTreeMap<&str, i64> = BTreeMap::new();
    let spec = claim.spec.as_ref();
    for request in
        spec.and_then(|spec| spec.devices.as_ref()).into_iter().flat_map(|devices| devices.requests.iter().flatten())
    {
        if let Some(exactly) = &request.exactly {
            let count = device_count(exactly.allocation_mode.as_deref(), exactly.count);
            let sum = by_class.entry(&exactly.device_class_name).or_default();
            *sum = sum.saturating_add(count);
        }
        let mut most: BTreeMap<&str, i64> = BTreeMap::new();
        for either in request.first_available.iter().flatten() {
            let count = device_count(either.allocation_mode.as_deref(), either.count);
            let entry = most.entry(&either.device_class_name).or_default();
            *entry = (*entry).max(count);
        }
        for (class, count) in most {
            let sum = by_class.entry(class).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    let used = by_class
        .into_iter()
        .map(|(class, count)| (format!("{class}{DEVICE_CLASS}"), Quantity::from_units(count, Format::DecimalSI)));
    measured.now.amounts.extend(used);
}

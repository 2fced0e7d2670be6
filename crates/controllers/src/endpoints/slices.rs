//! Endpoints into slices, with as few writes as can be. Pure.
//!
//! Invariants: a slice's endpoints share address type and ports; at most `ENDPOINTS_MAX` are in one; an endpoint that
//! stays is not moved to another slice.

use super::backend::Port;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Upstream's default: a change of one endpoint sends one slice to every node.
const ENDPOINTS_MAX: usize = 100;

pub(super) const SERVICE_NAME: &str = "kubernetes.io/service-name";
pub(super) const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// Address type and ports.
pub(super) type Group = (&'static str, Vec<Port>);
/// Endpoints by what tells them apart.
pub(super) type Endpoints = BTreeMap<String, Endpoint>;

#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) create: Vec<EndpointSlice>,
    pub(super) update: Vec<EndpointSlice>,
    pub(super) delete: Vec<Arc<EndpointSlice>>,
}

/// What tells an endpoint from others.
pub(super) fn identity(endpoint: &Endpoint) -> String {
    let pod = endpoint.target_ref.as_ref().and_then(|target| target.uid.as_deref()).unwrap_or_default();
    format!("{pod}/{}", endpoint.addresses.first().map_or("", String::as_str))
}

/// From the slices there are to the groups wanted. New slices are made like `meta`, whose labels, annotations and
/// owners all slices get.
pub(super) fn changes(
    existing: &[Arc<EndpointSlice>],
    mut wanted: BTreeMap<Group, Endpoints>,
    meta: &ObjectMeta,
) -> Changes {
    let mut changes = Changes::default();
    let mut kept: BTreeMap<Group, Vec<EndpointSlice>> = BTreeMap::new();
    for slice in existing.iter().filter(|slice| slice.metadata.deletion_timestamp.is_none()) {
        let found = wanted.iter_mut().find(|(group, _)| is_of(slice, group));
        let Some((group, endpoints)) = found else {
            changes.delete.push(slice.clone());
            continue;
        };
        let stay = slice.endpoints.iter().flatten().filter_map(|endpoint| endpoints.remove(&identity(endpoint)));
        let mut new = (**slice).clone();
        new.endpoints = Some(stay.collect());
        kept.entry(group.clone()).or_default().push(new);
    }
    for (group, endpoints) in wanted {
        let mut rest = endpoints.into_values();
        let slices = kept.remove(&group).unwrap_or_default();
        let (filled, empty) = fill(slices, &mut rest);
        let none = filled.is_empty();
        let mut rest: Vec<Endpoint> = rest.collect();
        // A service without endpoints has one slice that says so.
        let mut empty = empty.into_iter();
        if none && rest.is_empty() {
            match empty.next() {
                Some(slice) => update_if_changed(&mut changes, existing, slice, meta),
                None => changes.create.push(new_slice(&group, Vec::new(), meta)),
            }
        }
        changes.delete.extend(empty.filter_map(|slice| original(existing, &slice).cloned()));
        for slice in filled {
            update_if_changed(&mut changes, existing, slice, meta);
        }
        while !rest.is_empty() {
            let more = rest.split_off(rest.len().min(ENDPOINTS_MAX));
            changes.create.push(new_slice(&group, rest, meta));
            rest = more;
        }
    }
    changes
}

/// Puts new endpoints where there is room, into the fullest slices first, so that the emptiest may go; those in use,
/// and those left empty.
fn fill(
    mut slices: Vec<EndpointSlice>,
    rest: &mut impl Iterator<Item = Endpoint>,
) -> (Vec<EndpointSlice>, Vec<EndpointSlice>) {
    let len = |slice: &EndpointSlice| slice.endpoints.as_ref().map_or(0, Vec::len);
    slices.sort_by_key(|slice| std::cmp::Reverse(len(slice)));
    for slice in &mut slices {
        let room = ENDPOINTS_MAX.saturating_sub(len(slice));
        slice.endpoints.get_or_insert_default().extend(rest.take(room));
    }
    slices.into_iter().partition(|slice| len(slice) > 0)
}

fn is_of(slice: &EndpointSlice, (address_type, ports): &Group) -> bool {
    let mut has: Vec<Port> = slice
        .ports
        .iter()
        .flatten()
        .map(|port| Port {
            name: port.name.clone().unwrap_or_default(),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".to_owned()),
            number: port.port.unwrap_or(0),
            app_protocol: port.app_protocol.clone(),
        })
        .collect();
    has.sort();
    slice.address_type == *address_type && has == *ports
}

fn original<'a>(existing: &'a [Arc<EndpointSlice>], slice: &EndpointSlice) -> Option<&'a Arc<EndpointSlice>> {
    existing.iter().find(|original| original.metadata.name == slice.metadata.name)
}

fn update_if_changed(
    changes: &mut Changes,
    existing: &[Arc<EndpointSlice>],
    mut slice: EndpointSlice,
    meta: &ObjectMeta,
) {
    slice.metadata.labels = meta.labels.clone();
    slice.metadata.owner_references = meta.owner_references.clone();
    let same = original(existing, &slice).is_some_and(|original| {
        original.metadata.labels == slice.metadata.labels
            && original.metadata.owner_references == slice.metadata.owner_references
            && original.endpoints.as_deref().unwrap_or_default() == slice.endpoints.as_deref().unwrap_or_default()
    });
    if !same {
        slice.metadata.annotations = merged(slice.metadata.annotations, meta.annotations.as_ref());
        changes.update.push(slice);
    }
}

fn merged(
    annotations: Option<BTreeMap<String, String>>,
    new: Option<&BTreeMap<String, String>>,
) -> Option<BTreeMap<String, String>> {
    let mut all = annotations.unwrap_or_default();
    all.extend(new.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
    Some(all).filter(|all| !all.is_empty())
}

fn new_slice((address_type, ports): &Group, endpoints: Vec<Endpoint>, meta: &ObjectMeta) -> EndpointSlice {
    let port = |port: &Port| EndpointPort {
        name: Some(port.name.clone()),
        port: Some(port.number),
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    };
    EndpointSlice {
        metadata: meta.clone(),
        address_type: (*address_type).to_owned(),
        endpoints: Some(endpoints),
        ports: Some(ports.iter().map(port).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Group {
        ("IPv4", vec![Port { name: "http".to_owned(), protocol: "TCP".to_owned(), number: 80, app_protocol: None }])
    }

    fn wanted(addresses: impl Iterator<Item = usize>) -> BTreeMap<Group, Endpoints> {
        let endpoint = |n| Endpoint { addresses: vec![format!("10.0.{:03}", n)], ..Endpoint::default() };
        let endpoints = addresses.map(endpoint).map(|endpoint| (identity(&endpoint), endpoint)).collect();
        BTreeMap::from([(group(), endpoints)])
    }

    /// Applies changes as a server would; how many slices were written.
    fn apply(existing: &mut Vec<Arc<EndpointSlice>>, wanted: BTreeMap<Group, Endpoints>) -> (usize, usize, usize) {
        let changes = changes(existing, wanted, &ObjectMeta::default());
        let counts = (changes.create.len(), changes.update.len(), changes.delete.len());
        let gone: Vec<_> = changes.delete.iter().chain(&[]).map(|slice| slice.metadata.name.clone()).collect();
        let updated: Vec<_> = changes.update.iter().map(|slice| slice.metadata.name.clone()).collect();
        existing.retain(|slice| !gone.contains(&slice.metadata.name) && !updated.contains(&slice.metadata.name));
        existing.extend(changes.update.into_iter().map(Arc::new));
        for mut slice in changes.create {
            slice.metadata.name = Some(format!("s{}-{}", existing.len(), slice.endpoints.as_ref().unwrap().len()));
            existing.push(Arc::new(slice));
        }
        counts
    }

    fn sizes(slices: &[Arc<EndpointSlice>]) -> Vec<usize> {
        let mut sizes: Vec<usize> = slices.iter().map(|slice| slice.endpoints.as_ref().unwrap().len()).collect();
        sizes.sort_unstable();
        sizes
    }

    #[test]
    fn slices_hold_a_hundred_and_few_are_written() {
        let mut slices = Vec::new();
        assert_eq!(apply(&mut slices, wanted(0..250)), (3, 0, 0));
        assert_eq!(sizes(&slices), [50, 100, 100]);
        assert_eq!(apply(&mut slices, wanted(0..250)), (0, 0, 0), "nothing changed");
        assert_eq!(apply(&mut slices, wanted(0..251)), (0, 1, 0));
        assert_eq!(apply(&mut slices, wanted((0..250).filter(|n| *n != 7))), (0, 2, 0));
        assert_eq!(apply(&mut slices, wanted(0..20)), (0, 1, 2));
        assert_eq!(apply(&mut slices, wanted(0..0)), (0, 1, 0), "an empty slice says that there are none");
        assert_eq!(sizes(&slices), [0]);
        assert_eq!(apply(&mut slices, wanted(0..1)), (0, 1, 0));
        assert_eq!(apply(&mut slices, BTreeMap::new()), (0, 0, 1));
    }
}

//! Endpoints into slices, with as few writes as can be. Pure.
//!
//! Invariants: a slice's endpoints share address type and ports; no slice is filled beyond what its maker allows; an
//! endpoint that stays is not moved to another slice. New endpoints go where a slice is written anyway, then into the
//! fullest that takes them all; a slice that is not needed any more becomes one that is, before it is deleted.

use super::backend::Port;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Upstream's default: a change of one endpoint sends one slice to every node.
pub(super) const ENDPOINTS_MAX: usize = 100;

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

/// A slice that stays with its group.
struct Kept<'a> {
    original: &'a Arc<EndpointSlice>,
    endpoints: Vec<Endpoint>,
    /// It is written whatever else comes in.
    touched: bool,
}

impl Kept<'_> {
    fn room(&self, endpoints_max: usize) -> usize {
        endpoints_max.saturating_sub(self.endpoints.len())
    }
}

/// From the slices there are to the groups wanted, with at most `endpoints_max` in one. New slices are made like
/// `meta`, whose labels and owners all get, and its annotations, if it says which.
pub(super) fn changes(
    existing: &[Arc<EndpointSlice>],
    mut wanted: BTreeMap<Group, Endpoints>,
    meta: &ObjectMeta,
    endpoints_max: usize,
) -> Changes {
    let mut kept: BTreeMap<Group, Vec<Kept<'_>>> = BTreeMap::new();
    let mut spare: Vec<&Arc<EndpointSlice>> = Vec::new();
    for original in existing.iter().filter(|slice| slice.metadata.deletion_timestamp.is_none()) {
        let Some((group, endpoints)) = wanted.iter_mut().find(|(group, _)| is_of(original, group)) else {
            spare.push(original);
            continue;
        };
        let old = original.endpoints.as_deref().unwrap_or_default();
        let endpoints: Vec<Endpoint> = old.iter().filter_map(|old| endpoints.remove(&identity(old))).collect();
        let touched = endpoints != old || !is_like(&original.metadata, meta);
        kept.entry(group.clone()).or_default().push(Kept { original, endpoints, touched });
    }
    let (mut changes, mut new) = (Changes::default(), Vec::new());
    for (group, endpoints) in wanted {
        let mut kept = kept.remove(&group).unwrap_or_default();
        let more = pack(&mut kept, endpoints.into_values().collect(), endpoints_max);
        new.extend(more.into_iter().map(|endpoints| (group.clone(), endpoints)));
        let some = kept.iter().any(|slice| !slice.endpoints.is_empty()) || new.iter().any(|(of, _)| *of == group);
        // A group without endpoints has one slice that says so.
        let said = (!some).then(|| kept.first().map(|slice| slice.original)).flatten();
        if !some && said.is_none() {
            new.push((group, Vec::new()));
        }
        for slice in kept {
            let is_said = said.is_some_and(|said| Arc::ptr_eq(said, slice.original));
            match (slice.endpoints.is_empty() && !is_said, slice.touched) {
                (true, _) => spare.push(slice.original),
                (false, true) => changes.update.push(written(slice.original, slice.endpoints, meta)),
                (false, false) => {}
            }
        }
    }
    for (group, endpoints) in new {
        match spare.iter().position(|spare| spare.address_type == group.0) {
            Some(index) => {
                let again = written(spare.swap_remove(index), endpoints, meta);
                changes.update.push(EndpointSlice { ports: Some(ports(&group.1)), ..again });
            }
            None => changes.create.push(new_slice(&group, endpoints, meta)),
        }
    }
    changes.delete.extend(spare.into_iter().cloned());
    changes
}

/// Finds room for new endpoints; those of slices yet to be made.
fn pack(kept: &mut [Kept<'_>], mut rest: Vec<Endpoint>, endpoints_max: usize) -> Vec<Vec<Endpoint>> {
    kept.sort_by_key(|slice| Reverse(slice.endpoints.len()));
    for slice in kept.iter_mut().filter(|slice| slice.touched) {
        let left = rest.split_off(rest.len().min(slice.room(endpoints_max)));
        slice.endpoints.append(&mut rest);
        rest = left;
    }
    let mut new = Vec::new();
    while !rest.is_empty() {
        let fits = |slice: &&mut Kept<'_>| !slice.touched && slice.room(endpoints_max) >= rest.len();
        if let Some(slice) = kept.iter_mut().find(fits) {
            slice.touched = true;
            slice.endpoints.append(&mut rest);
            break;
        }
        let left = rest.split_off(rest.len().min(endpoints_max));
        new.push(rest);
        rest = left;
    }
    new
}

fn is_like(slice: &ObjectMeta, meta: &ObjectMeta) -> bool {
    let annotated = |wanted: &BTreeMap<String, String>| slice.annotations.iter().flatten().eq(wanted);
    let same = meta.annotations.as_ref().is_none_or(annotated);
    slice.labels == meta.labels && slice.owner_references == meta.owner_references && same
}

fn written(original: &EndpointSlice, endpoints: Vec<Endpoint>, meta: &ObjectMeta) -> EndpointSlice {
    let mut slice = original.clone();
    slice.metadata.labels.clone_from(&meta.labels);
    slice.metadata.owner_references.clone_from(&meta.owner_references);
    if meta.annotations.is_some() {
        slice.metadata.annotations = annotations(meta);
    }
    slice.endpoints = Some(endpoints);
    slice
}

/// Those that are wanted; none are written as none.
fn annotations(meta: &ObjectMeta) -> Option<BTreeMap<String, String>> {
    meta.annotations.clone().filter(|annotations| !annotations.is_empty())
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

fn ports(ports: &[Port]) -> Vec<EndpointPort> {
    let port = |port: &Port| EndpointPort {
        name: Some(port.name.clone()),
        port: Some(port.number),
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    };
    ports.iter().map(port).collect()
}

fn new_slice(group: &Group, endpoints: Vec<Endpoint>, meta: &ObjectMeta) -> EndpointSlice {
    EndpointSlice {
        metadata: ObjectMeta { annotations: annotations(meta), ..meta.clone() },
        address_type: group.0.to_owned(),
        endpoints: Some(endpoints),
        ports: Some(ports(&group.1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(port: i32) -> Group {
        ("IPv4", vec![Port { name: "http".to_owned(), protocol: "TCP".to_owned(), number: port, app_protocol: None }])
    }

    fn wanted(addresses: impl Iterator<Item = usize>) -> BTreeMap<Group, Endpoints> {
        let endpoint = |n| Endpoint { addresses: vec![format!("10.0.{}.{}", n / 256, n % 256)], ..Endpoint::default() };
        let endpoints = addresses.map(endpoint).map(|endpoint| (identity(&endpoint), endpoint)).collect();
        BTreeMap::from([(group(80), endpoints)])
    }

    /// Applies changes as a server would; how many slices were created, updated and deleted.
    fn apply(existing: &mut Vec<Arc<EndpointSlice>>, wanted: BTreeMap<Group, Endpoints>) -> (usize, usize, usize) {
        let changes = changes(existing, wanted, &ObjectMeta::default(), ENDPOINTS_MAX);
        let counts = (changes.create.len(), changes.update.len(), changes.delete.len());
        let gone: Vec<_> = changes.delete.iter().map(|slice| slice.metadata.name.clone()).collect();
        let updated: Vec<_> = changes.update.iter().map(|slice| slice.metadata.name.clone()).collect();
        let stays = |name: &Option<String>| !gone.contains(name) && !updated.contains(name);
        existing.retain(|slice| stays(&slice.metadata.name));
        existing.extend(changes.update.into_iter().map(Arc::new));
        for (index, mut slice) in changes.create.into_iter().enumerate() {
            slice.metadata.name = Some(format!("s{}-{index}", existing.len()));
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
        assert_eq!(apply(&mut slices, wanted(0..251)), (0, 1, 0), "the one with room is filled");
        assert_eq!(apply(&mut slices, wanted(1..252)), (0, 1, 0), "one leaves and its place is taken");
        assert_eq!(apply(&mut slices, wanted(1..312)), (1, 0, 0), "none has room for so many");
        assert_eq!(sizes(&slices), [51, 60, 100, 100]);
        assert_eq!(apply(&mut slices, wanted(1..314)), (0, 1, 0));
        assert_eq!(sizes(&slices), [51, 62, 100, 100], "the fullest that takes them");
        assert_eq!(apply(&mut slices, wanted(1..20)), (0, 3, 1), "those that stay are not moved");
        assert_eq!(apply(&mut slices, wanted(0..0)), (0, 1, 2), "an empty slice says that there are none");
        assert_eq!(sizes(&slices), [0]);
        assert_eq!(apply(&mut slices, wanted(0..1)), (0, 1, 0));
        assert_eq!(apply(&mut slices, BTreeMap::new()), (0, 0, 1));
    }

    #[test]
    fn a_slice_that_is_not_needed_becomes_one_that_is() {
        let mut slices = Vec::new();
        apply(&mut slices, wanted(0..150));
        let others = wanted(0..150).into_values().map(|endpoints| (group(90), endpoints)).collect();
        assert_eq!(apply(&mut slices, others), (0, 2, 0), "other ports");
        assert!(slices.iter().all(|slice| slice.ports.as_ref().unwrap()[0].port == Some(90)));
        let none = BTreeMap::from([(("IPv4", Vec::new()), Endpoints::new())]);
        assert_eq!(apply(&mut slices, none), (0, 1, 1));
        let v6 = BTreeMap::from([(("IPv6", Vec::new()), Endpoints::new())]);
        assert_eq!(apply(&mut slices, v6), (1, 0, 1), "an address type never changes");
    }
}

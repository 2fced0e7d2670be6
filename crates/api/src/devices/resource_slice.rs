//! ResourceSlice: some of the devices that a driver has.

use super::{checks, device};
use crate::check::{self, Errors};
use crate::core::columns;
use crate::core::pod::scheduling;
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind, generation_of_spec};
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::resource::v1::{ResourceSlice, ResourceSliceSpec};
use k8s_openapi::jiff::Timestamp;

const DEVICES_MAX: usize = 128;
/// Where devices have taints, take from counters or have attributes that are lists.
const ADVANCED_DEVICES_MAX: usize = 64;
const COUNTER_SETS_MAX: usize = 8;
const ONE_OF: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";

impl Kind for ResourceSlice {
    const DEF: ResourceDef = ResourceDef {
        columns: &[
            Column::NAME,
            Column::text("Node").about("The node that has them."),
            Column::text("Driver").about("The driver that knows them."),
            Column::text("Pool").about("The pool that they are in."),
            Column::AGE,
        ],
        selectable: &["spec.nodeName", "spec.driver"],
        unattended: true,
        ..ResourceDef::new(
            "resource.k8s.io",
            "v1",
            "ResourceSlice",
            "resourceslices",
            "resourceslice",
            Scope::Cluster,
            "k8s.io.api.resource.v1.ResourceSlice",
        )
    };

    generation_of_spec!(ResourceSlice);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        spec(&mut errors, &FieldPath::new("spec"), &self.spec);
        errors
    }

    fn validate_update(&self, old: &ResourceSlice) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        let (new, old) = (&self.spec, &old.spec);
        check::immutable(&mut errors, path.child("pool").child("name"), &new.pool.name, &old.pool.name);
        check::immutable(&mut errors, path.child("driver"), &new.driver, &old.driver);
        check::immutable(&mut errors, path.child("nodeName"), &new.node_name, &old.node_name);
        errors
    }

    fn fields(&self) -> FieldValues {
        let node = self.spec.node_name.clone().unwrap_or_default();
        [("spec.nodeName", node), ("spec.driver", self.spec.driver.clone())].into_iter().collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::from(self.spec.node_name.as_deref().unwrap_or_default()),
            Cell::from(self.spec.driver.as_str()),
            Cell::from(self.spec.pool.name.as_str()),
            columns::created(&self.metadata, now),
        ]
    }
}

fn spec(errors: &mut Errors, path: &FieldPath, spec: &ResourceSliceSpec) {
    checks::driver(errors, &path.child("driver"), &spec.driver);
    let pool = path.child("pool");
    checks::pool(errors, &pool.child("name"), &spec.pool.name);
    if spec.pool.resource_slice_count <= 0 {
        let detail = "must be greater than zero";
        errors.push(FieldError::invalid(pool.child("resourceSliceCount"), &spec.pool.resource_slice_count, detail));
    }
    check::non_negative(errors, pool.child("generation"), Some(spec.pool.generation));
    nodes(errors, path, spec);
    let devices = spec.devices.as_deref().unwrap_or_default();
    let sets = spec.shared_counters.as_deref().unwrap_or_default();
    if spec.devices.is_some() && spec.shared_counters.is_some() {
        let detail = "only one of `sharedCounters` or `devices` is allowed";
        errors.push(FieldError::invalid(path.clone(), "", detail));
    }
    let advanced = devices.iter().any(|device| device.taints.is_some() || device.consumes_counters.is_some());
    let own = path.child("devices");
    checks::at_most(errors, &own, devices.len(), if advanced { ADVANCED_DEVICES_MAX } else { DEVICES_MAX });
    checks::unique(errors, &own, devices.iter().map(|device| device.name.as_str()));
    let chooses = spec.per_device_node_selection.unwrap_or_default();
    for (index, device) in devices.iter().enumerate() {
        device::device(errors, &own.index(index), device, chooses);
    }
    let own = path.child("sharedCounters");
    checks::at_most(errors, &own, sets.len(), COUNTER_SETS_MAX);
    checks::unique(errors, &own, sets.iter().map(|set| set.name.as_str()));
    for (index, set) in sets.iter().enumerate() {
        device::counter_set(errors, &own.index(index), set);
    }
}

/// Exactly one way to say which nodes have the devices.
fn nodes(errors: &mut Errors, path: &FieldPath, spec: &ResourceSliceSpec) {
    let mut set = Vec::new();
    match spec.node_name.as_deref() {
        None => {}
        Some("") => {
            let detail = "must be either unset or set to a non-empty string";
            errors.push(FieldError::invalid(path.child("nodeName"), "", detail));
        }
        Some(name) => {
            set.push("`nodeName`");
            check::dns1123_subdomain(errors, &path.child("nodeName"), name);
        }
    }
    if let Some(selector) = &spec.node_selector {
        set.push("`nodeSelector`");
        let path = path.child("nodeSelector");
        scheduling::node_selector(errors, &path, selector);
        if selector.node_selector_terms.len() != 1 {
            let detail = "must have exactly one node selector term";
            let terms = &selector.node_selector_terms;
            errors.push(FieldError::invalid(path.child("nodeSelectorTerms"), terms, detail));
        }
    }
    for (field, name, value) in [
        ("allNodes", "`allNodes`", spec.all_nodes),
        ("perDeviceNodeSelection", "`perDeviceNodeSelection`", spec.per_device_node_selection),
    ] {
        match value {
            Some(true) => set.push(name),
            Some(false) => {
                let detail = "must be either unset or set to true";
                errors.push(FieldError::invalid(path.child(field), &false, detail));
            }
            None => {}
        }
    }
    match set.len() {
        0 => errors.push(FieldError::required(path.clone(), ONE_OF)),
        1 => {}
        _ => {
            let detail = format!("{ONE_OF}, but multiple fields are set");
            errors.push(FieldError::invalid(path.clone(), &format!("{{{}}}", set.join(", ")), detail));
        }
    }
}

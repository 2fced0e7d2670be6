//! CSIDriver: how a storage driver wants to be called.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::storage::v1::{CSIDriver, TokenRequest};
use k8s_openapi::jiff::Timestamp;

const PERIOD_SECONDS_MIN: i64 = 10;
const TOKEN_SECONDS_MIN: i64 = 10 * 60;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;

impl Kind for CSIDriver {
    const DEF: ResourceDef = ResourceDef {
        unconditional_update: false,
        columns: &[
            Column::NAME,
            Column::boolean("AttachRequired").about("Whether its volumes are attached to nodes first."),
            Column::boolean("PodInfoOnMount").about("Whether it is told of the pod."),
            Column::boolean("StorageCapacity").about("Whether it says how much room it has."),
            Column::text("TokenRequests").about("The tokens that it wants."),
            Column::boolean("RequiresRepublish").about("Whether it wants to be called again and again."),
            Column::text("Modes").about("The lives that its volumes may have."),
            Column::AGE,
        ],
        unattended: true,
        ..ResourceDef::new(
            "storage.k8s.io",
            "v1",
            "CSIDriver",
            "csidrivers",
            "csidriver",
            Scope::Cluster,
            "k8s.io.api.storage.v1.CSIDriver",
        )
    };

    fn defaults(&mut self) {
        let spec = &mut self.spec;
        spec.attach_required.get_or_insert(true);
        spec.pod_info_on_mount.get_or_insert(false);
        spec.storage_capacity.get_or_insert(false);
        spec.fs_group_policy.get_or_insert_with(|| "ReadWriteOnceWithFSType".to_owned());
        if spec.volume_lifecycle_modes.as_ref().is_none_or(Vec::is_empty) {
            spec.volume_lifecycle_modes = Some(vec!["Persistent".to_owned()]);
        }
        spec.requires_republish.get_or_insert(false);
        spec.se_linux_mount.get_or_insert(false);
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (path, spec) = (FieldPath::new("spec"), &self.spec);
        let policies = &["File", "None", "ReadWriteOnceWithFSType"];
        let policy = spec.fs_group_policy.as_deref();
        check::supported_if_set(&mut errors, &path.child("fsGroupPolicy"), policy, policies);
        let requests = spec.token_requests.as_deref().unwrap_or_default();
        token_requests(&mut errors, &path.child("tokenRequests"), requests);
        for mode in spec.volume_lifecycle_modes.iter().flatten() {
            let modes = &["Persistent", "Ephemeral"];
            check::supported_if_set(&mut errors, &path.child("volumeLifecycleModes"), Some(mode), modes);
        }
        if let Some(period) = spec.node_allocatable_update_period_seconds.filter(|period| *period < PERIOD_SECONDS_MIN)
        {
            let detail = "must be greater than or equal to 10 seconds";
            errors.push(FieldError::invalid(path.child("nodeAllocatableUpdatePeriodSeconds"), &period, detail));
        }
        errors
    }

    fn validate_update(&self, old: &CSIDriver) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let (path, spec, old) = (FieldPath::new("spec"), &self.spec, &old.spec);
        // Upstream's path has a letter more than the field.
        check::immutable(&mut errors, path.child("attachedRequired"), &spec.attach_required, &old.attach_required);
        let (modes, before) = (&spec.volume_lifecycle_modes, &old.volume_lifecycle_modes);
        check::immutable(&mut errors, path.child("volumeLifecycleModes"), modes, before);
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &CSIDriver) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let spec = &self.spec;
        let requests: Vec<&str> = spec.token_requests.iter().flatten().map(|own| own.audience.as_str()).collect();
        let requests = requests.join(",");
        let truth = |value: Option<bool>| Cell::Text(value.unwrap_or_default().to_string());
        vec![
            columns::name(&self.metadata),
            Cell::Text(spec.attach_required.unwrap_or(true).to_string()),
            truth(spec.pod_info_on_mount),
            truth(spec.storage_capacity),
            Cell::from(if requests.is_empty() { "<unset>" } else { &requests }),
            truth(spec.requires_republish),
            Cell::Text(spec.volume_lifecycle_modes.as_deref().unwrap_or_default().join(",")),
            columns::created(&self.metadata, now),
        ]
    }
}

/// Tokens for different audiences, that last long enough to be used.
fn token_requests(errors: &mut Errors, path: &FieldPath, requests: &[TokenRequest]) {
    for (index, request) in requests.iter().enumerate() {
        let path = path.index(index);
        if requests[..index].iter().any(|other| other.audience == request.audience) {
            errors.push(FieldError::duplicate(path.child("audience"), &request.audience));
            continue;
        }
        let Some(seconds) = request.expiration_seconds else { continue };
        let detail = match seconds {
            ..TOKEN_SECONDS_MIN => "may not specify a duration less than 10 minutes",
            TOKEN_SECONDS_MIN..=TOKEN_SECONDS_MAX => continue,
            _ => "may not specify a duration larger than 2^32 seconds",
        };
        errors.push(FieldError::invalid(path.child("expirationSeconds"), &seconds, detail));
    }
}

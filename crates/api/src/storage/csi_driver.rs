//! CSIDriver: how a storage driver wants to be called.

use crate::check;
use crate::core::columns;
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::storage::v1::CSIDriver;
use k8s_openapi::jiff::Timestamp;

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

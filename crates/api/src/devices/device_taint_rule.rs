//! DeviceTaintRule: keeps claims off devices that it selects.

use super::checks;
use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, generation_of_spec, status_apart};
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::resource::v1::DeviceTaintRule;

impl Kind for DeviceTaintRule {
    const DEF: ResourceDef = ResourceDef {
        subresources: &[Subresource::Status],
        unattended: true,
        ..ResourceDef::new(
            "resource.k8s.io",
            "v1",
            "DeviceTaintRule",
            "devicetaintrules",
            "devicetaintrule",
            Scope::Cluster,
            "k8s.io.api.resource.v1.DeviceTaintRule",
        )
    };

    fn defaults(&mut self) {
        self.status.get_or_insert_default();
    }

    status_apart!(DeviceTaintRule);
    generation_of_spec!(DeviceTaintRule);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("spec");
        if let Some(selector) = &self.spec.device_selector {
            let path = path.child("deviceSelector");
            if let Some(driver) = &selector.driver {
                checks::driver(&mut errors, &path.child("driver"), driver);
            }
            if let Some(pool) = &selector.pool {
                checks::pool(&mut errors, &path.child("pool"), pool);
            }
            if let Some(device) = &selector.device {
                check::dns1123_label(&mut errors, &path.child("device"), device);
            }
        }
        checks::taint(&mut errors, &path.child("taint"), &self.spec.taint);
        errors
    }
}

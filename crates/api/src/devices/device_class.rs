//! DeviceClass: a sort of device that can be asked for by its name.

use super::checks::{self, LIST_MAX};
use super::requests;
use crate::check::Errors;
use crate::core::resources;
use crate::field::{FieldError, FieldPath};
use crate::kind::{Kind, generation_of_spec};
use crate::resource::{ResourceDef, Scope};
use k8s_openapi::api::resource::v1::DeviceClass;

impl Kind for DeviceClass {
    const DEF: ResourceDef = ResourceDef {
        unattended: true,
        ..ResourceDef::new(
            "resource.k8s.io",
            "v1",
            "DeviceClass",
            "deviceclasses",
            "deviceclass",
            Scope::Cluster,
            "k8s.io.api.resource.v1.DeviceClass",
        )
    };

    fn defaults(&mut self) {
        self.spec.get_or_insert_default();
    }

    generation_of_spec!(DeviceClass);

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let spec = self.spec.clone().unwrap_or_default();
        let path = FieldPath::new("spec");
        requests::selectors(&mut errors, &path.child("selectors"), spec.selectors.as_deref().unwrap_or_default());
        let settings = spec.config.as_deref().unwrap_or_default();
        checks::at_most(&mut errors, &path.child("config"), settings.len(), LIST_MAX);
        for (index, setting) in settings.iter().enumerate() {
            checks::opaque(&mut errors, &path.child("config").index(index), setting.opaque.as_ref());
        }
        if let Some(name) = spec.extended_resource_name.filter(|name| !resources::is_extended(name)) {
            let detail = "must be a valid extended resource name";
            errors.push(FieldError::invalid(path.child("extendedResourceName"), &name, detail));
        }
        errors
    }
}

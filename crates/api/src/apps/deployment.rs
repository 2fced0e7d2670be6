//! Deployment: replicas of a template, changed by rolling updates.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::apps::v1::Deployment;

impl Kind for Deployment {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["deploy"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Scale],
        ..ResourceDef::new(
            "apps",
            "v1",
            "Deployment",
            "deployments",
            "deployment",
            Scope::Namespaced,
            "k8s.io.api.apps.v1.Deployment",
        )
    };
}

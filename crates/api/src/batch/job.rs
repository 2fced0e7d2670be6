//! Job: runs pods until enough of them finish.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::batch::v1::Job;

impl Kind for Job {
    const DEF: ResourceDef = ResourceDef {
        categories: &["all"],
        subresources: &[Subresource::Status],
        unattended: true,
        ..ResourceDef::new(
            "batch",
            "v1",
            "Job",
            "jobs",
            "job",
            Scope::Namespaced,
            "k8s.io.api.batch.v1.Job",
        )
    };
}

//! CronJob: a job by the clock.

use crate::kind::Kind;
use crate::resource::{ResourceDef, Scope, Subresource};
use k8s_openapi::api::batch::v1::CronJob;

impl Kind for CronJob {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["cj"],
        categories: &["all"],
        subresources: &[Subresource::Status],
        unattended: true,
        ..ResourceDef::new(
            "batch",
            "v1",
            "CronJob",
            "cronjobs",
            "cronjob",
            Scope::Namespaced,
            "k8s.io.api.batch.v1.CronJob",
        )
    };
}

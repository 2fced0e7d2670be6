//! PodTemplate: a pod template kept by itself.

use super::pod;
use crate::check::Errors;
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::api::core::v1::PodTemplate;
use k8s_openapi::jiff::Timestamp;

impl Kind for PodTemplate {
    const DEF: ResourceDef = ResourceDef {
        columns: &[
            Column::NAME,
            Column::text("Containers").about("The names of its containers."),
            Column::text("Images").about("The images of its containers."),
            Column::text("Pod Labels").about("The labels of its pods."),
        ],
        ..ResourceDef::new(
            "",
            "v1",
            "PodTemplate",
            "podtemplates",
            "podtemplate",
            Scope::Namespaced,
            "k8s.io.api.core.v1.PodTemplate",
        )
    };

    fn defaults(&mut self) {
        pod::defaults::template(self.template.get_or_insert_default());
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let template = self.template.clone().unwrap_or_default();
        pod::validate::template(&mut errors, &FieldPath::new("template"), &template);
        errors
    }

    fn row(&self, _now: Timestamp) -> Vec<Cell> {
        let [names, images] = columns::containers(self.template.as_ref());
        let meta = self.template.as_ref().and_then(|template| template.metadata.as_ref());
        vec![columns::name(&self.metadata), names, images, columns::labels(meta.and_then(|meta| meta.labels.as_ref()))]
    }
}

//! ExtendedResourceToleration: who asks for a device tolerates the taint that keeps others off its nodes.

use super::{Plugin, Sources, writes_pod};
use api::core::resources::is_extended;
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};
use registry::Attempt;
use std::collections::BTreeSet;

pub(in crate::admission) fn make(_: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(ExtendedResources)
}

struct ExtendedResources;

fn tolerate(spec: &mut PodSpec) {
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let requests = containers.filter_map(|container| container.resources.as_ref()?.requests.as_ref());
    let devices: BTreeSet<String> =
        requests.flat_map(|own| own.keys()).filter(|name| is_extended(name)).cloned().collect();
    for device in devices {
        let wanted = Toleration {
            key: Some(device),
            operator: Some("Exists".to_owned()),
            effect: Some("NoSchedule".to_owned()),
            ..Toleration::default()
        };
        let tolerations = spec.tolerations.get_or_insert_default();
        let is_same = |own: &Toleration| {
            (&own.key, &own.operator, &own.effect) == (&wanted.key, &wanted.operator, &wanted.effect)
                && own.value.as_deref().is_none_or(str::is_empty)
        };
        match tolerations.iter_mut().find(|own| is_same(own)) {
            Some(own) => *own = wanted,
            None => tolerations.push(wanted),
        }
    }
}

#[async_trait]
impl Plugin for ExtendedResources {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        writes_pod(attempt)
    }

    async fn mutate(
        &self,
        _attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if let Some(spec) = object.downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut()) {
            tolerate(spec);
        }
        Ok(())
    }
}

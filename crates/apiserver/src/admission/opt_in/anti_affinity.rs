//! LimitPodHardAntiAffinityTopology: pods may keep others off their node, and off nothing larger.

use super::{Plugin, Sources, refused, writes_pod};
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use registry::Attempt;

const HOSTNAME: &str = "kubernetes.io/hostname";

pub(in crate::admission) fn make(_: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(AntiAffinity)
}

struct AntiAffinity;

#[async_trait]
impl Plugin for AntiAffinity {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        writes_pod(attempt)
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let affinity = object.and_then(|object| object.downcast::<Pod>()).and_then(|pod| pod.spec.as_ref());
        let anti = affinity.and_then(|spec| spec.affinity.as_ref()?.pod_anti_affinity.as_ref());
        let terms = anti.and_then(|anti| anti.required_during_scheduling_ignored_during_execution.as_deref());
        match terms.unwrap_or_default().iter().find(|term| term.topology_key != HOSTNAME) {
            None => Ok(()),
            Some(term) => {
                let key = &term.topology_key;
                let why = format!(
                    "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key {HOSTNAME} \
                     is allowed"
                );
                Err(refused(attempt, object, &why))
            }
        }
    }
}

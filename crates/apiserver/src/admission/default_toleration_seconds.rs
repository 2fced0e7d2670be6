//! Pods stay a while on a node that is not ready or not reachable, upstream's five minutes by default, unless they say
//! otherwise.

use super::{Plugin, Sources, is};
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Toleration};
use registry::{Attempt, Operation};

const NO_EXECUTE: &str = "NoExecute";
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(DefaultTolerationSeconds { seconds: sources.settings.eviction_after_seconds })
}

struct DefaultTolerationSeconds {
    seconds: i64,
}

/// Whether it speaks of such evictions already, for whatever time; no key means every taint, no effect every effect.
fn speaks_of(toleration: &Toleration, taint: &str) -> bool {
    let key = toleration.key.as_deref().unwrap_or_default();
    let effect = toleration.effect.as_deref().unwrap_or_default();
    (key.is_empty() || key == taint) && (effect.is_empty() || effect == NO_EXECUTE)
}

pub(crate) fn tolerate(spec: &mut PodSpec, seconds: i64) {
    for taint in TAINTS {
        let tolerations = spec.tolerations.get_or_insert_default();
        if !tolerations.iter().any(|toleration| speaks_of(toleration, taint)) {
            tolerations.push(Toleration {
                key: Some(taint.to_owned()),
                operator: Some("Exists".to_owned()),
                effect: Some(NO_EXECUTE.to_owned()),
                toleration_seconds: Some(seconds),
                value: None,
            });
        }
    }
}

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        is::<Pod>(attempt) && attempt.subresource.is_none() && attempt.operation != Operation::Delete
    }

    async fn mutate(
        &self,
        _attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        if let Some(spec) = object.downcast_mut::<Pod>().and_then(|pod| pod.spec.as_mut()) {
            tolerate(spec, self.seconds);
        }
        Ok(())
    }
}

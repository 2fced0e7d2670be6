//! DefaultBinder: tells the API which node a pod goes to.

use crate::plugin::{Binding, Plugin};
use crate::pod::PodInfo;
use api::Subresource;
use client::Client;
use k8s_openapi::api::core::v1::{Binding as BindingObject, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Status};
use std::sync::Arc;

pub(super) struct DefaultBinder;

impl Plugin for DefaultBinder {
    type State = ();
    const NAME: &'static str = "DefaultBinder";
    const LOCAL: bool = true;

    fn bind(&self, client: &Client, pod: &Arc<PodInfo>, node: &str) -> Option<Binding> {
        let (client, pod) = (client.clone(), pod.clone());
        let binding = BindingObject {
            metadata: ObjectMeta {
                namespace: Some(pod.pod.namespace().to_owned()),
                name: Some(pod.pod.name().to_owned()),
                // The pod that was looked at, not one of the same name since.
                uid: Some(pod.pod.uid.to_string()),
                ..ObjectMeta::default()
            },
            target: ObjectReference {
                kind: Some("Node".to_owned()),
                name: Some(node.to_owned()),
                ..ObjectReference::default()
            },
        };
        Some(Box::pin(async move {
            let (namespace, name) = (pod.pod.namespace(), pod.pod.name());
            let answer: Result<Status, api::Status> =
                client.create_subresource::<Pod, _, _>(namespace, name, Subresource::Binding, &binding).await;
            answer.map(drop)
        }))
    }
}

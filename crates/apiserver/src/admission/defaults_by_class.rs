//! Claims and ingresses that name no class get the default one, the newest of several.

use super::{Plugin, Sources, is, refused};
use api::{Kind, Object, Status};
use async_trait::async_trait;
use client::Cache;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use k8s_openapi::api::storage::v1::StorageClass;
use registry::{Attempt, Operation};
use std::sync::Arc;

const STORAGE: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
const INGRESS: [&str; 1] = ["ingressclass.kubernetes.io/is-default-class"];
/// How ingresses named their class before there was a field.
const OLD_INGRESS_CLASS: &str = "kubernetes.io/ingress.class";

pub(crate) fn storage(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(DefaultStorageClass { classes: sources.client.cache() })
}

pub(crate) fn ingress(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(DefaultIngressClass { classes: sources.client.cache() })
}

fn marked<K: Kind>(classes: &Cache<K>, annotations: &[&str]) -> Vec<Arc<K>> {
    let is_default = |class: &Arc<K>| {
        let own = class.metadata().annotations.as_ref();
        annotations.iter().any(|key| own.and_then(|own| own.get(*key)).is_some_and(|value| value == "true"))
    };
    classes.list().into_iter().filter(is_default).collect()
}

/// The newest; of the same second the first by name.
fn newest<K: Kind>(classes: &[Arc<K>]) -> Option<String> {
    let best = classes.iter().min_by_key(|class| {
        let meta = class.metadata();
        (std::cmp::Reverse(meta.creation_timestamp.as_ref().map(|time| time.0)), meta.name.clone())
    });
    best.and_then(|class| class.metadata().name.clone())
}

struct DefaultStorageClass {
    classes: Cache<StorageClass>,
}

#[async_trait]
impl Plugin for DefaultStorageClass {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.operation == Operation::Create && attempt.subresource.is_none() && is::<PersistentVolumeClaim>(attempt)
    }

    async fn mutate(
        &self,
        _attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(claim) = object.downcast_mut::<PersistentVolumeClaim>() else { return Ok(()) };
        // The old annotation and an empty name both speak of the class: that there is to be none.
        let old = claim.metadata.annotations.as_ref();
        let named = old.is_some_and(|old| old.contains_key("volume.beta.kubernetes.io/storage-class"));
        if let Some(spec) = claim.spec.as_mut().filter(|spec| spec.storage_class_name.is_none() && !named) {
            spec.storage_class_name = newest(&marked(&self.classes, &STORAGE));
        }
        Ok(())
    }
}

struct DefaultIngressClass {
    classes: Cache<IngressClass>,
}

#[async_trait]
impl Plugin for DefaultIngressClass {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        attempt.operation == Operation::Create && attempt.subresource.is_none() && is::<Ingress>(attempt)
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(ingress) = object.downcast_mut::<Ingress>() else { return Ok(()) };
        let named = ingress.spec.as_ref().is_some_and(|spec| spec.ingress_class_name.is_some())
            || ingress.metadata.annotations.as_ref().is_some_and(|own| own.contains_key(OLD_INGRESS_CLASS));
        if named {
            return Ok(());
        }
        let classes = marked(&self.classes, &INGRESS);
        if classes.len() > 1 {
            let count = classes.len();
            let why = format!("{count} default IngressClasses were found, only 1 allowed");
            return Err(refused(attempt, Some(object.as_ref()), &why));
        }
        if let Some(spec) = object.downcast_mut::<Ingress>().and_then(|ingress| ingress.spec.as_mut()) {
            spec.ingress_class_name = newest(&classes);
        }
        Ok(())
    }
}

//! A namespace's own life: deleted, it stays as `Terminating` until its content is gone and its finalizers with it.

use api::Object;
use k8s_openapi::api::core::v1::Namespace;
use registry::Hook;

pub(crate) struct NamespaceLife;

impl Hook for NamespaceLife {
    fn mark_deleted(&self, object: &mut dyn Object) {
        if let Some(namespace) = object.downcast_mut::<Namespace>() {
            namespace.status.get_or_insert_default().phase = Some("Terminating".to_owned());
        }
    }

    fn holds(&self, object: &dyn Object) -> bool {
        let spec = object.downcast::<Namespace>().and_then(|namespace| namespace.spec.as_ref());
        spec.and_then(|spec| spec.finalizers.as_ref()).is_some_and(|finalizers| !finalizers.is_empty())
    }
}

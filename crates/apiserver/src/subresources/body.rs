//! Subresources that share their object's body: which of the client's fields each takes over.
//!
//! Invariant: what a subresource does not name stays as it was, whatever the client sent.

use api::{Kind, Object, Status, Subresource};
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::api::core::v1::Namespace;
use registry::{Part, Pick};

/// What part of the object a write to the subresource touches, and for `Part::Given` how it is picked.
pub(crate) fn part(subresource: Option<Subresource>) -> (Part, Pick<'static>) {
    match subresource {
        None => (Part::Object, &whole),
        Some(Subresource::EphemeralContainers) => {
            (Part::Given, &|old, new| as_the_kind_picks(Subresource::EphemeralContainers, old, new))
        }
        Some(Subresource::Resize) => (Part::Given, &|old, new| as_the_kind_picks(Subresource::Resize, old, new)),
        Some(Subresource::Approval) => (Part::Given, &approval),
        Some(Subresource::Finalize) => (Part::Given, &finalize),
        Some(_) => (Part::Status, &whole),
    }
}

type Picked = Result<Box<dyn Object>, Status>;

fn whole(_old: &dyn Object, new: Box<dyn Object>) -> Picked {
    Ok(new)
}

/// A copy of the old object that still claims the revision the client named.
fn start<K: Kind>(old: &dyn Object, new: &dyn Object) -> Result<(K, K), Status> {
    let wrong = || Status::internal("a subresource was given an object of another kind");
    let mut result: K = old.downcast::<K>().cloned().ok_or_else(wrong)?;
    let new: K = new.downcast::<K>().cloned().ok_or_else(wrong)?;
    result.metadata_mut().resource_version.clone_from(&new.metadata().resource_version);
    result.metadata_mut().uid.clone_from(&new.metadata().uid);
    Ok((result, new))
}

/// What the kind takes over, on the old object's metadata.
fn as_the_kind_picks(subresource: Subresource, old: &dyn Object, mut new: Box<dyn Object>) -> Picked {
    new.prepare_subresource(subresource, old);
    let named = std::mem::replace(new.meta_mut(), old.meta().clone());
    let meta = new.meta_mut();
    (meta.resource_version, meta.uid) = (named.resource_version, named.uid);
    Ok(new)
}

fn approval(old: &dyn Object, new: Box<dyn Object>) -> Picked {
    let (mut request, new): (CertificateSigningRequest, CertificateSigningRequest) = start(old, new.as_ref())?;
    let decides = |condition: &CertificateSigningRequestCondition| matches!(&*condition.type_, "Approved" | "Denied");
    let wanted = new.status.and_then(|status| status.conditions).unwrap_or_default();
    let status = request.status.get_or_insert_default();
    let mut conditions = status.conditions.take().unwrap_or_default();
    conditions.retain(|condition| !decides(condition));
    conditions.extend(wanted.into_iter().filter(decides));
    status.conditions = (!conditions.is_empty()).then_some(conditions);
    Ok(Box::new(request))
}

fn finalize(old: &dyn Object, new: Box<dyn Object>) -> Picked {
    let (mut namespace, new): (Namespace, Namespace) = start(old, new.as_ref())?;
    namespace.spec.get_or_insert_default().finalizers = new.spec.and_then(|spec| spec.finalizers);
    Ok(Box::new(namespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_subresource_takes_its_own_fields_only() {
        let container = |name: &str| json!({"name": name, "image": "i"});
        let old = pod(json!({"metadata": {"name": "p", "labels": {"a": "1"}},
            "spec": {"containers": [container("a")]}}));
        let new = pod(json!({"metadata": {"name": "p", "labels": {"a": "2"}, "resourceVersion": "7"},
            "spec": {"nodeName": "n", "containers": [container("b")], "ephemeralContainers": [container("d")]}}));
        let (_, pick) = part(Some(Subresource::EphemeralContainers));
        let picked = pick(&old, Box::new(new)).unwrap();
        let picked = picked.downcast::<Pod>().unwrap();
        assert_eq!(picked.metadata.labels, old.metadata.labels);
        assert_eq!(picked.metadata.resource_version.as_deref(), Some("7"));
        let spec = picked.spec.as_ref().unwrap();
        assert_eq!(spec.containers[0].name, "a");
        assert_eq!(spec.node_name, None);
        assert_eq!(spec.ephemeral_containers.as_ref().unwrap()[0].name, "d");
    }

    #[test]
    fn approval_keeps_what_the_signer_said() {
        let request = |conditions: &[&str]| -> CertificateSigningRequest {
            let conditions: Vec<_> = conditions.iter().map(|name| json!({"type": name, "status": "True"})).collect();
            serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": {"request": "", "signerName": "s"},
                "status": {"conditions": conditions}}))
            .unwrap()
        };
        let picked = approval(&request(&["Failed"]), Box::new(request(&["Approved", "Forged"]))).unwrap();
        let status = picked.downcast::<CertificateSigningRequest>().unwrap().status.clone().unwrap();
        let types: Vec<String> = status.conditions.unwrap().into_iter().map(|condition| condition.type_).collect();
        assert_eq!(types, ["Failed", "Approved"]);
    }
}

//! Subresources that share their object's body: which of the client's fields each takes over.
//!
//! Invariant: what a subresource does not name stays as it was, whatever the client sent.

use api::field::{FieldError, FieldPath};
use api::{Kind, Object, Status, Subresource};
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestCondition};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use registry::{Part, Pick};

/// What part of the object a write to the subresource touches, and for `Part::Given` how it is picked.
pub(crate) fn part(subresource: Option<Subresource>) -> (Part, Pick<'static>) {
    match subresource {
        None => (Part::Object, &whole),
        Some(Subresource::EphemeralContainers) => (Part::Given, &ephemeral_containers),
        Some(Subresource::Resize) => (Part::Given, &resize),
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

fn ephemeral_containers(old: &dyn Object, new: Box<dyn Object>) -> Picked {
    let (mut pod, new): (Pod, Pod) = start(old, new.as_ref())?;
    let wanted = new.spec.and_then(|spec| spec.ephemeral_containers).unwrap_or_default();
    let present = pod.spec.as_ref().and_then(|spec| spec.ephemeral_containers.clone()).unwrap_or_default();
    let path = FieldPath::new("spec").child("ephemeralContainers");
    let mut errors = Vec::new();
    for own in &present {
        match wanted.iter().find(|container| container.name == own.name) {
            None => errors.push(FieldError::forbidden(
                path.clone(),
                format!("existing ephemeral containers {:?} may not be removed", own.name),
            )),
            Some(container) if container != own => errors.push(FieldError::forbidden(
                path.clone(),
                format!("existing ephemeral containers {:?} may not be changed", own.name),
            )),
            Some(_) => {}
        }
    }
    if !errors.is_empty() {
        return Err(Status::invalid(&Pod::DEF, pod.metadata.name.as_deref().unwrap_or_default(), &errors));
    }
    if let Some(spec) = &mut pod.spec {
        spec.ephemeral_containers = (!wanted.is_empty()).then_some(wanted);
    }
    Ok(Box::new(pod))
}

fn resize(old: &dyn Object, new: Box<dyn Object>) -> Picked {
    let (mut pod, new): (Pod, Pod) = start(old, new.as_ref())?;
    let Some(wanted) = new.spec else { return Ok(Box::new(pod)) };
    if let Some(spec) = &mut pod.spec {
        for own in &mut spec.containers {
            if let Some(container) = wanted.containers.iter().find(|container| container.name == own.name) {
                own.resources.clone_from(&container.resources);
                own.resize_policy.clone_from(&container.resize_policy);
            }
        }
        spec.resources = wanted.resources;
    }
    Ok(Box::new(pod))
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
        let picked = ephemeral_containers(&old, Box::new(new)).unwrap();
        let picked = picked.downcast::<Pod>().unwrap();
        assert_eq!(picked.metadata.labels, old.metadata.labels);
        assert_eq!(picked.metadata.resource_version.as_deref(), Some("7"));
        let spec = picked.spec.as_ref().unwrap();
        assert_eq!(spec.containers[0].name, "a");
        assert_eq!(spec.node_name, None);
        assert_eq!(spec.ephemeral_containers.as_ref().unwrap()[0].name, "d");
        let none = pod(json!({"metadata": {"name": "p"}, "spec": {"containers": [container("a")]}}));
        let status = ephemeral_containers(picked, Box::new(none)).unwrap_err();
        assert_eq!(status.code, 422);
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

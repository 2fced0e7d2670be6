//! Annotations of pods and templates that mean something, and whether they agree with the fields that replaced them.

use super::volumes::local_path;
use crate::check::Errors;
use crate::field::{FieldError, FieldPath};
use k8s_openapi::api::core::v1::{Pod, PodSpec, SecurityContext};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;

/// Marks the API's copy of a pod that a node was given by file.
pub(super) const MIRROR: &str = "kubernetes.io/config.mirror";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_OF_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_OF_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const LOCAL: &str = "localhost/";

type Annotations = BTreeMap<String, String>;

/// The containers of all three sorts, by where they stand.
pub(super) fn containers<'a>(
    path: &'a FieldPath,
    spec: &'a PodSpec,
) -> impl Iterator<Item = (FieldPath, &'a str, Option<&'a SecurityContext>)> {
    let plain =
        [("initContainers", spec.init_containers.as_deref().unwrap_or_default()), ("containers", &spec.containers)];
    let plain = plain.into_iter().flat_map(move |(field, list)| {
        let numbered = list.iter().enumerate();
        numbered
            .map(move |(index, own)| (path.child(field).index(index), own.name.as_str(), own.security_context.as_ref()))
    });
    let ephemeral = spec.ephemeral_containers.iter().flatten().enumerate().map(|(index, own)| {
        (path.child("ephemeralContainers").index(index), own.name.as_str(), own.security_context.as_ref())
    });
    plain.chain(ephemeral)
}

/// What each says by itself; `path` is that of the annotations.
pub(super) fn validate(errors: &mut Errors, path: &FieldPath, meta: &ObjectMeta, spec: &PodSpec, real_pod: bool) {
    let Some(annotations) = &meta.annotations else { return };
    if let Some(value) = annotations.get(MIRROR).filter(|_| real_pod)
        && spec.node_name.as_deref().unwrap_or_default().is_empty()
    {
        let detail = "must set spec.nodeName if mirror pod annotation is set";
        errors.push(FieldError::invalid(path.key(MIRROR), value, detail));
    }
    if let Some(value) = annotations.get(DELETION_COST).filter(|value| value.parse::<i32>().is_err()) {
        errors.push(FieldError::invalid(path.key(DELETION_COST), value, "must be a 32bit integer"));
    }
    for (key, profile) in annotations {
        if key == SECCOMP_OF_POD || key.starts_with(SECCOMP_OF_CONTAINER) {
            seccomp(errors, &path.child(key), profile);
        }
        if let Some(container) = key.strip_prefix(APP_ARMOR) {
            let path = path.key(key);
            if !containers(&FieldPath::default(), spec).any(|(_, name, _)| name == container) {
                errors.push(FieldError::invalid(path.clone(), container, "container not found"));
            }
            if !matches!(profile.as_str(), "" | "runtime/default" | "unconfined") && !profile.starts_with(LOCAL) {
                let detail = format!("invalid AppArmor profile name: {profile:?}");
                errors.push(FieldError::invalid(path, profile, detail));
            }
        }
    }
}

fn seccomp(errors: &mut Errors, path: &FieldPath, profile: &str) {
    match profile.strip_prefix(LOCAL) {
        Some(file) => local_path(errors, path, file),
        None if matches!(profile, "runtime/default" | "docker/default" | "unconfined") => {}
        None => errors.push(FieldError::invalid(path.clone(), profile, "must be a valid seccomp profile")),
    }
}

/// That a new pod or template does not say one thing by annotation and another by field; `path` is that of the spec.
pub(super) fn agree(errors: &mut Errors, path: &FieldPath, meta: &ObjectMeta, spec: &PodSpec) {
    let Some(annotations) = &meta.annotations else { return };
    seccomp_agrees(errors, path, annotations, spec);
    if spec.os.as_ref().is_some_and(|os| os.name == "windows") {
        return;
    }
    let of_pod = spec.security_context.as_ref().and_then(|context| context.app_armor_profile.as_ref());
    for (path, name, context) in containers(path, spec) {
        let own = context.and_then(|context| context.app_armor_profile.as_ref()).or(of_pod);
        let (Some(own), Some(said)) = (own, annotations.get(&format!("{APP_ARMOR}{name}"))) else { continue };
        let path = path.child("securityContext").child("appArmorProfile");
        same(errors, &path, "apparmor", said, (&own.type_, own.localhost_profile.as_deref()));
    }
}

fn seccomp_agrees(errors: &mut Errors, path: &FieldPath, annotations: &Annotations, spec: &PodSpec) {
    let of_pod = spec.security_context.as_ref().and_then(|context| context.seccomp_profile.as_ref());
    let of_pod = of_pod.zip(annotations.get(SECCOMP_OF_POD)).map(|(own, said)| (path.clone(), own, said));
    let of_containers = containers(path, spec).filter_map(|(path, name, context)| {
        let own = context?.seccomp_profile.as_ref()?;
        Some((path, own, annotations.get(&format!("{SECCOMP_OF_CONTAINER}{name}"))?))
    });
    for (path, own, said) in of_pod.into_iter().chain(of_containers) {
        let path = path.child("securityContext").child("seccompProfile");
        same(errors, &path, "seccomp", said, (&own.type_, own.localhost_profile.as_deref()));
    }
}

fn same(errors: &mut Errors, path: &FieldPath, what: &str, said: &str, (own, file): (&str, Option<&str>)) {
    let agrees = match own {
        "Unconfined" => said == "unconfined",
        "RuntimeDefault" => said == "runtime/default" || (what == "seccomp" && said == "docker/default"),
        "Localhost" => said.starts_with(LOCAL),
        _ => return,
    };
    if !agrees {
        let detail = format!("{what} type in annotation and field must match");
        errors.push(FieldError::forbidden(path.child("type"), detail));
    } else if own == "Localhost" && said.strip_prefix(LOCAL) != file {
        let detail = format!("{what} profile in annotation and field must match");
        errors.push(FieldError::forbidden(path.child("localhostProfile"), detail));
    }
}

/// That those stay as they are which the pod was started with.
pub(super) fn stay(new: &Pod, old: &Pod) -> Errors {
    let none = Annotations::new();
    let (new, old) = (new.metadata.annotations.as_ref(), old.metadata.annotations.as_ref());
    let (new, old) = (new.unwrap_or(&none), old.unwrap_or(&none));
    let path = FieldPath::new("metadata").child("annotations");
    let what = |key: &str| match key {
        MIRROR => Some("mirror pod annotation"),
        key => key.starts_with(APP_ARMOR).then_some("AppArmor annotations"),
    };
    let changed = old.iter().filter(|(key, value)| new.get(*key) != Some(*value));
    let added = new.keys().filter(|key| !old.contains_key(*key));
    let mut errors = Errors::new();
    for (key, verb) in changed.map(|(key, _)| (key, "remove or update")).chain(added.map(|key| (key, "add"))) {
        if let Some(what) = what(key) {
            errors.push(FieldError::forbidden(path.key(key), format!("may not {verb} {what}")));
        }
    }
    errors
}

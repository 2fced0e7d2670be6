//! The restricted checks: what hardened pods say of themselves.

use super::baseline::{adding, bad_seccomp};
use super::checks::Violation;
use super::pods::{Judged, Subject, distinct, quoted, setters, several};
use super::policy::Version;
use k8s_openapi::api::core::v1::Volume;

/// From this minor version on a pod that says that it is Windows' is spared what only Linux knows.
const WINDOWS_SINCE: Version = Version(25);

fn spared(subject: &Subject<'_>, version: Version) -> bool {
    version >= WINDOWS_SINCE && subject.is_windows()
}

pub(super) fn privilege_escalation(subject: &Subject<'_>, version: Version) -> Option<Violation> {
    if spared(subject, version) {
        return None;
    }
    let names = subject
        .named(|container| container.security.and_then(|security| security.allow_privilege_escalation) != Some(false));
    let who = several("container", &names);
    let detail = format!("{who} must set securityContext.allowPrivilegeEscalation=false");
    (!names.is_empty()).then(|| Violation::new("allowPrivilegeEscalation != false", detail))
}

pub(super) fn capabilities(subject: &Subject<'_>, version: Version) -> Option<Violation> {
    if spared(subject, version) {
        return None;
    }
    let drops_all = |container: &Judged<'_>| {
        let dropped = container.capabilities().and_then(|capabilities| capabilities.drop.as_deref());
        dropped.unwrap_or_default().iter().any(|one| one == "ALL")
    };
    let keeping = subject.named(|container| !drops_all(container));
    let mut details = Vec::new();
    if !keeping.is_empty() {
        details
            .push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", several("container", &keeping)));
    }
    let (containers, added) = adding(subject, &["NET_BIND_SERVICE"]);
    if !containers.is_empty() {
        let who = several("container", &containers);
        details.push(format!("{who} must not include {} in securityContext.capabilities.add", quoted(&added)));
    }
    (!details.is_empty()).then(|| Violation::new("unrestricted capabilities", details.join("; ")))
}

/// The source of a volume that only a PersistentVolume may hide; `None` for the harmless ones.
fn restricted_source(volume: &Volume) -> Option<&'static str> {
    let sources: [(bool, &'static str); 21] = [
        (volume.host_path.is_some(), "hostPath"),
        (volume.gce_persistent_disk.is_some(), "gcePersistentDisk"),
        (volume.aws_elastic_block_store.is_some(), "awsElasticBlockStore"),
        (volume.git_repo.is_some(), "gitRepo"),
        (volume.nfs.is_some(), "nfs"),
        (volume.iscsi.is_some(), "iscsi"),
        (volume.glusterfs.is_some(), "glusterfs"),
        (volume.rbd.is_some(), "rbd"),
        (volume.flex_volume.is_some(), "flexVolume"),
        (volume.cinder.is_some(), "cinder"),
        (volume.cephfs.is_some(), "cephfs"),
        (volume.flocker.is_some(), "flocker"),
        (volume.fc.is_some(), "fc"),
        (volume.azure_file.is_some(), "azureFile"),
        (volume.vsphere_volume.is_some(), "vsphereVolume"),
        (volume.quobyte.is_some(), "quobyte"),
        (volume.azure_disk.is_some(), "azureDisk"),
        (volume.photon_persistent_disk.is_some(), "photonPersistentDisk"),
        (volume.portworx_volume.is_some(), "portworxVolume"),
        (volume.scale_io.is_some(), "scaleIO"),
        (volume.storageos.is_some(), "storageos"),
    ];
    sources.into_iter().find(|(set, _)| *set).map(|(_, name)| name)
}

pub(super) fn volumes(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    let bad: Vec<(&str, &'static str)> = subject
        .volumes()
        .iter()
        .filter_map(|volume| Some((volume.name.as_str(), restricted_source(volume)?)))
        .collect();
    let names: Vec<&str> = bad.iter().map(|(name, _)| *name).collect();
    let sources = distinct(bad.iter().map(|(_, source)| *source));
    let verb = if names.len() == 1 { "uses" } else { "use" };
    let detail = format!("{} {verb} {}", several("volume", &names), several("restricted volume type", &sources));
    (!bad.is_empty()).then(|| Violation::new("restricted volume types", detail))
}

pub(super) fn run_as_non_root(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    if subject.has_own_users() {
        return None;
    }
    let pod = subject.security().and_then(|security| security.run_as_non_root);
    let own = |container: &Judged<'_>| container.security.and_then(|security| security.run_as_non_root);
    let explicit = subject.named(|container| own(container) == Some(false));
    if let Some(setters) = setters(pod == Some(false), &explicit) {
        let detail = format!("{setters} must not set securityContext.runAsNonRoot=false");
        return Some(Violation::new(REASON, detail));
    }
    let silent = subject.named(|container| own(container).is_none() && pod != Some(true));
    let detail = format!("pod or {} must set securityContext.runAsNonRoot=true", several("container", &silent));
    (!silent.is_empty()).then(|| Violation::new(REASON, detail))
}

pub(super) fn run_as_user(subject: &Subject<'_>, _: Version) -> Option<Violation> {
    if subject.has_own_users() {
        return None;
    }
    let pod = subject.security().is_some_and(|security| security.run_as_user == Some(0));
    let names = subject.named(|one| one.security.is_some_and(|security| security.run_as_user == Some(0)));
    let setters = setters(pod, &names)?;
    Some(Violation::new("runAsUser=0", format!("{setters} must not set runAsUser=0")))
}

pub(super) fn seccomp(subject: &Subject<'_>, version: Version) -> Option<Violation> {
    if spared(subject, version) {
        return None;
    }
    if let Some(violation) = bad_seccomp(subject) {
        return Some(violation);
    }
    let pod = subject.security().is_some_and(|security| security.seccomp_profile.is_some());
    let silent =
        subject.named(|container| !pod && container.security.is_none_or(|security| security.seccomp_profile.is_none()));
    let who = several("container", &silent);
    let detail =
        format!("pod or {who} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"");
    (!silent.is_empty()).then(|| Violation::new("seccompProfile", detail))
}

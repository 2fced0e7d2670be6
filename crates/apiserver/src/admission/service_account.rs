//! Every pod runs as a service account that exists, and finds its token where clients look for it.

use super::{Plugin, Sources, find, is, refused};
use api::{Kind, Object, Status};
use async_trait::async_trait;
use client::{Cache, Client};
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath, ObjectFieldSelector, Pod,
    PodSpec, ProjectedVolumeSource, ServiceAccount, ServiceAccountTokenProjection, Volume, VolumeMount,
    VolumeProjection,
};
use rand::RngExt;
use registry::{Attempt, Operation};
use std::sync::Arc;
use std::time::Duration;

const DEFAULT_NAME: &str = "default";
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// An hour and a bit: told apart from an hour that a user asked for.
const TOKEN_SECONDS: i64 = 3607;
const ROOT_CA: &str = "kube-root-ca.crt";
pub(crate) const MIRROR_ANNOTATION: &str = "kubernetes.io/config.mirror";
/// How long the first pod of a new namespace waits for the account that a controller makes there.
const DEFAULT_WAIT: Duration = Duration::from_secs(2);
/// What generated names are made of: no vowels, and nothing that looks like something else.
const SUFFIX_LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;

pub(crate) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Accounts { client: sources.client.clone(), accounts: sources.client.cache() })
}

struct Accounts {
    client: Client,
    accounts: Cache<ServiceAccount>,
}

pub(crate) fn is_mirror(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(MIRROR_ANNOTATION))
}

/// A mirror of a node's own pod must not reach for the API's secrets.
fn judge_mirror(spec: &PodSpec) -> Result<(), &'static str> {
    if spec.service_account_name.as_deref().is_some_and(|name| !name.is_empty()) {
        return Err("a mirror pod may not reference service accounts");
    }
    for volume in spec.volumes.iter().flatten() {
        if volume.secret.is_some() {
            return Err("a mirror pod may not reference secrets");
        }
        let mut projected = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
        if projected.any(|source| source.service_account_token.is_some()) {
            return Err("a mirror pod may not use ServiceAccountToken volume projections");
        }
    }
    Ok(())
}

/// The name of the pod's account, set to the default where there is none.
fn named(spec: &mut PodSpec) -> String {
    let name = spec.service_account_name.take().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| DEFAULT_NAME.to_owned());
    spec.service_account_name = Some(name.clone());
    // The old field of the same meaning, which is still answered.
    spec.service_account = Some(name.clone());
    name
}

fn automounts(spec: &PodSpec, account: &ServiceAccount) -> bool {
    spec.automount_service_account_token.or(account.automount_service_account_token).unwrap_or(true)
}

/// The token (bound to the pod, renewed by the kubelet), the CA to verify the server with, and the namespace.
fn sources() -> Vec<VolumeProjection> {
    let token = ServiceAccountTokenProjection {
        path: "token".to_owned(),
        expiration_seconds: Some(TOKEN_SECONDS),
        ..Default::default()
    };
    let ca = KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), ..KeyToPath::default() };
    let ca = ConfigMapProjection { name: ROOT_CA.to_owned(), items: Some(vec![ca]), optional: None };
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".to_owned(),
        field_ref: Some(ObjectFieldSelector {
            api_version: Some("v1".to_owned()),
            field_path: "metadata.namespace".to_owned(),
        }),
        ..Default::default()
    };
    let namespace = DownwardAPIProjection { items: Some(vec![namespace]) };
    vec![
        VolumeProjection { service_account_token: Some(token), ..Default::default() },
        VolumeProjection { config_map: Some(ca), ..Default::default() },
        VolumeProjection { downward_api: Some(namespace), ..Default::default() },
    ]
}

/// Mounts the volume where a container has nothing else; whether one of them needed it.
fn mount(containers: &mut [Container], volume: &str) -> bool {
    let mut mounted = false;
    for container in containers {
        let mounts = container.volume_mounts.get_or_insert_default();
        if mounts.iter().any(|mount| mount.mount_path == MOUNT_PATH) {
            continue;
        }
        mounts.push(VolumeMount {
            name: volume.to_owned(),
            read_only: Some(true),
            mount_path: MOUNT_PATH.to_owned(),
            ..VolumeMount::default()
        });
        mounted = true;
    }
    mounted
}

fn suffix() -> String {
    let mut random = rand::rng();
    let letter = |_| char::from(SUFFIX_LETTERS[random.random_range(0..SUFFIX_LETTERS.len())]);
    (0..SUFFIX_LENGTH).map(letter).collect()
}

/// Gives the pod what its account brings. `suffix` names the volume, if there is none yet.
pub(crate) fn equip(spec: &mut PodSpec, account: &ServiceAccount, suffix: impl FnOnce() -> String) {
    if automounts(spec, account) {
        let volumes = spec.volumes.iter().flatten();
        let present = volumes.into_iter().find(|volume| volume.name.starts_with(VOLUME_PREFIX));
        let present = present.map(|volume| volume.name.clone());
        let name = present.clone().unwrap_or_else(|| format!("{VOLUME_PREFIX}{}", suffix()));
        let mut needed = mount(spec.init_containers.as_deref_mut().unwrap_or_default(), &name);
        needed |= mount(&mut spec.containers, &name);
        if needed && present.is_none() {
            let projected =
                ProjectedVolumeSource { default_mode: Some(0o644), sources: Some(sources()), ..Default::default() };
            let volume = Volume { name, projected: Some(projected), ..Volume::default() };
            spec.volumes.get_or_insert_default().push(volume);
        }
    }
    if spec.image_pull_secrets.as_ref().is_none_or(Vec::is_empty)
        && let Some(secrets) = account.image_pull_secrets.as_ref().filter(|secrets| !secrets.is_empty())
    {
        spec.image_pull_secrets = Some(secrets.clone());
    }
}

impl Accounts {
    async fn account(&self, namespace: &str, name: &str) -> Result<Option<Arc<ServiceAccount>>, Status> {
        let found = find(&self.client, &self.accounts, namespace, name).await?;
        if found.is_some() || name != DEFAULT_NAME {
            return Ok(found);
        }
        let key = format!("{namespace}/{name}");
        let mut changes = self.accounts.changes();
        let appears = async {
            loop {
                let change = changes.next().await;
                if let (true, Some(account)) = (*change.key == *key, change.new) {
                    return account;
                }
            }
        };
        Ok(tokio::time::timeout(DEFAULT_WAIT, appears).await.ok())
    }
}

#[async_trait]
impl Plugin for Accounts {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        is::<Pod>(attempt) && attempt.operation == Operation::Create && attempt.subresource.is_none()
    }

    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut Box<dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(pod) = object.downcast_mut::<Pod>() else { return Ok(()) };
        let mirror = is_mirror(pod);
        let Some(spec) = pod.spec.as_mut() else { return Ok(()) };
        if mirror {
            return judge_mirror(spec).map_err(|why| refused(attempt, Some(pod), why));
        }
        let name = named(spec);
        let account = self.account(attempt.namespace, &name).await;
        let unknown = |why: &dyn std::fmt::Display| {
            format!("error looking up service account {}/{name}: {why}", attempt.namespace)
        };
        match account {
            Ok(Some(account)) => equip(spec, &account, suffix),
            Ok(None) => {
                let why = unknown(&format_args!("{} {name:?} not found", ServiceAccount::DEF.singular));
                return Err(refused(attempt, Some(pod), &why));
            }
            Err(status) => return Err(refused(attempt, Some(pod), &unknown(&status))),
        }
        Ok(())
    }
}

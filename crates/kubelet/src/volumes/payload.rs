//! The files of ConfigMap, Secret, downward API and projected volumes, from the objects they show.
//!
//! Invariants: pure; paths are relative and stay inside the volume; texts are upstream's.

use super::tokens::Tokens;
use crate::environment::field_ref::{self, Addresses};
use crate::environment::resource_field;
use crate::objects::Objects;
use crate::pod;
use crate::pod::resources::Amounts;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, KeyToPath, Pod, Volume, VolumeProjection};
use std::collections::BTreeMap;
use std::path::{Component, Path};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: u32,
    pub(crate) user: Option<u32>,
}

/// Files by their path in the volume.
pub(crate) type Payload = BTreeMap<String, File>;

pub(crate) struct Sources<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) objects: &'a Objects,
    pub(crate) addresses: &'a Addresses,
    pub(crate) node: &'a Amounts,
    pub(crate) tokens: &'a Tokens,
}

const MODE_DEFAULT: i32 = 0o644;

/// What applies to files that say nothing themselves.
#[derive(Clone, Copy)]
struct Defaults {
    mode: u32,
    user: Option<u32>,
}

impl Defaults {
    fn new(mode: Option<i32>, user: Option<i64>) -> Defaults {
        Defaults { mode: mode_bits(mode.unwrap_or(MODE_DEFAULT)), user: user.and_then(|user| u32::try_from(user).ok()) }
    }

    fn file(self, bytes: Vec<u8>, mode: Option<i32>, user: Option<i64>) -> File {
        let user = user.and_then(|user| u32::try_from(user).ok()).or(self.user);
        File { bytes, mode: mode.map_or(self.mode, mode_bits), user }
    }
}

fn mode_bits(mode: i32) -> u32 {
    u32::try_from(mode).unwrap_or_default() & 0o7777
}

/// A volume's files; `None` for kinds that are not made of files.
pub(crate) fn of_volume(volume: &Volume, sources: &Sources<'_>) -> Result<Option<Payload>, String> {
    let mut payload = Payload::new();
    if let Some(source) = &volume.config_map {
        let defaults = Defaults::new(source.default_mode, source.default_user);
        let optional = source.optional.unwrap_or(false);
        config_map(&source.name, source.items.as_deref(), optional, defaults, sources, &mut payload)?;
    } else if let Some(source) = &volume.secret {
        let defaults = Defaults::new(source.default_mode, source.default_user);
        let name = source.secret_name.as_deref().unwrap_or_default();
        secret(name, source.items.as_deref(), source.optional.unwrap_or(false), defaults, sources, &mut payload)?;
    } else if let Some(source) = &volume.downward_api {
        let defaults = Defaults::new(source.default_mode, source.default_user);
        downward(source.items.as_deref().unwrap_or_default(), defaults, sources, &mut payload)?;
    } else if let Some(source) = &volume.projected {
        let defaults = Defaults::new(source.default_mode, source.default_user);
        for projection in source.sources.iter().flatten() {
            project(projection, defaults, sources, &mut payload)?;
        }
    } else {
        return Ok(None);
    }
    for path in payload.keys() {
        check_path(path)?;
    }
    Ok(Some(payload))
}

fn project(
    from: &VolumeProjection,
    defaults: Defaults,
    sources: &Sources<'_>,
    into: &mut Payload,
) -> Result<(), String> {
    if let Some(source) = &from.config_map {
        let optional = source.optional.unwrap_or(false);
        config_map(&source.name, source.items.as_deref(), optional, defaults, sources, into)?;
    }
    if let Some(source) = &from.secret {
        secret(&source.name, source.items.as_deref(), source.optional.unwrap_or(false), defaults, sources, into)?;
    }
    if let Some(source) = &from.downward_api {
        downward(source.items.as_deref().unwrap_or_default(), defaults, sources, into)?;
    }
    if let Some(source) = &from.service_account_token {
        let token = sources.tokens.get(source).ok_or("the service account token has not been issued yet")?;
        let mut file = defaults.file(token.as_bytes().to_vec(), None, source.user);
        // A token is nobody else's business where the reader is known.
        if let Some(owner) = only_user(sources.pod) {
            (file.mode, file.user) = (0o600, file.user.or(Some(owner)));
        } else if fs_group(sources.pod).is_some() {
            file.mode = 0o600;
        }
        into.insert(source.path.clone(), file);
    }
    if from.cluster_trust_bundle.is_some() {
        return Err("projecting a clusterTrustBundle is not implemented by this node".to_owned());
    }
    if from.pod_certificate.is_some() {
        return Err("projecting a podCertificate is not implemented by this node".to_owned());
    }
    Ok(())
}

pub(crate) fn fs_group(pod: &Pod) -> Option<u32> {
    let context = pod::spec(pod).security_context.as_ref()?;
    context.fs_group.and_then(|group| u32::try_from(group).ok())
}

/// The user that all containers run as, if the spec says that it is one.
fn only_user(pod: &Pod) -> Option<u32> {
    let spec = pod::spec(pod);
    let default = spec.security_context.as_ref().and_then(|context| context.run_as_user);
    let users = pod::containers::all(pod)
        .map(|(_, container)| container.security_context.as_ref().and_then(|context| context.run_as_user).or(default));
    let mut users = users.collect::<Vec<_>>();
    users.dedup();
    match users.as_slice() {
        [Some(user)] => u32::try_from(*user).ok(),
        _ => None,
    }
}

fn config_map(
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: bool,
    defaults: Defaults,
    sources: &Sources<'_>,
    into: &mut Payload,
) -> Result<(), String> {
    let Some(map) = sources.objects.config_map(name, optional)? else { return Ok(()) };
    let text = |key: &String| map.data.as_ref()?.get(key).map(|text| text.as_bytes().to_vec());
    let binary = |key: &String| map.binary_data.as_ref()?.get(key).map(|bytes| bytes.0.clone());
    let keys = map.data.iter().flat_map(BTreeMap::keys).chain(map.binary_data.iter().flat_map(BTreeMap::keys));
    let missing = |key: &str| format!("configmap references non-existent config key: {key}");
    take(keys, &|key| text(key).or_else(|| binary(key)), items, optional, defaults, &missing, into)
}

fn secret(
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: bool,
    defaults: Defaults,
    sources: &Sources<'_>,
    into: &mut Payload,
) -> Result<(), String> {
    let Some(secret) = sources.objects.secret(name, optional)? else { return Ok(()) };
    let value = |key: &String| secret.data.as_ref()?.get(key).map(|ByteString(bytes)| bytes.clone());
    let keys = secret.data.iter().flat_map(BTreeMap::keys);
    let missing = |key: &str| format!("references non-existent secret key: {key}");
    take(keys, &value, items, optional, defaults, &missing, into)
}

/// All keys under their own names, or those that `items` picks.
fn take<'a>(
    keys: impl Iterator<Item = &'a String>,
    value: &dyn Fn(&String) -> Option<Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: bool,
    defaults: Defaults,
    missing: &dyn Fn(&str) -> String,
    into: &mut Payload,
) -> Result<(), String> {
    let Some(items) = items.filter(|items| !items.is_empty()) else {
        into.extend(keys.filter_map(|key| Some((key.clone(), defaults.file(value(key)?, None, None)))));
        return Ok(());
    };
    for item in items {
        match value(&item.key) {
            Some(bytes) => drop(into.insert(item.path.clone(), defaults.file(bytes, item.mode, item.user))),
            None if optional => {}
            None => return Err(missing(&item.key)),
        }
    }
    Ok(())
}

fn downward(
    items: &[DownwardAPIVolumeFile],
    defaults: Defaults,
    sources: &Sources<'_>,
    into: &mut Payload,
) -> Result<(), String> {
    for item in items {
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => field_ref::value(sources.pod, &field.field_path, sources.addresses)?,
            (None, Some(selector)) => resource_field::value(sources.pod, "", selector, sources.node)?,
            (None, None) => return Err(format!("{}: neither a fieldRef nor a resourceFieldRef", item.path)),
        };
        into.insert(item.path.clone(), defaults.file(value.into_bytes(), item.mode, item.user));
    }
    Ok(())
}

/// Validation refuses such paths in the API; a node does not rely on it.
fn check_path(path: &str) -> Result<(), String> {
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !plain || path.starts_with("..") {
        return Err(format!("invalid path: {path:?} must be relative and not contain '..'"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn check(volume: &str) -> Result<Vec<String>, String> {
        let pod = pod::tests::from_yaml(&format!(
            "{{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c}}], volumes: [{{name: v, {volume}}}]}}}}"
        ));
        let mut objects = Objects::default();
        let map = "{data: {one: '1', two: '22'}, binaryData: {bin: AAE=}}";
        objects.config_maps.insert("cfg".into(), Some(Arc::new(serde_saphyr::from_str(map).unwrap())));
        objects.config_maps.insert("none".into(), None);
        objects.secrets.insert("sec".into(), Some(Arc::new(serde_saphyr::from_str("{data: {pw: c2VjcmV0}}").unwrap())));
        let sources = Sources {
            pod: &pod,
            objects: &objects,
            addresses: &Addresses::default(),
            node: &Amounts::default(),
            tokens: &Tokens::default(),
        };
        let payload = of_volume(&pod::spec(&pod).volumes.as_ref().unwrap()[0], &sources)?;
        let line = |(path, file): (String, File)| {
            format!("{path} {:o} {}", file.mode, String::from_utf8_lossy(&file.bytes).escape_debug())
        };
        Ok(payload.unwrap_or_default().into_iter().map(line).collect())
    }

    #[test]
    fn keys_become_files() {
        assert_eq!(check("configMap: {name: cfg}").unwrap(), ["bin 644 \\0\\u{1}", "one 644 1", "two 644 22"]);
        let items =
            "configMap: {name: cfg, defaultMode: 256, items: [{key: one, path: d/x}, {key: two, path: y, mode: 511}]}";
        assert_eq!(check(items).unwrap(), ["d/x 400 1", "y 777 22"]);
        assert_eq!(check("secret: {secretName: sec}").unwrap(), ["pw 644 secret"]);
        let labels = "downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}";
        assert_eq!(check(labels).unwrap(), [r#"labels 644 a=\"b\""#]);
        let all =
            "projected: {sources: [{configMap: {name: cfg, items: [{key: one, path: x}]}}, {secret: {name: sec}}]}";
        assert_eq!(check(all).unwrap(), ["pw 644 secret", "x 644 1"]);
    }

    #[test]
    fn what_is_missing_fails_unless_it_is_optional() {
        assert_eq!(check("configMap: {name: none}").unwrap_err(), "configmap \"none\" not found");
        assert_eq!(check("configMap: {name: none, optional: true}").unwrap(), Vec::<String>::new());
        let item = "configMap: {name: cfg, items: [{key: no, path: x}]";
        assert_eq!(check(&format!("{item}}}")).unwrap_err(), "configmap references non-existent config key: no");
        assert_eq!(check(&format!("{item}, optional: true}}")).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn paths_that_leave_the_volume_are_refused() {
        for path in ["../x", "/etc/x", "a/../../x", "..data"] {
            let volume = format!("configMap: {{name: cfg, items: [{{key: one, path: {path}}}]}}");
            assert!(check(&volume).unwrap_err().starts_with("invalid path"), "{path}");
        }
    }
}

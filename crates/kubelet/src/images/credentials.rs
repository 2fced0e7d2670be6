//! Registry credentials from `imagePullSecrets`.

use super::reference::registry;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cri::v1::AuthConfig;
use k8s_openapi::api::core::v1::Secret;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

/// Those that fit the image's registry, the most specific first. The errors are what the user reads.
pub(crate) fn matching(secrets: &[&Secret], image: &str) -> Result<Vec<AuthConfig>, String> {
    let mut found: Vec<(usize, AuthConfig)> = Vec::new();
    for secret in secrets {
        for (key, entry) in entries(secret)? {
            let Some(length) = match_length(&key, image) else { continue };
            found.push((length, auth(&key, entry)?));
        }
    }
    found.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    Ok(found.into_iter().map(|(_, auth)| auth).collect())
}

fn entries(secret: &Secret) -> Result<BTreeMap<String, Entry>, String> {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let bad = |error: serde_json::Error| format!("image pull secret {name:?} is malformed: {error}");
    let data = secret.data.as_ref();
    let get = |key: &str| data.and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    if let Some(bytes) = get(".dockerconfigjson") {
        return serde_json::from_slice::<DockerConfig>(bytes).map(|config| config.auths).map_err(bad);
    }
    match get(".dockercfg") {
        Some(bytes) => serde_json::from_slice(bytes).map_err(bad),
        None => Ok(BTreeMap::new()),
    }
}

fn auth(key: &str, entry: Entry) -> Result<AuthConfig, String> {
    let (mut username, mut password) = (entry.username, entry.password);
    if username.is_empty() && !entry.auth.is_empty() {
        let decoded = STANDARD.decode(entry.auth.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (user, pass) = pair.ok_or_else(|| format!("the auth of {key:?} is not base64 of user:password"))?;
        (username, password) = (user.to_owned(), pass.to_owned());
    }
    Ok(AuthConfig {
        username,
        password,
        identity_token: entry.identity_token,
        server_address: key.to_owned(),
        ..AuthConfig::default()
    })
}

/// How much of the image's name a key names; `None` when it names another registry.
fn match_length(key: &str, image: &str) -> Option<usize> {
    let bare = key.trim_start_matches("https://").trim_start_matches("http://");
    let bare = bare.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = if host == "index.docker.io" { "docker.io" } else { host };
    let own = registry(image);
    let matches = match host.strip_prefix("*.") {
        Some(suffix) => own.strip_suffix(suffix).is_some_and(|sub| sub.ends_with('.') && sub.matches('.').count() == 1),
        None => host == own,
    };
    let rest = image.strip_prefix(own).unwrap_or(image).trim_start_matches('/');
    (matches && rest.starts_with(path)).then_some(bare.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_own_credentials_are_used_the_longest_first() {
        let json = r#"{"auths": {"r.example": {"auth": "dTpw"}, "r.example/team": {"username": "t", "password": "s"},
            "https://index.docker.io/v1/": {"auth": "ZDplOmY="}}}"#;
        let yaml = format!("{{metadata: {{name: s}}, data: {{.dockerconfigjson: {}}}}}", STANDARD.encode(json));
        let secret: Secret = serde_saphyr::from_str(&yaml).unwrap();
        let check = |image: &str, wanted: &[(&str, &str)]| {
            let found = matching(&[&secret], image).unwrap();
            let found: Vec<_> = found.iter().map(|auth| (auth.username.as_str(), auth.password.as_str())).collect();
            assert_eq!(found, wanted, "{image}");
        };
        check("r.example/a:1", &[("u", "p")]);
        check("r.example/team/a:1", &[("t", "s"), ("u", "p")]);
        check("busybox", &[("d", "e:f")]);
        check("other.example/a", &[]);
    }

    #[test]
    fn one_star_is_one_label() {
        let names = ["a.r.example/x", "a.b.r.example/x", "r.example/x"];
        assert_eq!(names.map(|name| match_length("*.r.example", name).is_some()), [true, false, false]);
    }
}

//! `create configmap`, `create secret generic` and `create secret tls`: content from files, folders, literals and
//! environment files.

use super::{make, registry_secret};
use crate::commands::output::{Creation, exactly_one};
use crate::context::Context;
use crate::failure::{Failure, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1 as core;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// Where content comes from.
#[derive(clap::Args)]
pub(super) struct Sources {
    /// [KEY=]FILE or a folder; may be repeated
    #[arg(long, value_delimiter = ',')]
    from_file: Vec<String>,
    /// KEY=VALUE; may be repeated
    #[arg(long)]
    from_literal: Vec<String>,
    /// A file of lines KEY=VALUE; may be repeated
    #[arg(long, value_delimiter = ',')]
    from_env_file: Vec<String>,
}

pub(super) type Content = BTreeMap<String, Vec<u8>>;

pub(super) fn read(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::message(format!("error reading {path}: no such file or directory")),
        _ => Failure::message(format!("error reading {path}: {error}")),
    })
}

impl Sources {
    /// `what` is the kind, for what is said of a wrong key.
    fn content(&self, what: &str) -> Result<Content> {
        let mut content = Content::new();
        let others = self.from_file.len() + self.from_literal.len();
        if !self.from_env_file.is_empty() && others > 0 {
            return Err(Failure::message("from-env-file cannot be combined with from-file or from-literal"));
        }
        for source in &self.from_file {
            from_file(source, what, &mut content)?;
        }
        for literal in &self.from_literal {
            let Some((key, value)) = literal.split_once('=').filter(|(key, _)| !key.is_empty()) else {
                return Err(Failure::message(format!("invalid literal source {literal}, expected key=value")));
            };
            // Quotes that the shell left are not part of the value.
            add(&mut content, key, value.trim_matches(['"', '\'']).as_bytes().to_vec(), what)?;
        }
        for path in &self.from_env_file {
            let text = String::from_utf8_lossy(&read(path)?).into_owned();
            for line in text.trim_start_matches('\u{feff}').lines() {
                let line = line.trim_start();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                // A name alone takes its value from this program's environment.
                let (key, value) = match line.split_once('=') {
                    Some((key, value)) => (key, value.to_owned()),
                    None => match std::env::var(line) {
                        Ok(value) => (line, value),
                        Err(_) => continue,
                    },
                };
                add(&mut content, key, value.into_bytes(), what)?;
            }
        }
        Ok(content)
    }
}

/// A file, or every file of a folder whose name may be a key.
fn from_file(source: &str, what: &str, content: &mut Content) -> Result<()> {
    let (key, path) = match source.split_once('=') {
        Some((key, path)) if key.is_empty() || path.is_empty() => {
            let text = if key.is_empty() {
                format!("key name for file path {path} missing")
            } else {
                format!("file path for key name {key} missing")
            };
            return Err(Failure::message(text));
        }
        Some((key, path)) => (Some(key), path),
        None => (None, source),
    };
    if !Path::new(path).is_dir() {
        let own = Path::new(path).file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return add(content, key.unwrap_or(&own), read(path)?, what);
    }
    if key.is_some() {
        return Err(Failure::message("cannot give a key name for a directory path"));
    }
    let entries =
        std::fs::read_dir(path).map_err(|error| Failure::message(format!("error listing files in {path}: {error}")))?;
    for entry in entries {
        let entry = entry.map_err(|error| Failure::message(format!("error listing files in {path}: {error}")))?.path();
        let name = entry.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if entry.is_file() && is_key(&name) {
            add(content, &name, read(&entry.to_string_lossy())?, what)?;
        }
    }
    Ok(())
}

fn is_key(key: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !key.is_empty() && key.len() <= 253 && key.chars().all(known) && key != "." && !key.starts_with("..")
}

fn add(content: &mut Content, key: &str, value: Vec<u8>, what: &str) -> Result<()> {
    if !is_key(key) {
        return Err(Failure::message(format!(
            "{key:?} is not a valid key name for a {what}: a valid config key must consist of alphanumeric characters, '-', \
             '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
        )));
    }
    if content.insert(key.to_owned(), value).is_some() {
        return Err(Failure::message(format!(
            "cannot add key {key:?}, another key by that name already exists in Data for {what} "
        )));
    }
    Ok(())
}

/// Upstream's short form of a hash: letters that make no words.
fn short_hash(value: &Value) -> String {
    let digest = Sha256::digest(crate::print::compact(value).as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).take(5).collect();
    let letter = |c: char| match c {
        '0' => 'g',
        '1' => 'h',
        '3' => 'k',
        'a' => 'm',
        'e' => 't',
        other => other,
    };
    hex.chars().map(letter).collect()
}

#[derive(clap::Args)]
pub(super) struct ConfigMap {
    name: Vec<String>,
    #[command(flatten)]
    sources: Sources,
    /// With a hash of its content at the end of its name
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    creation: Creation,
}

impl ConfigMap {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create configmap")?;
        let (mut data, mut binary) = (Map::new(), Map::new());
        for (key, bytes) in self.sources.content("ConfigMap")? {
            match String::from_utf8(bytes) {
                Ok(text) => data.insert(key, text.into()),
                Err(error) => binary.insert(key, STANDARD.encode(error.as_bytes()).into()),
            };
        }
        let mut object = json!({"metadata": {"name": name}});
        for (key, part) in [("data", &data), ("binaryData", &binary)] {
            if !part.is_empty() {
                object[key] = part.clone().into();
            }
        }
        if self.append_hash {
            let mut hashed = json!({"kind": "ConfigMap", "name": name, "data": data});
            if !binary.is_empty() {
                hashed["binaryData"] = binary.into();
            }
            object["metadata"]["name"] = format!("{name}-{}", short_hash(&hashed)).into();
        }
        make::<core::ConfigMap>(context, &self.creation, "configmap", object).await
    }
}

#[derive(clap::Subcommand)]
pub(super) enum Secret {
    /// For a registry of images
    DockerRegistry(registry_secret::Registry),
    /// From files, folders or literal values
    Generic(Generic),
    /// From a certificate and its key
    Tls(Tls),
}

#[derive(clap::Args)]
pub(super) struct Generic {
    name: Vec<String>,
    #[command(flatten)]
    sources: Sources,
    /// The secret's type
    #[arg(long = "type", default_value = "", hide_default_value = true)]
    kind: String,
    #[command(flatten)]
    hashed: Hashed,
}

#[derive(clap::Args)]
pub(super) struct Tls {
    name: Vec<String>,
    /// A PEM file with the certificate
    #[arg(long, default_value = "", hide_default_value = true)]
    cert: String,
    /// A PEM file with its key
    #[arg(long, default_value = "", hide_default_value = true)]
    key: String,
    #[command(flatten)]
    hashed: Hashed,
}

#[derive(clap::Args)]
pub(super) struct Hashed {
    /// With a hash of its content at the end of its name
    #[arg(long)]
    append_hash: bool,
    #[command(flatten)]
    creation: Creation,
}

impl Hashed {
    pub(super) async fn create(&self, context: &Context, name: &str, kind: &str, content: Content) -> Result<()> {
        let data: Map<String, Value> =
            content.into_iter().map(|(key, bytes)| (key, STANDARD.encode(bytes).into())).collect();
        let mut object = json!({"metadata": {"name": name}});
        if !data.is_empty() {
            object["data"] = data.clone().into();
        }
        if !kind.is_empty() {
            object["type"] = kind.into();
        }
        if self.append_hash {
            let hashed = json!({"kind": "Secret", "type": kind, "name": name, "data": data});
            object["metadata"]["name"] = format!("{name}-{}", short_hash(&hashed)).into();
        }
        make::<core::Secret>(context, &self.creation, "secret", object).await
    }
}

impl Secret {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        match self {
            Secret::DockerRegistry(registry) => registry.run(context).await,
            Secret::Generic(generic) => {
                let name = exactly_one(&generic.name, "create secret generic")?;
                generic.hashed.create(context, name, &generic.kind, generic.sources.content("Secret")?).await
            }
            Secret::Tls(tls) => {
                let name = exactly_one(&tls.name, "create secret tls")?;
                if tls.cert.is_empty() || tls.key.is_empty() {
                    return Err(Failure::message("key and cert must be specified"));
                }
                let (cert, key) = (pem(&tls.cert)?, pem(&tls.key)?);
                check_pair(&cert, &key)?;
                let content = [("tls.crt".to_owned(), cert), ("tls.key".to_owned(), key)].into_iter().collect();
                tls.hashed.create(context, name, "kubernetes.io/tls", content).await
            }
        }
    }
}

fn pem(path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        let why = if error.kind() == std::io::ErrorKind::NotFound {
            "no such file or directory".to_owned()
        } else {
            error.to_string()
        };
        Failure::message(format!("Cannot read file {path}, open {path}: {why}"))
    })
}

/// Both have to be PEM, and belong together.
fn check_pair(cert: &[u8], key: &[u8]) -> Result<()> {
    let failed = |what: String| Failure::message(format!("tls: {what}"));
    let chain = CertificateDer::pem_slice_iter(cert).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| failed(format!("failed to parse certificate: {error}")))?;
    if chain.is_empty() {
        return Err(failed("failed to find any PEM data in certificate input".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| failed("failed to find any PEM data in key input".to_owned()))?;
    let key = rustls::crypto::ring::sign::any_supported_type(&key)
        .map_err(|error| failed(format!("failed to parse private key: {error}")))?;
    let pair = rustls::sign::CertifiedKey::new(chain, key);
    pair.keys_match().map_err(|_| failed("private key does not match public key".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_upstreams() {
        let hashed = json!({"kind": "ConfigMap", "name": "", "data": {}});
        assert_eq!(short_hash(&hashed), "42745tchd9");
        let hashed = json!({"kind": "ConfigMap", "name": "", "data": {"one": ""}});
        assert_eq!(short_hash(&hashed), "9g67k2htb6");
    }

    #[test]
    fn keys_are_file_names() {
        assert!(is_key("a.B-c_9") && !is_key("") && !is_key("a/b") && !is_key("..a") && !is_key("."));
    }
}

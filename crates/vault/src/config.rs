//! The file that says what is sealed with what: `EncryptionConfiguration` of apiserver.config.k8s.io/v1.
//!
//! Invariant: what is refused is refused with where and why, in upstream's words, and never with a secret in it.

use crate::keys::{Cipher, Key, Secret};
use crate::rules::Pattern;
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// A list of a few dozen keys.
const FILE_BYTES_MAX: u64 = 1 << 20;
const API_VERSION: &str = "apiserver.config.k8s.io/v1";
const KIND: &str = "EncryptionConfiguration";
const KMS_TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("reading {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the encryption configuration does not decode: {0}")]
    Syntax(String),
    #[error("the encryption configuration is invalid: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// What was read and found valid.
pub struct Configuration {
    pub(crate) rules: Vec<Rule>,
}

pub(crate) struct Rule {
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) providers: Vec<ProviderConfig>,
}

pub(crate) enum ProviderConfig {
    Identity,
    Keys(Vec<Key>),
    Kms(KmsConfig),
}

pub(crate) struct KmsConfig {
    pub(crate) name: String,
    /// Of a unix socket.
    pub(crate) socket: String,
    pub(crate) timeout: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    api_version: String,
    kind: String,
    #[serde(default)]
    resources: Vec<DocumentRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentRule {
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    providers: Vec<DocumentProvider>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentProvider {
    aesgcm: Option<DocumentKeys>,
    aescbc: Option<DocumentKeys>,
    secretbox: Option<DocumentKeys>,
    identity: Option<DocumentIdentity>,
    kms: Option<DocumentKms>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentIdentity {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentKeys {
    #[serde(default)]
    keys: Vec<DocumentKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DocumentKey {
    #[serde(default)]
    name: String,
    #[serde(default)]
    secret: Zeroizing<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DocumentKms {
    api_version: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    endpoint: String,
    timeout: Option<String>,
    cachesize: Option<i64>,
}

/// What is wrong, collected so that all of it is told at once.
#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn add(&mut self, path: &str, why: impl std::fmt::Display) {
        self.0.push(format!("{path}: {why}"));
    }
}

impl Configuration {
    /// # Errors
    /// When the file cannot be read, or is none of its kind.
    pub fn read(path: &Path) -> Result<Configuration, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let length = std::fs::metadata(path).map_err(failed)?.len();
        if length > FILE_BYTES_MAX {
            return Err(ConfigError::Invalid(vec![format!("it has {length} bytes, more than {FILE_BYTES_MAX}")]));
        }
        let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
        Configuration::parse(&text)
    }

    /// # Errors
    /// When the text is none of its kind.
    pub fn parse(text: &str) -> Result<Configuration, ConfigError> {
        // The parser quotes the lines around what it does not understand, and secrets stand in them.
        let document: Document = serde_saphyr::from_str(text).map_err(|error| {
            let first = error.to_string();
            ConfigError::Syntax(first.lines().next().unwrap_or_default().to_owned())
        })?;
        if (document.api_version.as_str(), document.kind.as_str()) != (API_VERSION, KIND) {
            let found = format!("{}, Kind={}", document.api_version, document.kind);
            return Err(ConfigError::Invalid(vec![format!("expected {API_VERSION}, Kind={KIND}, found {found}")]));
        }
        let mut complaints = Complaints::default();
        if document.resources.is_empty() {
            complaints.add("resources", "Required value: at least one resources is required");
        }
        let mut services = BTreeSet::new();
        let mut rules = Vec::new();
        for (at, rule) in document.resources.into_iter().enumerate() {
            rules.push(read_rule(rule, &format!("resources[{at}]"), &mut services, &mut complaints));
        }
        if complaints.0.is_empty() { Ok(Configuration { rules }) } else { Err(ConfigError::Invalid(complaints.0)) }
    }
}

fn read_rule(rule: DocumentRule, path: &str, services: &mut BTreeSet<String>, complaints: &mut Complaints) -> Rule {
    let at = format!("{path}.resources");
    if rule.resources.is_empty() {
        complaints.add(&at, "Required value: at least one resource is required");
    }
    let patterns: Vec<Pattern> = rule.resources.iter().map(|text| Pattern::parse(text)).collect();
    for text in &rule.resources {
        if let Some(why) = unusable(text) {
            complaints.add(&at, format!("Invalid value: {text:?}: {why}"));
        }
    }
    if let Some(why) = overlap(&patterns) {
        complaints.add(&at, format!("Invalid value: {:?}: {why}", rule.resources));
    }
    if rule.providers.is_empty() {
        complaints.add(&format!("{path}.providers"), "Required value: at least one provider is required");
    }
    let mut providers = Vec::new();
    for (at, provider) in rule.providers.into_iter().enumerate() {
        providers.extend(read_provider(provider, &format!("{path}.providers[{at}]"), services, complaints));
    }
    Rule { patterns, providers }
}

/// Why no rule may name this.
fn unusable(text: &str) -> Option<&'static str> {
    let Pattern { plural, group } = Pattern::parse(text);
    if text.is_empty() || plural.is_empty() {
        return Some("a resource is a plural, such as secrets or deployments.apps");
    }
    if text.to_lowercase() != text {
        return Some("resource name should not contain capital letters");
    }
    if text == "*" {
        return Some("use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources");
    }
    if group == "*" && plural != "*" {
        return Some("encrypting the same resource across groups is not supported");
    }
    match group.as_str() {
        "extensions" => Some("'extensions' group has been removed and cannot be used for encryption"),
        _ => None,
    }
}

fn overlap(patterns: &[Pattern]) -> Option<&'static str> {
    let everything = |pattern: &Pattern| pattern.plural == "*" && pattern.group == "*";
    for (at, one) in patterns.iter().enumerate() {
        for other in &patterns[..at] {
            if one == other {
                return Some("the same resource cannot be specified multiple times");
            }
            let same_group = one.group == other.group && (one.plural == "*" || other.plural == "*");
            if everything(one) || everything(other) || same_group {
                return Some(
                    "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed \
                     as they will be masked",
                );
            }
        }
    }
    None
}

fn read_provider(
    provider: DocumentProvider,
    path: &str,
    services: &mut BTreeSet<String>,
    complaints: &mut Complaints,
) -> Option<ProviderConfig> {
    let DocumentProvider { aesgcm, aescbc, secretbox, identity, kms } = provider;
    let named = [aesgcm.is_some(), aescbc.is_some(), secretbox.is_some(), identity.is_some(), kms.is_some()];
    match named.iter().filter(|named| **named).count() {
        0 => {
            let expected = "KMS, AESGCM, AESCBC, Secretbox, Identity";
            complaints.add(path, format!("provider does not contain any of the expected providers: {expected}"));
            return None;
        }
        1 => {}
        _ => {
            complaints.add(
                path,
                "more than one provider specified in a single element, should split into different list elements",
            );
            return None;
        }
    }
    let keys = [(Cipher::AesGcm, aesgcm), (Cipher::AesCbc, aescbc), (Cipher::Secretbox, secretbox)];
    for (cipher, keys) in keys {
        if let Some(keys) = keys {
            let path = format!("{path}.{}.keys", cipher.name());
            return Some(ProviderConfig::Keys(read_keys(cipher, keys, &path, complaints)));
        }
    }
    match kms {
        Some(kms) => read_kms(kms, &format!("{path}.kms"), services, complaints).map(ProviderConfig::Kms),
        None => Some(ProviderConfig::Identity),
    }
}

fn read_keys(cipher: Cipher, keys: DocumentKeys, path: &str, complaints: &mut Complaints) -> Vec<Key> {
    if keys.keys.is_empty() {
        complaints.add(path, "Required value: at least one keys is required");
    }
    let mut read = Vec::new();
    for (at, key) in keys.keys.into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        if key.name.is_empty() {
            complaints.add(&format!("{path}.name"), "Required value: name is a mandatory field for a key");
        }
        match read_secret(cipher, &key.secret) {
            Ok(secret) => read.push(Key::new(cipher, &key.name, secret)),
            Err(why) => complaints.add(&format!("{path}.secret"), why),
        }
    }
    read
}

fn read_secret(cipher: Cipher, text: &str) -> Result<Secret, String> {
    if text.is_empty() {
        return Err("Required value: secret is a mandatory field for a key".to_owned());
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(text);
    let Ok(secret) = decoded.map(Secret::from) else {
        return Err("Invalid value: \"REDACTED\": secrets must be base64 encoded".to_owned());
    };
    let expected = cipher.key_bytes();
    if !expected.contains(&secret.len()) {
        let sizes: Vec<String> = expected.iter().map(usize::to_string).collect();
        return Err(format!(
            "Invalid value: \"REDACTED\": secret is not of the expected length, got {}, expected one of [{}]",
            secret.len(),
            sizes.join(" ")
        ));
    }
    Ok(secret)
}

fn read_kms(
    kms: DocumentKms,
    path: &str,
    services: &mut BTreeSet<String>,
    complaints: &mut Complaints,
) -> Option<KmsConfig> {
    let before = complaints.0.len();
    let DocumentKms { api_version, name, endpoint, timeout, cachesize } = kms;
    match api_version.as_deref().unwrap_or("v1") {
        "v2" => {}
        "v1" => complaints.add(
            path,
            "KMSv1 is deprecated and will only receive security updates going forward. Use KMSv2 instead (apiVersion: v2)",
        ),
        other => complaints.add(path, format!("unsupported apiVersion {other} for KMS provider, only v2 is supported")),
    }
    if name.is_empty() {
        complaints.add(&format!("{path}.name"), "Required value: name is a mandatory field for a provider");
    } else if name.contains(':') {
        complaints.add(&format!("{path}.name"), format!("invalid KMS provider name {name}, must not contain ':'"));
    } else if !services.insert(name.clone()) {
        complaints.add(&format!("{path}.name"), format!("duplicate KMS provider name {name}, names must be unique"));
    }
    if cachesize.is_some() {
        complaints.add(&format!("{path}.cachesize"), "cachesize is not supported in v2");
    }
    let socket = match endpoint.split_once("://") {
        Some(("unix", path)) if !path.is_empty() => path.to_owned(),
        Some((scheme, _)) => {
            let why = format!("unsupported scheme {scheme:?} for KMS provider, only unix is supported");
            complaints.add(&format!("{path}.endpoint"), why);
            String::new()
        }
        None => {
            complaints.add(&format!("{path}.endpoint"), "Required value: endpoint is a mandatory field for a kms");
            String::new()
        }
    };
    let timeout = match timeout.as_deref().map(duration) {
        None => KMS_TIMEOUT,
        Some(Some(timeout)) if !timeout.is_zero() => timeout,
        Some(_) => {
            complaints.add(&format!("{path}.timeout"), "timeout should be a positive value, such as 3s");
            KMS_TIMEOUT
        }
    };
    (complaints.0.len() == before).then_some(KmsConfig { name, socket, timeout })
}

/// `1m30s`, `3s`, `500ms`, as upstream writes durations.
fn duration(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u32 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| digits + end);
        let unit = match &rest[digits..unit_end] {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return None,
        };
        total = total.checked_add(unit.checked_mul(number)?)?;
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "c2VjcmV0IGlzIHNlY3VyZSwgb3IgaXMgaXQ/MTIzNDU=";

    fn parse(rules: &str) -> Result<Configuration, ConfigError> {
        Configuration::parse(&format!("apiVersion: {API_VERSION}\nkind: {KIND}\nresources:\n{rules}"))
    }

    #[test]
    fn upstreams_example_is_read() {
        let rules = format!(
            "- resources: [secrets, configmaps, pandas.awesome.bears.example]
  providers:
  - identity: {{}}
  - aesgcm: {{keys: [{{name: key1, secret: c2VjcmV0IGlzIHNlY3VyZQ==}}]}}
  - aescbc: {{keys: [{{name: key1, secret: c2VjcmV0IGlzIHNlY3VyZQ==}}]}}
  - secretbox: {{keys: [{{name: key1, secret: YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=}}]}}
- resources: [events]
  providers: [{{identity: {{}}}}]
- resources: ['*.apps']
  providers:
  - kms: {{apiVersion: v2, name: kms-a, endpoint: 'unix:///run/kms.sock', timeout: 1m500ms}}
- resources: ['*.*']
  providers:
  - aescbc: {{keys: [{{name: key3, secret: {SECRET}}}]}}
"
        );
        let read = parse(&rules).unwrap();
        assert_eq!(read.rules.len(), 4);
        assert_eq!(read.rules[0].providers.len(), 4);
        let ProviderConfig::Kms(kms) = &read.rules[2].providers[0] else { panic!("no kms") };
        assert_eq!((kms.socket.as_str(), kms.timeout), ("/run/kms.sock", Duration::from_millis(60_500)));
    }

    #[test]
    fn what_is_wrong_is_said_without_secrets() {
        let one = |resource: &str, provider: &str| format!("- resources: [{resource}]\n  providers: [{provider}]\n");
        let identity = "{identity: {}}";
        for (rules, complaint) in [
            (one("'*'", identity), "use '*.' to encrypt"),
            (one("Secrets", identity), "capital letters"),
            (one("'secrets.*'", identity), "across groups"),
            (one("secrets, '*.'", identity), "will be masked"),
            (one("secrets, secrets", identity), "multiple times"),
            (one("secrets", ""), "at least one provider"),
            (one("secrets", "{}"), "any of the expected providers"),
            (one("secrets", "{identity: {}, aesgcm: {keys: []}}"), "more than one provider"),
            (one("secrets", "{aesgcm: {keys: []}}"), "at least one keys"),
            (one("secrets", "{aesgcm: {keys: [{name: a, secret: c2VjcmV0}]}}"), "got 6, expected one of [16 24 32]"),
            (one("secrets", "{secretbox: {keys: [{name: a, secret: '***'}]}}"), "base64 encoded"),
            (one("secrets", "{kms: {apiVersion: v2, name: 'a:b', endpoint: 'unix:///x'}}"), "must not contain ':'"),
            (one("secrets", "{kms: {apiVersion: v2, name: a, endpoint: 'http://x'}}"), "only unix is supported"),
            (one("secrets", "{kms: {name: a, endpoint: 'unix:///x'}}"), "KMSv1 is deprecated"),
            (one("secrets", "{kms: {apiVersion: v2, name: a, endpoint: 'unix:///x', timeout: 0s}}"), "positive"),
            (one("secrets", "{rot13: {}}"), "does not decode"),
            (one("secrets", &format!("{{aesgcm: {{keys: [{{name: [a], secret: {SECRET}}}]}}}}")), "does not decode"),
        ] {
            let error = parse(&rules).err().unwrap_or_else(|| panic!("{rules} is taken")).to_string();
            assert!(error.contains(complaint), "{complaint:?} in {error}");
            assert!(!error.contains(SECRET) && !error.contains("***"), "{error}");
        }
    }
}

//! Where the server is and how to prove who asks: from a kubeconfig or by hand.

use base64::Engine;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a client proves who it is.
#[derive(Clone, Debug)]
pub enum Credentials {
    Anonymous,
    Token(String),
    Certificate {
        chain_pem: String,
        key_pem: String,
    },
    /// Asked at every handshake, so that a renewed certificate is used without a new client.
    Resolver(Arc<dyn ResolvesClientCert>),
}

/// One server and one identity.
#[derive(Clone, Debug)]
pub struct Config {
    /// `https://host:port`, without a path.
    pub server: String,
    /// The certificates that may have signed the server's.
    pub ca_pem: String,
    /// The name expected in the server's certificate where it is not the address.
    pub server_name: Option<String>,
    pub credentials: Credentials,
    /// The namespace that commands act in when told none.
    pub namespace: String,
    /// Sent with every request.
    pub user_agent: String,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("reading {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path}: {reason}")]
    Parse { path: PathBuf, reason: String },
    #[error("{path}: no {what} named {name:?}")]
    Missing { path: PathBuf, what: &'static str, name: String },
    #[error("{0}")]
    Tls(String),
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case", default)]
struct Kubeconfig {
    current_context: String,
    clusters: Vec<Named<Cluster>>,
    contexts: Vec<Named<Context>>,
    users: Vec<Named<Identity>>,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "context", alias = "user")]
    value: T,
}

#[derive(Deserialize, Default, Clone)]
#[serde(rename_all = "kebab-case", default)]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    tls_server_name: Option<String>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(default)]
struct Context {
    cluster: String,
    /// Absent in `cluster-info`, which names no user.
    user: String,
    namespace: Option<String>,
}

#[derive(Deserialize, Default, Clone)]
#[serde(rename_all = "kebab-case", default)]
struct Identity {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
}

impl Config {
    /// The context named, or the file's current one.
    pub fn from_kubeconfig(path: &Path, context: Option<&str>) -> Result<Config, ConfigError> {
        Config::parse_kubeconfig(&read(path)?, path, context)
    }

    /// As `from_kubeconfig`, of a text; `path` is what errors name and relative files are taken from.
    pub fn parse_kubeconfig(text: &str, path: &Path, context: Option<&str>) -> Result<Config, ConfigError> {
        let file: Kubeconfig = serde_saphyr::from_str(text)
            .map_err(|error| ConfigError::Parse { path: path.to_owned(), reason: error.to_string() })?;
        let context_name = context.unwrap_or(&file.current_context);
        let context = pick(path, "context", &file.contexts, context_name)?;
        let cluster = pick(path, "cluster", &file.clusters, &context.cluster)?;
        let identity = match context.user.as_str() {
            "" => Identity::default(),
            user => pick(path, "user", &file.users, user)?,
        };
        Ok(Config {
            server: cluster.server.trim_end_matches('/').to_owned(),
            ca_pem: material(
                path,
                cluster.certificate_authority_data.as_deref(),
                cluster.certificate_authority.as_deref(),
            )?
            .unwrap_or_default(),
            server_name: cluster.tls_server_name,
            credentials: credentials(path, &identity)?,
            namespace: context.namespace.unwrap_or_else(|| "default".to_owned()),
            user_agent: format!("sampan/{}", env!("CARGO_PKG_VERSION")),
        })
    }

    /// The TLS settings of a client with this configuration.
    pub fn tls(&self) -> Result<rustls::ClientConfig, ConfigError> {
        let tls = |error: rustls::Error| ConfigError::Tls(format!("setting up TLS: {error}"));
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.ca_pem.as_bytes()) {
            let certificate =
                certificate.map_err(|error| ConfigError::Tls(format!("reading the certificate authority: {error}")))?;
            roots.add(certificate).map_err(tls)?;
        }
        let mut provider = rustls::crypto::ring::default_provider();
        // Servers mostly take the client's order, and half as many rounds more protect nothing here.
        provider.cipher_suites.sort_by_key(|own| own.suite() != rustls::CipherSuite::TLS13_AES_128_GCM_SHA256);
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(tls)?
            .with_root_certificates(roots);
        match &self.credentials {
            Credentials::Anonymous | Credentials::Token(_) => Ok(builder.with_no_client_auth()),
            Credentials::Resolver(resolver) => Ok(builder.with_client_cert_resolver(resolver.clone())),
            Credentials::Certificate { chain_pem, key_pem } => {
                let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| ConfigError::Tls(format!("reading the client certificate: {error}")))?;
                let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
                    .map_err(|error| ConfigError::Tls(format!("reading the client key: {error}")))?;
                builder.with_client_auth_cert(chain, key).map_err(tls)
            }
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn pick<T: Clone>(path: &Path, what: &'static str, all: &[Named<T>], name: &str) -> Result<T, ConfigError> {
    all.iter().find(|named| named.name == name).map(|named| named.value.clone()).ok_or_else(|| ConfigError::Missing {
        path: path.to_owned(),
        what,
        name: name.to_owned(),
    })
}

/// Inline base64 wins over a file, whose relative path is taken from the kubeconfig's folder.
fn material(config: &Path, data: Option<&str>, file: Option<&Path>) -> Result<Option<String>, ConfigError> {
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let parse = |reason: String| ConfigError::Parse { path: config.to_owned(), reason };
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(data.trim())
            .map_err(|error| parse(format!("base64 data: {error}")))?;
        return String::from_utf8(bytes).map(Some).map_err(|error| parse(format!("PEM data: {error}")));
    }
    let folder = config.parent().unwrap_or(Path::new("."));
    file.map(|file| read(&folder.join(file))).transpose()
}

fn credentials(path: &Path, identity: &Identity) -> Result<Credentials, ConfigError> {
    let chain = material(path, identity.client_certificate_data.as_deref(), identity.client_certificate.as_deref())?;
    let key = material(path, identity.client_key_data.as_deref(), identity.client_key.as_deref())?;
    if let (Some(chain_pem), Some(key_pem)) = (chain, key) {
        return Ok(Credentials::Certificate { chain_pem, key_pem });
    }
    if let Some(token) = identity.token.as_ref().filter(|token| !token.is_empty()) {
        return Ok(Credentials::Token(token.clone()));
    }
    if let Some(token) = material(path, None, identity.token_file.as_deref())? {
        return Ok(Credentials::Token(token.trim().to_owned()));
    }
    Ok(Credentials::Anonymous)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_current_context_names_server_and_identity() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        std::fs::write(
            &path,
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: c\n  cluster: {server: 'https://h:1/'}\n\
             contexts:\n- name: a\n  context: {cluster: c, user: u, namespace: n}\n- name: b\n  context: {cluster: gone, user: u}\n\
             users:\n- name: u\n  user: {token: secret}\n",
        )
        .unwrap();
        let config = Config::from_kubeconfig(&path, None).unwrap();
        assert_eq!((config.server.as_str(), config.namespace.as_str()), ("https://h:1", "n"));
        assert!(matches!(config.credentials, Credentials::Token(token) if token == "secret"));
        let error = Config::from_kubeconfig(&path, Some("b")).unwrap_err().to_string();
        assert!(error.ends_with("no cluster named \"gone\""), "{error}");
    }
}

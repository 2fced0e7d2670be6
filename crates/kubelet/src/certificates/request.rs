//! Asks the cluster for a certificate, and waits until it is signed.

use super::CertificateError;
use super::identity::{Identity, store};
use client::{CacheScope, Client, Config, Credentials, Remote, Servers};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How long a first certificate is waited for: an administrator may have to approve it.
pub const BOOTSTRAP_TIMEOUT: Duration = Duration::from_secs(120);

/// How a node gets its first certificate.
pub struct Bootstrap {
    pub servers: Arc<Servers>,
    pub ca_pem: String,
    pub token: String,
    pub node_name: String,
    /// Where the certificate is kept; one that is there and valid is used.
    pub data_dir: PathBuf,
    pub timeout: Duration,
}

/// The node's client certificate: the one on disk, or a new one asked for with the token.
pub async fn bootstrap(with: Bootstrap) -> Result<Arc<Identity>, CertificateError> {
    let path = client_path(&with.data_dir);
    if let Some(identity) = Identity::load(&path)?.filter(|identity| identity.is_valid(Timestamp::now())) {
        return Ok(Arc::new(identity));
    }
    let config = Config {
        server: with.servers.current().to_string(),
        ca_pem: with.ca_pem,
        server_name: None,
        credentials: Credentials::Token(with.token),
        namespace: String::new(),
        user_agent: "sampan-kubelet-bootstrap".to_owned(),
    };
    let remote = Remote::of(config, with.servers)?;
    let client = Client::new(Arc::new(remote));
    let pair = obtain(&client, &Purpose::Client, &with.node_name, with.timeout).await?;
    store(&path, &pair.chain_pem, &pair.key_pem)?;
    Ok(Arc::new(Identity::from_pem(&pair.chain_pem, &pair.key_pem)?))
}

pub(super) fn client_path(data_dir: &Path) -> PathBuf {
    data_dir.join("pki").join("kubelet-client.pem")
}

/// What a certificate is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    Client,
    Serving { addresses: Vec<IpAddr> },
}

impl Purpose {
    fn signer(&self) -> &'static str {
        match self {
            Purpose::Client => "kubernetes.io/kube-apiserver-client-kubelet",
            Purpose::Serving { .. } => "kubernetes.io/kubelet-serving",
        }
    }

    fn usages(&self) -> Vec<String> {
        let auth = match self {
            Purpose::Client => "client auth",
            Purpose::Serving { .. } => "server auth",
        };
        // An elliptic key signs; it does not encipher.
        vec!["digital signature".to_owned(), auth.to_owned()]
    }

    pub(super) fn path(&self, data_dir: &Path) -> PathBuf {
        match self {
            Purpose::Client => client_path(data_dir),
            Purpose::Serving { .. } => data_dir.join("pki").join("kubelet-serving.pem"),
        }
    }
}

pub(crate) struct Pair {
    pub(crate) chain_pem: String,
    pub(crate) key_pem: String,
}

/// A new key and its signed certificate.
pub(crate) async fn obtain(
    client: &Client,
    purpose: &Purpose,
    node: &str,
    timeout: Duration,
) -> Result<Pair, CertificateError> {
    let key = KeyPair::generate()?;
    let object = CertificateSigningRequest {
        metadata: ObjectMeta { generate_name: Some("csr-".to_owned()), ..ObjectMeta::default() },
        spec: CertificateSigningRequestSpec {
            request: ByteString(request_pem(purpose, node, &key)?.into_bytes()),
            signer_name: purpose.signer().to_owned(),
            usages: Some(purpose.usages()),
            ..CertificateSigningRequestSpec::default()
        },
        status: None,
    };
    let made = client.create(&object).await?;
    let name = made.metadata.name.unwrap_or_default();
    let waited = tokio::time::timeout(timeout, signed(client, &name)).await;
    let chain_pem = waited.map_err(|_| CertificateError::TimedOut { name, seconds: timeout.as_secs() })??;
    Ok(Pair { chain_pem, key_pem: key.serialize_pem() })
}

fn request_pem(purpose: &Purpose, node: &str, key: &KeyPair) -> Result<String, CertificateError> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "system:nodes");
    params.distinguished_name.push(DnType::CommonName, format!("system:node:{node}"));
    if let Purpose::Serving { addresses } = purpose {
        params.subject_alt_names.push(SanType::DnsName(node.try_into()?));
        params.subject_alt_names.extend(addresses.iter().map(|address| SanType::IpAddress(*address)));
    }
    Ok(params.serialize_request(key)?.pem()?)
}

/// Waits for the signature; the watch ends with the wait.
async fn signed(client: &Client, name: &str) -> Result<String, CertificateError> {
    let own = Client::new(client.transport().clone());
    let scope = CacheScope { field_selector: format!("metadata.name={name}"), ..CacheScope::default() };
    let mut changes = own.cache_of::<CertificateSigningRequest>(scope).changes();
    let refused = |reason: String| CertificateError::Refused { name: name.to_owned(), reason };
    loop {
        let change = changes.next().await;
        let Some(object) = change.new.filter(|object| object.metadata.name.as_deref() == Some(name)) else {
            if change.old.is_some_and(|object| object.metadata.name.as_deref() == Some(name)) {
                return Err(refused("it was deleted".to_owned()));
            }
            continue;
        };
        let status = object.status.clone().unwrap_or_default();
        let end = status
            .conditions
            .iter()
            .flatten()
            .find(|condition| matches!(condition.type_.as_str(), "Denied" | "Failed"));
        if let Some(end) = end {
            return Err(refused(
                end.message.clone().or_else(|| end.reason.clone()).unwrap_or_else(|| end.type_.clone()),
            ));
        }
        if let Some(ByteString(bytes)) = status.certificate.filter(|bytes| !bytes.0.is_empty()) {
            return String::from_utf8(bytes).map_err(|error| CertificateError::Malformed {
                what: "the signed certificate",
                reason: error.to_string(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::testing::Fake;
    use k8s_openapi::api::certificates::v1::{CertificateSigningRequestCondition, CertificateSigningRequestStatus};

    async fn answer(
        fake: &Fake,
        client: &Client,
        status: CertificateSigningRequestStatus,
    ) -> CertificateSigningRequest {
        fake.until("a request", |fake| fake.len::<CertificateSigningRequest>() == 1).await;
        let mut request = fake.all::<CertificateSigningRequest>().remove(0);
        request.status = Some(status);
        client.update_status(&request).await.unwrap()
    }

    #[tokio::test]
    async fn a_signed_request_becomes_a_pair() {
        let (fake, client) = Fake::start();
        let asking = client.clone();
        let purpose = Purpose::Serving { addresses: vec!["192.0.2.1".parse().unwrap()] };
        let task = tokio::spawn(async move { obtain(&asking, &purpose, "n1", Duration::from_secs(20)).await });
        let certificate = Some(ByteString(b"the chain".to_vec()));
        let status = CertificateSigningRequestStatus { certificate, ..Default::default() };
        let request = answer(&fake, &client, status).await;
        assert_eq!(request.spec.signer_name, "kubernetes.io/kubelet-serving");
        assert_eq!(request.spec.usages.unwrap(), ["digital signature", "server auth"]);
        let pair = task.await.unwrap().unwrap();
        assert_eq!(pair.chain_pem, "the chain");
        assert!(pair.key_pem.contains("PRIVATE KEY"));
    }

    #[tokio::test]
    async fn a_denied_request_is_an_error_with_its_reason() {
        let (fake, client) = Fake::start();
        let asking = client.clone();
        let task = tokio::spawn(async move { obtain(&asking, &Purpose::Client, "n1", Duration::from_secs(20)).await });
        let denied = CertificateSigningRequestCondition {
            type_: "Denied".into(),
            status: "True".into(),
            message: Some("not you".into()),
            ..Default::default()
        };
        let status = CertificateSigningRequestStatus { conditions: Some(vec![denied]), ..Default::default() };
        answer(&fake, &client, status).await;
        let error = task.await.unwrap().err().unwrap();
        assert!(error.to_string().ends_with("was refused: not you"), "{error}");
    }
}

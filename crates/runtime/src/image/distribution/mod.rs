//! The client side of the OCI distribution protocol: manifests and blobs of one repository, verified.
//!
//! Nothing is returned, or ends without error, whose digest and size were not checked. Every step has a bound in
//! time ([`Timing`]) and in bytes; dropping a future ends its transfer.

mod auth;
mod blob;
mod error;
mod tls;
mod transport;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Method, StatusCode};

pub(crate) use blob::Chunk;
pub(crate) use error::RegistryError;
use transport::{Exchange, Transport};

use super::Credentials;
use super::digest::Digest;
use super::manifest::{ACCEPT, Descriptor, Document, MANIFEST_BYTES_MAX, Manifest, Platform, choose};
use super::reference::{Reference, Target};

/// Indexes may hold indexes; real ones do not go deeper than this.
const INDEX_DEPTH_MAX: usize = 2;

/// How to reach one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryOptions {
    /// A PEM file of authorities to trust beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Trusts any certificate.
    pub insecure: bool,
    /// Speaks HTTP without TLS. Registries on loopback do so anyway when they refuse TLS.
    pub plain_http: bool,
}

/// How long a registry may take.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// To connect, agree on TLS, and begin an answer.
    pub answer: Duration,
    /// To send some more of a body.
    pub silence: Duration,
    /// Tries of a request that failed in passing: a 5xx, 429, or a broken connection.
    pub attempts: u32,
    /// Between the first and second try; doubles each time.
    pub back_off: Duration,
}

impl Default for Timing {
    /// A registry that hangs is given up after 30 s when it does not answer, and after about 90 s in the middle of a
    /// blob (three tries, each resuming).
    fn default() -> Self {
        Timing {
            answer: Duration::from_secs(30),
            silence: Duration::from_secs(30),
            attempts: 3,
            back_off: Duration::from_millis(250),
        }
    }
}

/// Settings by registry, as written in image names (`docker.io`, `registry.example:5000`).
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What differs from the defaults.
    pub registries: HashMap<String, RegistryOptions>,
    /// Bounds in time, for all.
    pub timing: Timing,
}

/// One repository of one registry, for one pull.
pub(crate) struct Repository {
    reference: Reference,
    transport: Transport,
}

/// What a name stands for on this machine.
pub(crate) struct Resolved {
    /// Digest of the document that the name points at: an index's, if it is one.
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
}

impl Repository {
    pub(crate) fn new(
        reference: &Reference,
        credentials: Option<&Credentials>,
        settings: &Settings,
    ) -> Result<Repository, RegistryError> {
        let options = settings.registries.get(reference.domain()).cloned().unwrap_or_default();
        let transport = Transport::new(reference, credentials, &options, settings.timing)?;
        Ok(Repository { reference: reference.clone(), transport })
    }

    /// The digest that the registry says the name has now, if it says so. A mere hint: a HEAD has no body to check.
    /// Registries that ration pulls do not count it.
    pub(crate) async fn head(&self) -> Result<Option<Digest>, RegistryError> {
        let exchange = self.manifest_exchange(Method::HEAD, self.reference.target());
        let response = self.transport.send_retrying(&exchange).await?;
        Ok(named_digest(response.headers()))
    }

    /// Follows the name to a manifest for this machine.
    pub(crate) async fn resolve(&self) -> Result<Resolved, RegistryError> {
        let (digest, mut document) = self.document(self.reference.target(), None).await?;
        for _ in 0..=INDEX_DEPTH_MAX {
            let chosen = match document {
                Document::Manifest(manifest) => return Ok(Resolved { digest, manifest }),
                Document::Index(manifests) => choose(&manifests, &Platform::host())?.clone(),
            };
            (_, document) = self.document(&Target::Digest(chosen.digest.clone()), Some(chosen.size)).await?;
        }
        Err(RegistryError::IndexDepth(digest))
    }

    /// A small blob in memory.
    pub(crate) async fn blob(&self, descriptor: &Descriptor, bytes_max: u64) -> Result<Bytes, RegistryError> {
        if descriptor.size > bytes_max {
            let what = format!("blob {}", descriptor.digest);
            return Err(RegistryError::TooLarge { what, bytes_max });
        }
        let (sender, mut receiver) = tokio::sync::mpsc::channel(blob::CHUNKS_MAX);
        let collect = async {
            let mut all = Vec::new();
            while let Some(Chunk::Data(data)) = receiver.recv().await {
                all.extend_from_slice(&data);
            }
            Bytes::from(all)
        };
        let (sent, all) = tokio::join!(self.stream(descriptor, sender), collect);
        sent?;
        verify("blob", &descriptor.digest, Digest::of(&all))?;
        Ok(all)
    }

    async fn document(&self, target: &Target, size: Option<u64>) -> Result<(Digest, Document), RegistryError> {
        let exchange = self.manifest_exchange(Method::GET, target);
        let (parts, body) = self.transport.read_retrying(&exchange, MANIFEST_BYTES_MAX).await?;
        let got = Digest::of(&body);
        if let Target::Digest(expected) = target {
            verify("manifest", expected, got.clone())?;
        }
        if let Some(expected) = named_digest(&parts.headers) {
            verify("manifest", &expected, got.clone())?;
        }
        if let Some(expected) = size.filter(|&size| size != body.len() as u64) {
            let what = format!("manifest {got}");
            return Err(RegistryError::Size { what, got: body.len() as u64, expected });
        }
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let document = Document::parse(&body, &got, content_type)?;
        Ok((got, document))
    }

    fn manifest_exchange(&self, method: Method, target: &Target) -> Exchange {
        let target = match target {
            Target::Tag(tag) => tag.clone(),
            Target::Digest(digest) => digest.to_string(),
        };
        let path = format!("/v2/{}/manifests/{target}", self.reference.path());
        Exchange { method, path, accept: Some(ACCEPT), from: None }
    }

    fn blob_exchange(&self, digest: &Digest, from: u64) -> Exchange {
        let path = format!("/v2/{}/blobs/{digest}", self.reference.path());
        Exchange { method: Method::GET, path, accept: None, from: (from > 0).then_some(from) }
    }
}

fn verify(what: &'static str, expected: &Digest, got: Digest) -> Result<(), RegistryError> {
    if *expected == got {
        return Ok(());
    }
    Err(RegistryError::Digest { what, got, expected: expected.clone() })
}

/// The digest that a registry states, if it is one that can be computed here.
fn named_digest(headers: &http::HeaderMap) -> Option<Digest> {
    headers.get("docker-content-digest")?.to_str().ok()?.parse().ok()
}

/// Whether another try may help.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT
}

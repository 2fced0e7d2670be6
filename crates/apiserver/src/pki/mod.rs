//! The cluster's certificate authorities, its certificates and its keys.
//!
//! Invariants: everything here is made once and kept under the data dir, each credential in one file that holds key
//! and chain together, so that no crash leaves a key without its certificate; keys never leave files of mode 0600;
//! a leaf is made anew when it nears its end, its names change, or its authority is another.
//! Three authorities: one for servers (clients trust it), one for clients (servers trust it), and one for the front
//! proxy alone: whom it signed may name any user. All keys are P-256.

mod authority;
mod credential;
mod csr;
mod files;
mod inspect;
mod kubeconfig;
mod profile;
mod subject;
mod tls;

pub use authority::Authority;
pub use credential::Credential;
pub use csr::{CsrError, CsrView, KUBE_APISERVER_CLIENT, KUBE_APISERVER_CLIENT_KUBELET, KUBELET_SERVING, Signer};
pub use files::write_private;
pub use inspect::{Kept, forget_leaves, kept, lacks_leaves};
pub use kubeconfig::kubeconfig;
pub use tls::ShownCertificate;

use crate::callout::Identity;
use profile::Profile;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The only name that API servers behind this one believe, of those that the front proxy's authority signed.
pub(crate) const FRONT_PROXY: &str = "front-proxy-client";

/// What could not be done, and to what.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    #[error("reading {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("writing {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("{path} holds no usable key and certificate: {why}")]
    Damaged { path: PathBuf, why: String },
    #[error("making {what}: {source}")]
    Make { what: &'static str, source: rcgen::Error },
    #[error("configuring TLS: {0}")]
    Tls(String),
}

/// Under which names the API server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerNames {
    pub node_name: String,
    /// `cluster.local`.
    pub cluster_domain: String,
    /// The first IP of the service range, the node's, those it listens on.
    pub addresses: Vec<IpAddr>,
    /// Further DNS names, as a load balancer's.
    pub dns: Vec<String>,
}

/// All that `open` found or made.
pub struct Pki {
    /// Signs what servers show: the API server's and the kubelets' certificates.
    pub server_ca: Authority,
    /// Signs what clients show.
    pub client_ca: Authority,
    pub apiserver: Credential,
    /// `kubernetes-admin`, in `system:masters`.
    pub admin: Credential,
    /// As whom the API server talks to kubelets.
    pub kubelet_client: Credential,
    /// Signs what names this server to the API servers behind it.
    pub front_proxy_ca: Authority,
    /// As whom this server tells those who asks.
    pub front_proxy: Credential,
    /// Signs service account tokens; PEM files' contents, the signing one first.
    pub service_account_keys: Vec<String>,
}

impl Pki {
    /// Reads everything from `dir`, making what is missing or due; `now` in seconds since the epoch.
    pub fn open(dir: &Path, names: &ServerNames, now: i64) -> Result<Pki, PkiError> {
        files::private_dir(dir)?;
        let server_ca = Authority::open(&dir.join(inspect::file(inspect::SERVER_CA)), "sampan-server-ca", now)?;
        let client_ca = Authority::open(&dir.join(inspect::file(inspect::CLIENT_CA)), "sampan-client-ca", now)?;
        let leaf = |file: &str, authority: &Authority, profile: Profile| {
            Credential::open(&dir.join(inspect::file(file)), authority, &profile, now)
        };
        let apiserver = leaf(inspect::APISERVER, &server_ca, Profile::apiserver(names))?;
        let admin = leaf(inspect::ADMIN, &client_ca, Profile::client("kubernetes-admin", &["system:masters"]))?;
        let kubelet_client = leaf(
            inspect::KUBELET_CLIENT,
            &client_ca,
            Profile::client("kube-apiserver-kubelet-client", &["sampan:kubelet-api-admins"]),
        )?;
        let front_proxy_ca =
            Authority::open(&dir.join(inspect::file(inspect::FRONT_PROXY_CA)), "sampan-front-proxy-ca", now)?;
        let front_proxy = leaf(inspect::FRONT_PROXY, &front_proxy_ca, Profile::client(FRONT_PROXY, &[]))?;
        let service_account_keys = files::keys(&dir.join("service-account.pem"))?;
        files::sync_dir(dir)?;
        Ok(Pki {
            server_ca,
            client_ca,
            apiserver,
            admin,
            kubelet_client,
            front_proxy_ca,
            front_proxy,
            service_account_keys,
        })
    }

    /// As whom the API server asks those behind it, for `Parts`.
    pub fn front_proxy_identity(&self) -> Identity {
        let own = &self.front_proxy;
        Identity { certificate_pem: own.certificate_pem().to_owned(), key_pem: own.key_pem().to_owned() }
    }

    /// When the first leaf is due to be made anew, by `open`; in seconds since the epoch.
    pub fn due(&self) -> i64 {
        [&self.apiserver, &self.admin, &self.kubelet_client, &self.front_proxy]
            .map(Credential::due)
            .into_iter()
            .fold(i64::MAX, i64::min)
    }

    /// A client certificate of the cluster, signed now and not kept (a node's own, on the server's machine).
    pub fn issue_client(&self, user: &str, groups: &[&str], now: i64) -> Result<Credential, PkiError> {
        Credential::issue(&self.client_ca, &Profile::client(user, groups), now)
    }

    /// A serving certificate for a kubelet, signed now and not kept.
    pub fn issue_kubelet_serving(&self, node: &str, addresses: &[IpAddr], now: i64) -> Result<Credential, PkiError> {
        Credential::issue(&self.server_ca, &Profile::kubelet(node, addresses), now)
    }
}

#[cfg(test)]
pub(crate) use tests::test_csr;

#[cfg(test)]
mod tests;

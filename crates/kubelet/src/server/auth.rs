//! Who may ask the node.

use http::Method;
use rustls::pki_types::CertificateDer;

/// The API server's client, as upstream names it, and the administrators' group.
const API_SERVER: &str = "kube-apiserver-kubelet-client";
const MASTERS: &str = "system:masters";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Unauthorized,
    Forbidden { user: String },
}

impl Refusal {
    pub(super) fn code(&self) -> u16 {
        match self {
            Refusal::Unauthorized => 401,
            Refusal::Forbidden { .. } => 403,
        }
    }

    /// Upstream's words.
    pub(super) fn message(&self, method: &Method, path: &str) -> String {
        let verb = if method == Method::GET { "get" } else { "create" };
        match self {
            Refusal::Unauthorized => "Unauthorized".to_owned(),
            Refusal::Forbidden { user } => {
                let subresource = match path.split('/').nth(1).unwrap_or_default() {
                    "stats" => "stats",
                    "metrics" => "metrics",
                    "containerLogs" => "log",
                    _ => "proxy",
                };
                format!("Forbidden (user={user}, verb={verb}, resource=nodes, subresource={subresource})")
            }
        }
    }
}

/// `certificate` was verified against the cluster's authority.
pub(super) fn authorize(certificate: Option<&CertificateDer<'_>>) -> Result<(), Refusal> {
    let certificate = certificate.ok_or(Refusal::Unauthorized)?;
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| Refusal::Unauthorized)?;
    let subject = parsed.subject();
    let user = subject.iter_common_name().find_map(|name| name.as_str().ok()).unwrap_or_default();
    let is_admin = subject.iter_organization().any(|group| group.as_str() == Ok(MASTERS));
    if user == API_SERVER || is_admin {
        return Ok(());
    }
    Err(Refusal::Forbidden { user: user.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn check(name: &str, group: &str, wanted: Result<(), Refusal>) {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(authorize(Some(certificate.der())), wanted, "{name} {group}");
    }

    #[test]
    fn only_the_api_server_and_administrators_are_served() {
        check("kube-apiserver-kubelet-client", "x", Ok(()));
        check("alice", "system:masters", Ok(()));
        check("system:node:n2", "system:nodes", Err(Refusal::Forbidden { user: "system:node:n2".into() }));
        assert_eq!(authorize(None), Err(Refusal::Unauthorized));
    }

    #[test]
    fn refusals_speak_upstreams_words() {
        let refusal = Refusal::Forbidden { user: "alice".into() };
        let text = "Forbidden (user=alice, verb=create, resource=nodes, subresource=proxy)";
        assert_eq!(refusal.message(&Method::POST, "/exec/a/b/c"), text);
    }
}

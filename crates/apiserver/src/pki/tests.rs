//! Certificates that TLS accepts, files that are kept and renewed, and requests that are signed or refused.

use super::*;
use crate::authn::Keys;
use rcgen::{CertificateParams, DnType, DnValue, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

const DAY: i64 = 24 * 60 * 60;

/// A directory that goes away with the test.
struct Dir(std::path::PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("sampan-pki-{name}-{}", std::process::id()));
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

fn names() -> ServerNames {
    ServerNames {
        node_name: "n1".to_owned(),
        cluster_domain: "cluster.local".to_owned(),
        addresses: vec!["10.43.0.1".parse().unwrap(), "0.0.0.0".parse().unwrap()],
        dns: vec!["api.example.com".to_owned()],
    }
}

fn files(dir: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
        .collect()
}

/// A handshake in memory; the client's certificates as the server saw them.
fn handshake(
    pki: &Pki,
    credential: Option<&Credential>,
    name: &str,
    trusted: &Authority,
) -> Result<Option<Vec<CertificateDer<'static>>>, rustls::Error> {
    let serving = Arc::new(ShownCertificate::new(&pki.apiserver).unwrap());
    let mut server = rustls::ServerConnection::new(Arc::new(pki.server_config(serving).unwrap())).unwrap();
    let builder = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(tls::roots(trusted).unwrap());
    let config = match credential {
        Some(credential) => {
            let (chain, key) = credential.tls().unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets()?;
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut &wire[..]).unwrap();
        client.process_new_packets()?;
    }
    let mut wire = Vec::new();
    client.write_tls(&mut wire).unwrap();
    if !wire.is_empty() {
        server.read_tls(&mut &wire[..]).unwrap();
        server.process_new_packets()?;
    }
    Ok(server.peer_certificates().map(|chain| chain.iter().map(|one| one.clone().into_owned()).collect()))
}

#[test]
fn the_chains_hold_in_a_real_handshake() {
    let dir = Dir::new("handshake");
    let pki = Pki::open(&dir.0, &names(), now()).unwrap();
    for name in
        ["kubernetes.default.svc.cluster.local", "localhost", "n1", "api.example.com", "127.0.0.1", "10.43.0.1", "::1"]
    {
        assert_eq!(handshake(&pki, None, name, &pki.server_ca), Ok(None), "{name}");
    }
    assert!(handshake(&pki, None, "evil.example.com", &pki.server_ca).is_err(), "a name that is not ours");
    assert!(handshake(&pki, None, "localhost", &pki.client_ca).is_err(), "the client CA vouches for no server");
    let node = pki.issue_client("system:node:n1", &["system:nodes"], now()).unwrap();
    for credential in [&pki.admin, &pki.kubelet_client, &node] {
        let seen = handshake(&pki, Some(credential), "localhost", &pki.server_ca).unwrap().unwrap();
        assert_eq!(seen, credential.tls().unwrap().0);
    }
    let serving = pki.issue_kubelet_serving("n1", &[], now()).unwrap();
    assert!(
        handshake(&pki, Some(&serving), "localhost", &pki.server_ca).is_err(),
        "a server's certificate is no client's"
    );
}

#[test]
fn everything_is_made_once_and_readable_by_its_owner_only() {
    let dir = Dir::new("once");
    let first = Pki::open(&dir.0, &names(), now()).unwrap();
    let written = files(&dir.0);
    assert_eq!(written.len(), 8, "{:?}", written.keys());
    for name in written.keys() {
        let mode = std::fs::metadata(dir.0.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    let second = Pki::open(&dir.0, &names(), now()).unwrap();
    assert_eq!(files(&dir.0), written);
    assert_eq!(first.server_ca.public_key_hash(), second.server_ca.public_key_hash());
    Keys::from_pem(&first.service_account_keys).unwrap();
}

#[test]
fn leaves_are_renewed_when_due_and_authorities_are_not() {
    let dir = Dir::new("renew");
    let pki = Pki::open(&dir.0, &names(), now()).unwrap();
    let changed = |before: &BTreeMap<String, String>| -> Vec<String> {
        files(&dir.0).into_iter().filter(|(name, text)| before.get(name) != Some(text)).map(|(name, _)| name).collect()
    };
    let before = files(&dir.0);
    Pki::open(&dir.0, &ServerNames { dns: vec!["new.example.com".to_owned()], ..names() }, now()).unwrap();
    assert_eq!(changed(&before), ["apiserver.pem"], "other names");

    let before = files(&dir.0);
    Pki::open(&dir.0, &ServerNames { dns: vec!["new.example.com".to_owned()], ..names() }, now() + 300 * DAY).unwrap();
    let leaves = ["admin.pem", "apiserver-kubelet-client.pem", "apiserver.pem", "front-proxy-client.pem"];
    assert_eq!(changed(&before), leaves, "near their end");

    std::fs::write(dir.0.join("apiserver.pem"), "garbage").unwrap();
    let repaired = Pki::open(&dir.0, &names(), now()).unwrap();
    handshake(&repaired, None, "localhost", &pki.server_ca).unwrap();
    std::fs::write(dir.0.join("server-ca.pem"), "garbage").unwrap();
    let refused = Pki::open(&dir.0, &names(), now()).map(drop);
    assert!(matches!(refused, Err(PkiError::Damaged { .. })), "an authority is never silently replaced: {refused:?}");
}

#[test]
fn a_serving_certificate_is_replaced_without_a_restart() {
    let dir = Dir::new("replace");
    let pki = Pki::open(&dir.0, &names(), now()).unwrap();
    let serving = ShownCertificate::new(&pki.apiserver).unwrap();
    let other = pki.issue_kubelet_serving("n9", &[], now()).unwrap();
    serving.replace(&other).unwrap();
    assert_eq!(serving.present().cert[0], other.tls().unwrap().0[0]);
}

#[test]
fn a_leaf_is_due_when_a_third_of_its_own_life_is_left() {
    let (dir, begun) = (Dir::new("due"), now());
    let pki = Pki::open(&dir.0, &names(), begun).unwrap();
    let year = 365 * DAY;
    assert_eq!(pki.due(), begun + year - (year + 300) / 3);
    let before = files(&dir.0);
    assert_eq!(Pki::open(&dir.0, &names(), pki.due() - 1).unwrap().due(), pki.due());
    assert_eq!(files(&dir.0), before, "not yet");
    let renewed = Pki::open(&dir.0, &names(), pki.due()).unwrap();
    assert!(renewed.due() > pki.due() && files(&dir.0) != before);
    // The authority ends within a day: so does the leaf, which is good for most of that.
    let late = pki.server_ca.not_after() - DAY;
    let last = Pki::open(&dir.0, &names(), late).unwrap();
    assert_eq!(last.apiserver.not_after(), pki.server_ca.not_after());
    assert_eq!(last.due(), late + DAY - (DAY + 300) / 3);
}

#[test]
fn a_kubeconfig_has_everything_in_it() {
    let text = kubeconfig("https://127.0.0.1:6443", "CA", "CERT", "KEY");
    let value: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(value["clusters"][0]["cluster"]["server"], "https://127.0.0.1:6443");
    assert_eq!(value["clusters"][0]["cluster"]["certificate-authority-data"], "Q0E=");
    assert_eq!(value["users"][0]["user"]["client-key-data"], "S0VZ");
    assert_eq!(value["current-context"], "sampan");
}

fn params(common_name: &str, organization: &str, names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, DnValue::Utf8String(organization.to_owned()));
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

pub(crate) fn test_csr(common_name: &str, organization: &str, names: &[&str]) -> String {
    let key = KeyPair::generate().unwrap();
    params(common_name, organization, names).serialize_request(&key).unwrap().pem().unwrap()
}

#[test]
fn signs_what_the_signer_is_for_and_refuses_the_rest() {
    let dir = Dir::new("csr");
    let pki = Pki::open(&dir.0, &names(), now()).unwrap();
    let client = ["digital signature", "client auth"];
    let server = ["digital signature", "key encipherment", "server auth"];
    let cases: &[(Signer, String, &[&str], Result<(), &str>)] = &[
        (Signer::KubeletClient, test_csr("system:node:n1", "system:nodes", &[]), &client, Ok(())),
        (
            Signer::KubeletClient,
            test_csr("system:node:n1", "system:masters", &[]),
            &client,
            Err("subject organization is not system:nodes"),
        ),
        (
            Signer::KubeletClient,
            test_csr("n1", "system:nodes", &[]),
            &client,
            Err("subject common name does not begin with system:node:"),
        ),
        (
            Signer::KubeletClient,
            test_csr("system:node:", "system:nodes", &[]),
            &client,
            Err("subject common name does not begin with system:node:"),
        ),
        (
            Signer::KubeletClient,
            test_csr("system:node:n1", "system:nodes", &["n1"]),
            &client,
            Err("DNS subjectAltNames are not allowed"),
        ),
        (
            Signer::KubeletClient,
            test_csr("system:node:n1", "system:nodes", &["192.0.2.1"]),
            &client,
            Err("IP subjectAltNames are not allowed"),
        ),
        (Signer::KubeletClient, test_csr("system:node:n1", "system:nodes", &[]), &server, Err("usages did not match")),
        (
            Signer::KubeletClient,
            test_csr("system:node:n1", "system:nodes", &[]),
            &["client auth"],
            Err("usages did not match"),
        ),
        (Signer::KubeletServing, test_csr("system:node:n1", "system:nodes", &["n1", "192.0.2.1"]), &server, Ok(())),
        (
            Signer::KubeletServing,
            test_csr("system:node:n1", "system:nodes", &[]),
            &server,
            Err("DNS or IP subjectAltName is required"),
        ),
        (Signer::Client, test_csr("bob", "devs", &[]), &["client auth"], Ok(())),
        (Signer::Client, test_csr("bob", "devs", &[]), &["client auth", "server auth"], Err("usages did not match")),
        (Signer::Client, "no pem".to_owned(), &client, Err("PEM block type must be CERTIFICATE REQUEST")),
    ];
    for (signer, csr, usages, wanted) in cases {
        let usages: Vec<String> = usages.iter().map(|usage| (*usage).to_owned()).collect();
        let signed = pki.sign_csr(csr.as_bytes(), *signer, &usages, None, now());
        match wanted {
            Ok(()) => drop(signed.unwrap()),
            Err(text) => {
                let error = signed.unwrap_err().to_string();
                assert!(error.starts_with(text), "{error} is not {text}");
            }
        }
    }
}

#[test]
fn a_signed_subject_is_the_requests_own() {
    let dir = Dir::new("subject");
    let pki = Pki::open(&dir.0, &names(), now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let organization = DnType::CustomDnType(vec![2, 5, 4, 10]);
    let mut asked = params("bob", "devs", &[]);
    asked.distinguished_name.push(organization, "ops");
    let csr = asked.serialize_request(&key).unwrap().pem().unwrap();
    let usages = ["client auth".to_owned()];
    let pem = pki.sign_csr(csr.as_bytes(), Signer::Client, &usages, None, now()).unwrap();
    let credential = Credential::parse(&format!("{}{pem}", key.serialize_pem())).unwrap();
    let seen = handshake(&pki, Some(&credential), "localhost", &pki.server_ca).unwrap().unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&seen[0]).unwrap();
    let groups: Vec<&str> = parsed.subject().iter_organization().map(|group| group.as_str().unwrap()).collect();
    assert_eq!(groups, ["devs", "ops"]);
    asked.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 3]), "root");
    let csr = asked.serialize_request(&key).unwrap().pem().unwrap();
    assert_eq!(pki.sign_csr(csr.as_bytes(), Signer::Client, &usages, None, now()), Err(CsrError::Names));
}

#[test]
fn a_signed_request_works_and_is_no_longer_than_asked() {
    let dir = Dir::new("signed");
    let pki = Pki::open(&dir.0, &names(), now()).unwrap();
    let key = KeyPair::generate().unwrap();
    let csr = params("system:node:n1", "system:nodes", &[]).serialize_request(&key).unwrap().pem().unwrap();
    let usages = ["digital signature".to_owned(), "client auth".to_owned()];
    let start = now();
    let pem = pki.sign_csr(csr.as_bytes(), Signer::KubeletClient, &usages, Some(3600), start).unwrap();
    let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert_eq!(parsed.validity().not_after.timestamp(), start + 3600);
    assert!(!parsed.is_ca());
    let mut forged = csr.into_bytes();
    let middle = forged.len() / 2;
    forged[middle] = if forged[middle] == b'A' { b'B' } else { b'A' };
    assert!(
        pki.sign_csr(&forged, Signer::KubeletClient, &usages, None, start).is_err(),
        "a request that was tampered with"
    );

    let serving = Arc::new(ShownCertificate::new(&pki.apiserver).unwrap());
    pki.server_config(serving).unwrap();
    PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
}

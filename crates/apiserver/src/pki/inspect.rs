//! The certificates that lie in a folder: when each ends, and how the server is made to make them anew.
//!
//! Invariant: only leaves are ever taken away: nothing is lost with them, and who trusts an authority keeps trusting.

use super::{PkiError, files};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::io::ErrorKind;
use std::path::Path;

pub(super) const SERVER_CA: &str = "server-ca";
pub(super) const CLIENT_CA: &str = "client-ca";
pub(super) const FRONT_PROXY_CA: &str = "front-proxy-ca";
const AUTHORITIES: [&str; 3] = [SERVER_CA, CLIENT_CA, FRONT_PROXY_CA];

pub(super) const APISERVER: &str = "apiserver";
pub(super) const ADMIN: &str = "admin";
pub(super) const KUBELET_CLIENT: &str = "apiserver-kubelet-client";
pub(super) const FRONT_PROXY: &str = "front-proxy-client";
const LEAVES: [&str; 4] = [APISERVER, ADMIN, KUBELET_CLIENT, FRONT_PROXY];

/// A certificate of the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Of its file, without `.pem`.
    pub name: &'static str,
    pub is_authority: bool,
    /// In seconds since the epoch.
    pub not_after: i64,
}

pub(super) fn file(name: &str) -> String {
    format!("{name}.pem")
}

/// Those that are there, authorities first.
///
/// # Errors
/// For a file that cannot be read, or holds no certificate.
pub fn kept(dir: &Path) -> Result<Vec<Kept>, PkiError> {
    let mut all = Vec::new();
    for name in AUTHORITIES.into_iter().chain(LEAVES) {
        let path = dir.join(file(name));
        let Some(text) = files::read(&path)? else { continue };
        let damaged = |why: String| PkiError::Damaged { path: path.clone(), why };
        let blocks = files::pem_blocks(&text, "CERTIFICATE");
        let first = blocks.first().ok_or_else(|| damaged("no certificate".to_owned()))?;
        let der = CertificateDer::from_pem_slice(first.as_bytes()).map_err(|error| damaged(error.to_string()))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).map_err(|error| damaged(error.to_string()))?;
        let not_after = parsed.validity().not_after.timestamp();
        all.push(Kept { name, is_authority: AUTHORITIES.contains(&name), not_after });
    }
    Ok(all)
}

/// Whether nothing but a leaf is missing, which `Pki::open` would make. Where authorities are missing too, the folder is
/// being taken away, and others must not be made in it.
pub fn lacks_leaves(dir: &Path) -> bool {
    let is_there = |name: &&str| dir.join(file(name)).exists();
    AUTHORITIES.iter().all(is_there) && !LEAVES.iter().all(is_there)
}

/// Takes away the leaves, so that they are made anew; the names of those that were there.
///
/// # Errors
/// For a file that cannot be removed.
pub fn forget_leaves(dir: &Path) -> Result<Vec<&'static str>, PkiError> {
    let mut forgotten = Vec::new();
    for name in LEAVES {
        let path = dir.join(file(name));
        match std::fs::remove_file(&path) {
            Ok(()) => forgotten.push(name),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(source) => return Err(PkiError::Write { path, source }),
        }
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use super::super::{Pki, ServerNames};
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const DAY: i64 = 86_400;

    #[test]
    fn what_is_made_is_found_and_leaves_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("pki");
        assert_eq!(kept(&dir).unwrap(), []);
        let names = ServerNames::default();
        let first = Pki::open(&dir, &names, NOW).unwrap();
        let all = kept(&dir).unwrap();
        let ends: Vec<(&str, bool, i64)> =
            all.iter().map(|own| (own.name, own.is_authority, (own.not_after - NOW) / DAY)).collect();
        let wanted = AUTHORITIES.map(|name| (name, true, 3650)).into_iter();
        assert_eq!(ends, wanted.chain(LEAVES.map(|name| (name, false, 365))).collect::<Vec<_>>());
        let files = std::fs::read_dir(&dir).unwrap().count();
        assert_eq!(files, all.len() + 1, "beside these only the keys of service accounts");
        assert!(!lacks_leaves(&dir));
        assert_eq!(forget_leaves(&dir).unwrap(), LEAVES);
        assert!(lacks_leaves(&dir));
        let second = Pki::open(&dir, &names, NOW).unwrap();
        assert_ne!(first.apiserver.certificate_pem(), second.apiserver.certificate_pem());
        assert_ne!(first.front_proxy.certificate_pem(), second.front_proxy.certificate_pem());
        assert_eq!(first.server_ca.bundle_pem(), second.server_ca.bundle_pem());
    }
}

//! What a node needs to ask for its certificates: the server, its authority, and a join token.

use crate::settings::{Roles, Settings};
use crate::{commands, files};
use anyhow::{Context, Result, bail};
use apiserver::pki::Pki;
use base64::Engine;
use client::Client;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Kept in the data directory as `node/bootstrap.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BootstrapFile {
    pub(crate) server: String,
    pub(crate) ca_pem: String,
    pub(crate) token: String,
}

impl BootstrapFile {
    fn path(settings: &Settings) -> PathBuf {
        settings.data_dir.join("node").join("bootstrap.json")
    }

    pub(crate) fn save(&self, settings: &Settings) -> Result<()> {
        let path = BootstrapFile::path(settings);
        files::private_dir(&settings.data_dir.join("node"))?;
        files::write_private(&path, &serde_json::to_vec(self).context("encoding the bootstrap file")?)
    }

    /// What an earlier start kept.
    pub(crate) fn saved(settings: &Settings) -> Result<Option<BootstrapFile>> {
        let path = BootstrapFile::path(settings);
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).with_context(|| format!("reading {}", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Made by the server of this machine, or by finding the one that was joined.
    pub(crate) async fn load(settings: &Settings) -> Result<BootstrapFile> {
        if let Some(saved) = BootstrapFile::saved(settings)? {
            return Ok(saved);
        }
        let Roles::Node(servers) = &settings.roles else {
            bail!("the server did not leave {}", BootstrapFile::path(settings).display())
        };
        let mut refusals = Vec::new();
        for server in servers {
            match discover(settings, server).await {
                Ok(found) => {
                    found.save(settings)?;
                    return Ok(found);
                }
                Err(refusal) => refusals.push(format!("{refusal:#}")),
            }
        }
        bail!("{}", refusals.join("; "))
    }

    /// By the server for the node beside it: a token that no other machine is told.
    pub(crate) async fn for_own_node(settings: &Settings, client: &Client, pki: &Pki, now: i64) -> Result<()> {
        if BootstrapFile::path(settings).exists() {
            return Ok(());
        }
        let token = apiserver::bootstrap::NewToken {
            ttl_seconds: Some(3600),
            description: "for the node beside the server".to_owned(),
            ..commands::join_token()
        };
        let token = apiserver::bootstrap::create_bootstrap_token(client, &token, now).await?;
        let file =
            BootstrapFile { server: settings.server_url(), ca_pem: pki.server_ca.bundle_pem().to_owned(), token };
        file.save(settings)
    }
}

/// SHA-256 of an authority's certificate, in hexadecimal.
pub(crate) fn authority_pin(ca_pem: &str) -> Result<String> {
    let certificate =
        CertificateDer::from_pem_slice(ca_pem.as_bytes()).context("reading the cluster's certificate authority")?;
    Ok(digest(&certificate))
}

/// The pin of the server authority that a folder of keys has.
pub(crate) fn authority_of(pki: &Path) -> Result<String> {
    let path = pki.join("server-ca.pem");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    authority_pin(&text).with_context(|| format!("reading {}", path.display()))
}

fn digest(certificate: &CertificateDer<'_>) -> String {
    files::hexadecimal(ring::digest::digest(&ring::digest::SHA256, certificate).as_ref())
}

/// A join token is `ID.SECRET.PIN`: the pin, a digest of the server's authority, tells the real server from another.
pub(crate) fn split_token(token: &str) -> Result<(String, String)> {
    match token.split('.').collect::<Vec<_>>().as_slice() {
        [id, secret, pin] if id.len() == 6 && secret.len() == 16 && pin.len() == 64 => {
            Ok((format!("{id}.{secret}"), (*pin).to_owned()))
        }
        _ => bail!("the token is not of the form ID.SECRET.PIN that `sampan token create` prints"),
    }
}

/// Finds the authority that the token pins among what the server presents; only then is the token sent anywhere.
async fn discover(settings: &Settings, server: &str) -> Result<BootstrapFile> {
    let path = settings.data_dir.join("join-token");
    let token = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let (token, pin) = split_token(token.trim())?;
    let presented = client::presented_certificates(server).await?;
    let Some(authority) = presented.iter().find(|certificate| digest(certificate) == pin) else {
        bail!("{server} is not the server that made this token: none of its certificates is the one the token pins");
    };
    let ca_pem = pem_of(authority);
    Ok(BootstrapFile { server: server.to_owned(), ca_pem, token })
}

fn pem_of(certificate: &CertificateDer<'_>) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_pin() {
        let pin = "ab".repeat(32);
        let (token, found) = split_token(&format!("abcdef.0123456789abcdef.{pin}")).unwrap();
        assert_eq!((token.as_str(), found), ("abcdef.0123456789abcdef", pin));
        assert!(split_token("abcdef.0123456789abcdef").unwrap_err().to_string().contains("ID.SECRET.PIN"));
    }

    #[test]
    fn a_certificate_survives_its_pem() {
        let certificate = CertificateDer::from(vec![7; 100]);
        assert_eq!(CertificateDer::from_pem_slice(pem_of(&certificate).as_bytes()).unwrap(), certificate);
    }
}

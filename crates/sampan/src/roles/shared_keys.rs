//! The cluster's keys, in the etcd that holds its objects: so that every server over it is the same API to its clients.
//!
//! Invariants: what stands in etcd was put there once and is never replaced. The authorities and the key of service
//! accounts are sealed with a key that is derived from the server token: etcd and its backups alone open nothing. The
//! clear part beside them says whose they are and with which ranges; the seal covers it. A folder of keys that is there
//! already is never overwritten: it is of the cluster, or the server does not start.

use crate::files;
use crate::roles::bootstrap::authority_pin;
use crate::roles::server_token::ServerToken;
use crate::settings::{Datastore, Settings};
use anyhow::{Context, Result, bail};
use apiserver::pki::{Pki, ServerNames};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ipnet::Ipv4Net;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use store::{Etcd, Store};
use zeroize::Zeroizing;

/// Under which name they stand beside the data.
pub(crate) const KEYS: &str = "keys";
/// The authority's pin alone. It stays when the keys are taken away to be shared anew, with another token; and it is what a
/// restore leaves, until a server shares its keys.
pub(crate) const OWNER: &str = "owner";
/// What all servers of a cluster must have alike, of a folder of keys; all else each makes with these.
const FILES: [&str; 4] = ["server-ca.pem", "client-ca.pem", "front-proxy-ca.pem", "service-account.pem"];
const SERVER_CA: &str = FILES[0];
const PURPOSE: &[u8] = b"sampan: keys that servers share";
const SALT_BYTES: usize = 32;
const FORMAT: u32 = 1;

/// File names and texts.
type Files = BTreeMap<String, Zeroizing<String>>;

/// What every server must agree with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    /// The pin of the authority that signs what servers show.
    authority: String,
    pod_cidr: Ipv4Net,
    service_cidr: Ipv4Net,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shared {
    format: u32,
    cluster: Cluster,
    /// Both in base64.
    salt: String,
    sealed: String,
}

/// Has this server's folder of keys be the cluster's: with the keys that etcd has, or etcd with ours, or both with new
/// ones where there is no cluster yet.
pub(super) async fn agree(store: &Etcd, datastore: &Datastore, settings: &Settings) -> Result<()> {
    let place = datastore.endpoints.join(",");
    let folder = settings.data_dir.join("pki");
    let token = ServerToken::of(settings, datastore)?;
    let stands = store.shared(KEYS).await.with_context(|| format!("asking {place} for the cluster's keys"))?;
    let (stands, token) = match stands {
        Some(stands) => (stands, token),
        None => {
            let token = token.map_or_else(ServerToken::make, Ok)?;
            token.keep(settings)?;
            (offer(store, &place, settings, &folder, &token).await?, Some(token))
        }
    };
    let shared: Shared =
        serde_json::from_slice(&stands).with_context(|| format!("reading the cluster's keys in {place}"))?;
    shared.check(&place, settings)?;
    let own = read(&folder)?;
    check_authority(&shared, &place, &own, &folder)?;
    let source = ServerToken::source(settings, datastore);
    let is_whole = own.len() == FILES.len();
    match token.map(|token| (shared.open(&token), token)) {
        Some((Ok(files), token)) => {
            adopt(&files, &own, &folder)?;
            token.keep(settings)?;
        }
        // The cluster has another token since; what this server needs it has.
        Some((Err(error), _)) if is_whole && datastore.server_token_file.as_ref() != Some(&source) => {
            tracing::warn!("{}: {error:#}", wrong_token(&place, &source));
        }
        Some((Err(error), _)) => return Err(error.context(wrong_token(&place, &source))),
        None if is_whole => {}
        None => bail!(
            "{place} holds the keys of a cluster, sealed with its server token, and this server has none: bring the \
             file server-token of a data directory whose server runs, and name it with --server-token-file"
        ),
    }
    let authority = shared.cluster.authority.as_bytes();
    store.share(OWNER, authority).await.with_context(|| format!("saying whose objects {place} holds"))?;
    Ok(())
}

/// Puts our keys in etcd, or new ones; what stands there then, which may be another server's.
async fn offer(store: &Etcd, place: &str, settings: &Settings, folder: &Path, token: &ServerToken) -> Result<Vec<u8>> {
    let mut own = read(folder)?;
    let objects = store.range("/", None, 1, None).await.with_context(|| format!("asking {place} what it holds"))?;
    let owner = store.shared(OWNER).await.with_context(|| format!("asking {place} whose objects it holds"))?;
    let is_empty = objects.items.is_empty() && owner.is_none();
    match own.get(SERVER_CA) {
        Some(authority) if own.len() == FILES.len() => {
            let pin = authority_pin(authority)?;
            if !is_empty && owner.as_deref() != Some(pin.as_bytes()) {
                bail!(
                    "{place} holds the objects of another cluster than the one whose keys are in {}: name another etcd, \
                     or another --data-dir",
                    folder.display()
                );
            }
        }
        _ if is_empty => own = made(settings)?,
        _ => bail!(
            "{place} holds a cluster's objects, but not its keys: bring the pki directory of its last server to {}; new \
             keys would lock out its nodes and users",
            folder.display()
        ),
    }
    let cluster = Cluster {
        authority: authority_pin(&own[SERVER_CA])?,
        pod_cidr: settings.pod_cidr,
        service_cidr: settings.service_cidr,
    };
    let shared = Shared::seal(cluster, &own, token)?;
    let value = serde_json::to_vec(&shared).context("encoding the cluster's keys")?;
    store.share(KEYS, &value).await.with_context(|| format!("putting the cluster's keys in {place}"))
}

/// The pin of the authority whose cluster an etcd holds, by what stands there under `KEYS` and `OWNER`.
pub(crate) fn owner(keys: Option<Vec<u8>>, owner: Option<Vec<u8>>) -> Result<Option<String>> {
    let Some(keys) = keys else { return Ok(owner.map(|owner| String::from_utf8_lossy(&owner).into_owned())) };
    let shared: Shared = serde_json::from_slice(&keys).context("reading the cluster's keys")?;
    Ok(Some(shared.cluster.authority))
}

/// The keys of a new cluster, on no disk after this.
fn made(settings: &Settings) -> Result<Files> {
    let folder = settings.data_dir.join("pki.tmp");
    files::remove_tree_if_there(&folder)?;
    Pki::open(&folder, &ServerNames::default(), super::server::now()).context("making the cluster's keys")?;
    let made = read(&folder);
    files::remove_tree_if_there(&folder)?;
    made
}

/// Those of the files that are there.
fn read(folder: &Path) -> Result<Files> {
    let mut found = Files::new();
    for name in FILES {
        let path = folder.join(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => drop(found.insert(name.to_owned(), Zeroizing::new(text))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
    Ok(found)
}

fn check_authority(shared: &Shared, place: &str, own: &Files, folder: &Path) -> Result<()> {
    let Some(authority) = own.get(SERVER_CA) else { return Ok(()) };
    let (pin, theirs) = (authority_pin(authority)?, &shared.cluster.authority);
    if pin != *theirs {
        bail!(
            "{place} holds the objects of a cluster with another certificate authority ({theirs}, ours is {pin}): to \
             serve that cluster, give this server a --data-dir of its own or remove {}",
            folder.display()
        );
    }
    Ok(())
}

/// Writes what is missing. What the operator has changed here (a further key of service accounts, say) is not undone.
fn adopt(shared: &Files, own: &Files, folder: &Path) -> Result<()> {
    files::private_dir(folder)?;
    for (name, text) in shared.iter().filter(|(name, _)| FILES.contains(&name.as_str())) {
        match own.get(name) {
            None => files::write_private(&folder.join(name), text.as_bytes())?,
            Some(present) if present == text => {}
            Some(_) => {
                let path = folder.join(name);
                tracing::warn!(path = %path.display(), "differs from what servers of this cluster share: bring it to each of them");
            }
        }
    }
    match FILES.iter().find(|name| !shared.contains_key(**name)) {
        Some(missing) => bail!("the cluster's keys are without {missing}"),
        None => Ok(()),
    }
}

fn wrong_token(place: &str, source: &Path) -> String {
    format!("{} is not the server token of the cluster that {place} holds", source.display())
}

impl Shared {
    fn seal(cluster: Cluster, files: &Files, token: &ServerToken) -> Result<Shared> {
        let salt = super::server_token::random::<SALT_BYTES>()?;
        let plain: BTreeMap<&str, &str> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let mut sealed = Zeroizing::new(serde_json::to_vec(&plain).context("encoding the cluster's keys")?);
        let (key, nonce) = key(token, &salt)?;
        let covered = Aad::from(serde_json::to_vec(&cluster).context("encoding the cluster's ranges")?);
        let sealing = key.seal_in_place_append_tag(nonce, covered, &mut *sealed);
        sealing.ok().context("sealing the cluster's keys")?;
        Ok(Shared { format: FORMAT, cluster, salt: BASE64.encode(salt), sealed: BASE64.encode(&*sealed) })
    }

    fn open(&self, token: &ServerToken) -> Result<Files> {
        let decode = |text: &str| BASE64.decode(text).context("decoding the cluster's keys");
        let (salt, mut sealed) = (decode(&self.salt)?, Zeroizing::new(decode(&self.sealed)?));
        let (key, nonce) = key(token, &salt)?;
        let covered = Aad::from(serde_json::to_vec(&self.cluster).context("encoding the cluster's ranges")?);
        let plain =
            key.open_in_place(nonce, covered, &mut sealed).ok().context("it does not open the cluster's keys")?;
        let files: BTreeMap<String, String> =
            serde_json::from_slice(plain).context("reading what was sealed of the cluster's keys")?;
        Ok(files.into_iter().map(|(name, text)| (name, Zeroizing::new(text))).collect())
    }

    fn check(&self, place: &str, settings: &Settings) -> Result<()> {
        if self.format != FORMAT {
            bail!("the cluster's keys in {place} have format {}, which this build does not read", self.format);
        }
        let cluster = &self.cluster;
        for (flag, own, theirs) in [
            ("--pod-cidr", settings.pod_cidr, cluster.pod_cidr),
            ("--service-cidr", settings.service_cidr, cluster.service_cidr),
        ] {
            if own != theirs {
                bail!("{flag} {own} is not the range of the cluster that {place} holds: give {flag} {theirs}");
            }
        }
        Ok(())
    }
}

/// Used for one sealing only, since the salt is its own: so that the nonce need not differ.
fn key(token: &ServerToken, salt: &[u8]) -> Result<(LessSafeKey, Nonce)> {
    let derived = Salt::new(HKDF_SHA256, salt).extract(token.secret());
    let purpose = [PURPOSE];
    let derived = derived.expand(&purpose, &AES_256_GCM).ok().context("deriving a key from the server token")?;
    Ok((LessSafeKey::new(UnboundKey::from(derived)), Nonce::assume_unique_for_key([0; NONCE_LEN])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        let range = |text: &str| text.parse().unwrap();
        Cluster { authority: "ab".repeat(32), pod_cidr: range("10.42.0.0/16"), service_cidr: range("10.43.0.0/16") }
    }

    fn keys() -> Files {
        FILES.map(|name| (name.to_owned(), Zeroizing::new(format!("the text of {name}")))).into()
    }

    #[test]
    fn sealed_keys_open_with_their_token_and_their_cluster_only() {
        let (token, other) = (ServerToken::make().unwrap(), ServerToken::make().unwrap());
        let shared = Shared::seal(cluster(), &keys(), &token).unwrap();
        let text = serde_json::to_string(&shared).unwrap();
        assert!(!text.contains("the text of"), "{text}");
        let mut read: Shared = serde_json::from_str(&text).unwrap();
        assert_eq!(read.open(&token).unwrap(), keys());
        assert!(read.open(&other).is_err(), "another token");
        read.cluster.service_cidr = "10.96.0.0/12".parse().unwrap();
        assert!(read.open(&token).is_err(), "the clear part was changed");
        let twice = Shared::seal(cluster(), &keys(), &token).unwrap();
        assert_ne!(twice.sealed, shared.sealed, "each sealing has a key of its own");
    }

    #[test]
    fn what_is_missing_is_written_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("pki");
        adopt(&keys(), &Files::new(), &folder).unwrap();
        assert_eq!(read(&folder).unwrap(), keys());
        let path = folder.join("service-account.pem");
        std::fs::write(&path, "with another key").unwrap();
        std::fs::remove_file(folder.join("client-ca.pem")).unwrap();
        adopt(&keys(), &read(&folder).unwrap(), &folder).unwrap();
        assert_eq!(std::fs::read_to_string(path).unwrap(), "with another key");
        assert_eq!(std::fs::read_to_string(folder.join("client-ca.pem")).unwrap(), "the text of client-ca.pem");
        let mut few = keys();
        few.remove("client-ca.pem");
        assert!(adopt(&few, &Files::new(), &folder).unwrap_err().to_string().contains("without client-ca.pem"));
    }
}

//! Which engine a data directory's cluster keeps its objects in: the directory's own store, or an etcd.
//!
//! Invariant: a server never begins with an empty engine where its directory says that the objects are in another one.

use crate::files;
use crate::roles::{self, KEYS, OWNER};
use crate::settings::{Datastore, Settings};
use anyhow::{Context, Result, bail};
use std::path::Path;
use store::{Etcd, EtcdOptions, EtcdTls};

/// The file that names the etcd, from the first time that a server had it open. (The embedded store is its own
/// evidence.)
pub(crate) const RECORD: &str = "datastore";

/// Refuses to start with another engine than the one that has the objects.
pub(crate) fn check(settings: &Settings) -> Result<()> {
    if !settings.roles.server() {
        return Ok(());
    }
    let data_dir = &settings.data_dir;
    match (&settings.datastore, recorded(data_dir)?) {
        (Some(_), None) if data_dir.join("store").exists() => bail!(
            "this cluster's objects are in {0}: start it without --datastore-endpoint; or move them: `sampan backup FILE \
             --data-dir {1}`, and when nothing runs any more `sampan restore FILE --data-dir {1} --overwrite \
             --datastore-endpoint URL`",
            data_dir.join("store").display(),
            data_dir.display(),
        ),
        (None, Some(endpoints)) => bail!(
            "this cluster's objects are in the etcd {endpoints}: start it with --datastore-endpoint {endpoints}; or move \
             them: `sampan backup FILE --data-dir {0}`, and when nothing runs any more `sampan restore FILE --data-dir \
             {0} --overwrite --embedded`",
            data_dir.display(),
        ),
        _ => Ok(()),
    }
}

/// Remembers that the objects are in this etcd.
pub(crate) fn record(data_dir: &Path, datastore: &Datastore) -> Result<()> {
    files::write_private(&data_dir.join(RECORD), datastore.endpoints.join(",").as_bytes())
}

/// The endpoints of the etcd that has the objects, if one has.
pub(crate) fn recorded(data_dir: &Path) -> Result<Option<String>> {
    let path = data_dir.join(RECORD);
    match std::fs::read_to_string(&path) {
        Ok(endpoints) => Ok(Some(endpoints)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

/// Refuses an etcd without a word of any cluster where this cluster's objects should be.
pub(crate) async fn check_there(store: &Etcd, settings: &Settings, datastore: &Datastore) -> Result<()> {
    let place = datastore.endpoints.join(",");
    if recorded(&settings.data_dir)?.is_none() || owner(store).await.with_context(|| place.clone())?.is_some() {
        return Ok(());
    }
    bail!(
        "{place} has nothing of this cluster, whose objects {} says to be in an etcd: name the right one with \
         --datastore-endpoint, or bring a backup into this one: `sampan restore FILE --data-dir {} --overwrite \
         --datastore-endpoint {place}`",
        settings.data_dir.join(RECORD).display(),
        settings.data_dir.display(),
    )
}

/// The pin of the authority whose cluster an etcd holds.
pub(crate) async fn owner(store: &Etcd) -> Result<Option<String>> {
    roles::owner(store.shared(KEYS).await?, store.shared(OWNER).await?)
}

/// How to reach an etcd: reads its certificates.
pub(crate) fn options(datastore: &Datastore) -> Result<EtcdOptions> {
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("reading {}", path.display()));
    let tls = match &datastore.ca_file {
        None => None,
        Some(ca) => {
            let files = datastore.identity_files.as_ref();
            let identity = files.map(|(certificate, key)| Ok::<_, anyhow::Error>((read(certificate)?, read(key)?)));
            Some(EtcdTls { ca: read(ca)?, identity: identity.transpose()? })
        }
    };
    Ok(EtcdOptions { endpoints: datastore.endpoints.clone(), tls, ..EtcdOptions::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{DataDir, Flags, UpArgs};
    use crate::settings::Roles;

    fn settings(data_dir: &Path, endpoint: Option<&str>) -> Settings {
        let node_ip = Some([192, 0, 2, 1].into());
        let flags = Flags { node_ip, datastore_endpoint: endpoint.map(str::to_owned), ..Flags::default() };
        let data_dir = DataDir { data_dir: data_dir.to_owned() };
        Settings::from_up(&UpArgs { data_dir, flags, config: None, detach: false }, Roles::Server).unwrap()
    }

    #[test]
    fn a_dropped_or_changed_flag_does_not_begin_an_empty_cluster() {
        let folder = tempfile::tempdir().unwrap();
        let (embedded, etcd) = (settings(folder.path(), None), settings(folder.path(), Some("http://192.0.2.9:2379")));
        check(&embedded).unwrap();
        check(&etcd).unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        check(&embedded).unwrap();
        let refused = check(&etcd).unwrap_err().to_string();
        assert!(refused.contains("start it without --datastore-endpoint; or move them"), "{refused}");
        std::fs::remove_dir(folder.path().join("store")).unwrap();
        record(folder.path(), etcd.datastore.as_ref().unwrap()).unwrap();
        check(&etcd).unwrap();
        let refused = check(&embedded).unwrap_err().to_string();
        assert!(refused.contains("start it with --datastore-endpoint http://192.0.2.9:2379"), "{refused}");
    }
}

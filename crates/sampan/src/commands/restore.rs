//! `restore`: a data directory made of a backup, and where its objects are to be in an etcd, that etcd; whole or not at
//! all.
//!
//! Invariants: nothing is changed before the whole backup was read and every refusal considered. An etcd is filled
//! before the directory changes; until it is whole it is closed for servers.

use crate::cli::RestoreArgs;
use crate::engine;
use crate::roles::{self, KEYS, OWNER, authority_of};
use crate::settings::{Datastore, Roles, Settings};
use crate::{archive, files, instance, restored};
use anyhow::{Context, Result, bail};
use std::path::Path;
use store::{Embedded, EtcdRestore, Revision, Store};

/// How many revisions a restored state is ahead of its backup. Nobody may see a revision twice with different content:
/// who watched the cluster saw at most as many since the backup, were it a week of 1,500 writes a second. They are told
/// that their revision is gone (410), and list again.
const REVISIONS_AHEAD: u64 = 1_000_000_000;

pub(crate) fn restore(args: &RestoreArgs) -> Result<()> {
    let data_dir = std::path::absolute(&args.data_dir.data_dir).context("the data directory's path")?;
    let was_there = data_dir.exists();
    files::private_dir(&data_dir)?;
    let restored = into(args, &data_dir);
    if restored.is_err() && !was_there {
        files::remove_tree_if_there(&data_dir)?;
    }
    let revision = restored?;
    println!("{} is at revision {revision}; start it with", data_dir.display());
    println!("sampan resume --detach --data-dir {}", data_dir.display());
    Ok(())
}

fn into(args: &RestoreArgs, data_dir: &Path) -> Result<Revision> {
    let Some(_held) = instance::lock(data_dir)? else {
        bail!("a sampan runs in {}: end it first (`sampan status` tells its pid)", data_dir.display());
    };
    // An earlier restore that was committed counts: what it brought is what is there now.
    restored::finish(data_dir)?;
    if !args.overwrite && !is_empty(data_dir)? {
        bail!("{} is not empty: --overwrite replaces the cluster's state in it", data_dir.display());
    }
    let prepared = restored::prepare(data_dir)?;
    let revision = prepare(args, &prepared, data_dir);
    match revision {
        Ok(_) => restored::commit(data_dir)?,
        Err(_) => files::remove_tree_if_there(&prepared)?,
    }
    revision
}

/// Whether nothing of a cluster is there; the lock's own file and leftovers of a restore are nothing.
fn is_empty(data_dir: &Path) -> Result<bool> {
    const NOTHING: [&str; 2] = ["sampan.lock", "restore.tmp"];
    let mut entries = std::fs::read_dir(data_dir).with_context(|| format!("reading {}", data_dir.display()))?;
    Ok(entries.all(|entry| entry.is_ok_and(|entry| NOTHING.iter().any(|name| entry.file_name() == *name))))
}

/// The whole state in a directory of its own, each part checked by whoever will read it; and in its etcd, if it is to
/// have one.
fn prepare(args: &RestoreArgs, prepared: &Path, data_dir: &Path) -> Result<Revision> {
    archive::unpack(&args.file, prepared)?;
    let settings = Settings::load(prepared).context("the backup's settings")?;
    let datastore = datastore(args, settings.datastore.clone())?;
    Settings { data_dir: data_dir.to_owned(), datastore: datastore.clone(), ..settings }.save_in(prepared)?;
    let authority = authority_of(&prepared.join("pki")).context("the backup's keys")?;
    let own_pki = data_dir.join("pki");
    let other = if own_pki.exists() { authority_of(&own_pki)? != authority } else { data_dir.join("node").exists() };
    if other {
        bail!("{} is of another cluster: `sampan reset` ends and removes it", data_dir.display());
    }
    let unpacked = prepared.join("store");
    let store = Embedded::open(&unpacked, store::Options::default()).context("opening the backup's store")?;
    let Some(datastore) = datastore else { return ahead(store, &unpacked, prepared) };
    engine::record(prepared, &datastore)?;
    let filled = super::small_runtime()?.block_on(fill(&store, &datastore, &authority, args.overwrite));
    drop(store);
    files::remove_tree_if_there(&unpacked)?;
    filled.with_context(|| format!("restoring into {}", datastore.endpoints.join(",")))
}

/// Where the objects are to be: as the flags say, else as it was.
fn datastore(args: &RestoreArgs, was: Option<Datastore>) -> Result<Option<Datastore>> {
    let asked = Datastore::from_flags(&args.datastore_flags(), &Roles::Server)?;
    Ok(if args.embedded { None } else { asked.or(was) })
}

/// The backup's store in its own place, ahead of all that anybody saw.
fn ahead(store: Embedded, unpacked: &Path, prepared: &Path) -> Result<Revision> {
    let ahead = prepared.join("store.ahead");
    let revision = store.backup_ahead(&ahead, REVISIONS_AHEAD).context("copying the backup's store")?;
    drop(store);
    files::remove_tree_if_there(unpacked)?;
    std::fs::rename(&ahead, unpacked).context("renaming the restored store")?;
    files::sync_names(Some(prepared))?;
    Ok(revision)
}

async fn fill(store: &Embedded, datastore: &Datastore, authority: &str, overwrite: bool) -> Result<Revision> {
    let options = engine::options(datastore)?;
    let state = store.range("/", None, 0, None).await.context("reading the backup's store")?;
    store::check_sizes(&options, &state.items).context("an object is too large for etcd")?;
    let restore = EtcdRestore::begin(options, &format!("`sampan restore`, pid {}", std::process::id())).await?;
    if let Some(refusal) = refusal(&restore, authority, overwrite).await.transpose() {
        restore.abandon().await?;
        bail!(refusal?);
    }
    let restoring = restore.clear(Revision(state.revision.0 + REVISIONS_AHEAD)).await?;
    let filled = async {
        restoring.put(state.items).await?;
        restoring.finish(&[(OWNER, authority.as_bytes())]).await
    };
    filled.await.context("it is half done: no server starts with this etcd before a restore into it succeeds")
}

async fn refusal(restore: &EtcdRestore, authority: &str, overwrite: bool) -> Result<Option<String>> {
    if restore.is_empty().await? {
        return Ok(None);
    }
    let owner = roles::owner(restore.shared(KEYS).await?, restore.shared(OWNER).await?)?;
    if owner.as_deref() != Some(authority) {
        return Ok(Some(format!(
            "it holds the objects of another cluster (whose authority is {owner:?}, the backup's is {authority:?}): \
             `etcdctl del --prefix /sampan` removes them"
        )));
    }
    Ok((!overwrite).then(|| "it is not empty: --overwrite replaces the cluster's state in it".to_owned()))
}

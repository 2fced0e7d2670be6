//! `restore`: a data directory made of a backup, whole or not at all.

use crate::cli::RestoreArgs;
use crate::roles::authority_of;
use crate::settings::Settings;
use crate::{archive, files, instance, restored};
use anyhow::{Context, Result, bail};
use std::path::Path;
use store::{Embedded, Revision};

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
    let revision = prepare(&args.file, &prepared, data_dir);
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

/// The whole state in a directory of its own, each part checked by whoever will read it.
fn prepare(file: &Path, prepared: &Path, data_dir: &Path) -> Result<Revision> {
    archive::unpack(file, prepared)?;
    let settings = Settings::load(prepared).context("the backup's settings")?;
    Settings { data_dir: data_dir.to_owned(), ..settings }.save_in(prepared)?;
    let authority = authority_of(&prepared.join("pki")).context("the backup's keys")?;
    let own_pki = data_dir.join("pki");
    let other = if own_pki.exists() { authority_of(&own_pki)? != authority } else { data_dir.join("node").exists() };
    if other {
        bail!("{} is of another cluster: `sampan reset` ends and removes it", data_dir.display());
    }
    let (unpacked, ahead) = (prepared.join("store"), prepared.join("store.ahead"));
    let store = Embedded::open(&unpacked, store::Options::default()).context("opening the backup's store")?;
    let revision = store.backup_ahead(&ahead, REVISIONS_AHEAD).context("copying the backup's store")?;
    drop(store);
    files::remove_tree_if_there(&unpacked)?;
    std::fs::rename(&ahead, &unpacked).context("renaming the restored store")?;
    files::sync_names(Some(prepared))?;
    Ok(revision)
}

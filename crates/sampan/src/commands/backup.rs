//! `backup`: the cluster's state and keys in one file, of a running cluster or a stopped one.
//!
//! The state is one revision's, whatever is written meanwhile; the keys never change.

use crate::archive::Writer;
use crate::cli::BackupArgs;
use crate::control::{self, Answer, Question};
use crate::files;
use crate::instance::{self, Status};
use crate::roles::control_socket;
use crate::settings::Settings;
use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::{Path, PathBuf};
use store::Embedded;

pub(crate) fn backup(args: &BackupArgs) -> Result<()> {
    let settings = Settings::load(&args.data_dir.data_dir)?;
    if !settings.roles.server() {
        bail!("{} is a joined node's: the state is on the server's machine", settings.data_dir.display());
    }
    if let Some(datastore) = &settings.datastore {
        bail!(
            "the cluster's objects are in etcd ({}), which has a copy of its own: etcdctl snapshot save FILE; the \
             cluster's keys are in {}",
            datastore.endpoints.join(","),
            settings.data_dir.join("pki").display()
        );
    }
    if let Some(datastore) = &settings.datastore {
        bail!(
            "this cluster's state is in etcd at {}: `etcdctl snapshot save` copies it; its keys are in {}",
            datastore.endpoints.join(","),
            settings.data_dir.join("pki").display()
        );
    }
    let copy = Copy::make(&settings)?;
    let now = jiff::Timestamp::now().as_second().cast_unsigned();
    let mut writer = Writer::create(&args.file, now)?;
    writer.bytes("settings.json", &serde_json::to_vec_pretty(&settings).context("encoding the settings")?)?;
    writer.folder("pki", &settings.data_dir.join("pki"))?;
    writer.folder("store", &copy.store())?;
    writer.finish()?;
    println!("{}: revision {}", args.file.display(), copy.revision);
    Ok(())
}

/// The store as it was at one revision, for as long as this lives.
struct Copy {
    folder: PathBuf,
    revision: u64,
    _held: Flock<File>,
}

impl Copy {
    fn make(settings: &Settings) -> Result<Copy> {
        let folder = settings.data_dir.join("backup.tmp");
        files::private_dir(&folder)?;
        let held = File::open(&folder).with_context(|| format!("opening {}", folder.display()))?;
        let Ok(held) = Flock::lock(held, FlockArg::LockExclusiveNonblock) else {
            bail!("another backup of {} is being made", settings.data_dir.display());
        };
        let mut copy = Copy { folder, revision: 0, _held: held };
        files::remove_tree_if_there(&copy.store())?;
        copy.revision = write(settings, &copy.store())?;
        Ok(copy)
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = files::remove_tree_if_there(&self.folder) {
            super::complain(&error);
        }
    }
}

/// By the server that runs, which has the store open; else by us.
fn write(settings: &Settings, into: &Path) -> Result<u64> {
    let data_dir = &settings.data_dir;
    if Status::of(data_dir)?.is_some() {
        let question = Question::Backup(into.to_owned());
        let answer = super::small_runtime()?.block_on(control::ask(&control_socket(settings), &question))?;
        return match answer {
            Answer::Backup(revision) => Ok(revision),
            Answer::Failed(reason) => bail!("copying the store: {reason}"),
        };
    }
    let Some(_held) = instance::lock(data_dir)? else { bail!("a sampan is starting in {}", data_dir.display()) };
    let store = Embedded::open(data_dir.join("store"), store::Options::default()).context("opening the store")?;
    Ok(store.backup(into).context("copying the store")?.0)
}

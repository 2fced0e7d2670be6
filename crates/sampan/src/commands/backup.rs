//! `backup`: the cluster's state and keys in one file, of a running cluster or a stopped one.
//!
//! The state is one revision's, whatever is written meanwhile; the keys never change.

use crate::archive::Writer;
use crate::cli::BackupArgs;
use crate::control::{self, Answer, Question};
use crate::engine;
use crate::files;
use crate::instance::{self, Status};
use crate::roles::{authority_of, control_socket};
use crate::settings::{Datastore, Settings};
use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use std::fs::File;
use std::path::{Path, PathBuf};
use store::{Embedded, Etcd, EtcdOptions, Range, Store};

pub(crate) fn backup(args: &BackupArgs) -> Result<()> {
    let settings = Settings::load(&args.data_dir.data_dir)?;
    if !settings.roles.server() {
        bail!("{} is a joined node's: the state is on the server's machine", settings.data_dir.display());
    }
    let copy = Copy::make(&settings)?;
    let now = jiff::Timestamp::now().as_second().cast_unsigned();
    let mut writer = Writer::create(&args.file, now)?;
    writer.bytes("settings.json", &serde_json::to_vec_pretty(&settings).context("encoding the settings")?)?;
    writer.folder("pki", &settings.data_dir.join("pki"))?;
    let server_token = settings.data_dir.join("server-token");
    if server_token.exists() {
        writer.file("server-token", &server_token)?;
    }
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

/// From etcd by us; else by the server that runs, which has the store open; else by us.
fn write(settings: &Settings, into: &Path) -> Result<u64> {
    let data_dir = &settings.data_dir;
    if let Some(datastore) = &settings.datastore {
        let read = super::small_runtime()?.block_on(read(datastore, &authority_of(&data_dir.join("pki"))?));
        let state = read.with_context(|| format!("reading from {}", datastore.endpoints.join(",")))?;
        store::write_copy(into, state.revision, state.items).context("writing the copy of the store")?;
        return Ok(state.revision.0);
    }
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

/// All objects at one revision. What servers keep among themselves (claims, and what only one object may have) begins
/// with no slash: it is none of the state, or follows from it.
async fn read(datastore: &Datastore, authority: &str) -> Result<Range> {
    let options = EtcdOptions { compact_every: None, ..engine::options(datastore)? };
    let store = Etcd::open(options).await?;
    let owner = engine::owner(&store).await?;
    if owner.as_deref() != Some(authority) {
        bail!("it holds the objects of {owner:?}, and this cluster's authority is {authority:?}");
    }
    Ok(store.range("/", None, 0, None).await?)
}

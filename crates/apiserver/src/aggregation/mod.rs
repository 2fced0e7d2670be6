//! API servers of others behind this one: an APIService that names a service has its group version answered there.
//!
//! `follow` keeps the table of APIServices, `registration` the local ones among them; `availability` is the task of one
//! remote server, `condition` says in its APIService what became of it; `proxy` hands requests on, `forward` those of components in this process, `discovered` is what
//! such a server says that it serves.
//!
//! Invariants: a request has been authenticated and authorized here before anything of it is sent on; whoever asks is
//! named in headers that only the front proxy's certificate makes believable; a server that failed its check is asked
//! nothing but the check. Bound: one task, two narrow watches and one discovery document per remote APIService.

mod availability;
mod condition;
mod discovered;
mod follow;
mod forward;
mod openapi;
mod priority;
mod proxy;
mod registration;
mod remote;
mod table;
mod watch;

pub(crate) use discovered::Discovered;
pub(crate) use forward::{forward, kinds};
pub(crate) use openapi::merged as merged_openapi;
pub(crate) use proxy::proxy;
pub(crate) use remote::{Remote, State};
pub(crate) use table::Table;
pub(crate) use watch::watch;

use crate::backend::Backend;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is known of APIServices, for those who answer requests.
#[derive(Default)]
pub(crate) struct Aggregation {
    table: ArcSwap<Table>,
    /// Whether the table is what APIServices say, and not empty because they are being read.
    is_read: AtomicBool,
}

impl Aggregation {
    /// The server that answers a path, if it is not this one.
    pub(crate) fn remote(&self, path: &str) -> Option<Arc<Remote>> {
        let table = self.table.load();
        if !table.has_remotes() {
            return None;
        }
        // Its document goes with its group version.
        let path = path.strip_prefix("/openapi/v3").unwrap_or(path);
        let (group, rest) = path.strip_prefix("/apis/")?.split_once('/')?;
        let version = rest.split('/').next().unwrap_or_default();
        table.remote(group, version).cloned()
    }

    /// As `table`, once APIServices have been read.
    pub(crate) fn read_table(&self) -> Option<Arc<Table>> {
        self.is_read.load(Ordering::Acquire).then(|| self.table())
    }

    fn set(&self, table: Table) {
        self.table.store(Arc::new(table));
        self.is_read.store(true, Ordering::Release);
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }
}

/// Follows APIServices and registers the local ones until the server stops; the backend's parts are installed.
pub(crate) fn start(backend: &Arc<Backend>) {
    until_stopped(backend, follow::run(backend.clone()));
    until_stopped(backend, registration::run(backend.clone()));
}

fn until_stopped(backend: &Backend, work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(backend.stopping.clone().run_until_cancelled_owned(work));
}

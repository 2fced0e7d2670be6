//! Netlink connections, in this namespace or another's, and errors that name what was attempted.

use rtnetlink::Handle;
use std::path::Path;

#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("opening a netlink socket: {0}")]
    Open(#[source] std::io::Error),
    #[error("{attempted}: {source}")]
    Request { attempted: String, source: rtnetlink::Error },
    #[error("{attempted}: no such interface")]
    NoInterface { attempted: String },
    #[error(transparent)]
    Namespace(#[from] kernel::Error),
}

pub(crate) type Result<T> = std::result::Result<T, NetlinkError>;

/// Adds what was attempted to an rtnetlink error.
pub(crate) trait Attempted<T> {
    fn attempted(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Attempted<T> for std::result::Result<T, rtnetlink::Error> {
    fn attempted(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| NetlinkError::Request { attempted: what(), source })
    }
}

/// The kernel's error number of a refused request.
pub(crate) fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.code.map(|code| -code.get()),
        _ => None,
    }
}

/// A connection in the caller's namespace; it ends when the handle is dropped.
pub(crate) fn connect() -> Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection().map_err(NetlinkError::Open)?;
    tokio::spawn(connection);
    Ok(handle)
}

/// Runs `work` with a connection inside the namespace at `path`. Blocks the caller: the thread that enters another
/// namespace is of its own, and so is its small runtime.
pub(crate) fn in_netns<T, F>(path: &Path, work: impl FnOnce(Handle) -> F + Send) -> Result<T>
where
    T: Send,
    F: Future<Output = Result<T>>,
{
    kernel::netns::in_netns(path, || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(NetlinkError::Open)?;
        runtime.block_on(async { work(connect()?).await })
    })?
}

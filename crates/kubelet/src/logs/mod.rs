//! Containers' log files, as the runtime writes them: read, followed, rotated.

pub(crate) mod follow;
pub(crate) mod line;
pub(crate) mod rotation;
pub(crate) mod tail;
pub(crate) mod watcher;

//! Containers' log files, as the runtime writes them: read, followed, rotated; and whose they are.

pub(crate) mod attempts;
pub(crate) mod follow;
pub(crate) mod identity;
pub(crate) mod line;
pub(crate) mod rotation;
pub(crate) mod tail;

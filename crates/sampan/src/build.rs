//! Which build of Sampan this process is.

use std::sync::OnceLock;

static VERSION: OnceLock<&str> = OnceLock::new();

/// Once, before anything else.
pub(crate) fn set_version(version: &'static str) {
    VERSION.get_or_init(|| version);
}

pub(crate) fn version() -> &'static str {
    VERSION.get().copied().unwrap_or(env!("CARGO_PKG_VERSION"))
}

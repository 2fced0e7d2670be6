//! The sealed store under the suite that every engine must pass.

use crate::fixture::{configuration, engine, folder, key, over};
use tempfile::TempDir;
use vault::Vault;

async fn sealed() -> Option<(Vault, TempDir)> {
    let dir = folder();
    let engine = engine(dir.path());
    Some((over(&engine, configuration("*.*", &[&key("aesgcm", "a", 1), "identity: {}"])).await, dir))
}

conformance!(sealed);

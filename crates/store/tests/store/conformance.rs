//! The embedded engine under the suite that every engine must pass.

use store::{Embedded, Options};
use tempfile::TempDir;

async fn embedded() -> Option<(Embedded, TempDir)> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    Some((Embedded::open(dir.path(), Options::default()).expect("an empty store opens"), dir))
}

conformance!(embedded);

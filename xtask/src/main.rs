//! `cargo xtask`: the workspace's own chores. One subcommand per file.

mod docs;
mod schema;
mod tidy;

use anyhow::{Context, Result, bail};
use std::path::Path;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the workspace")?;
    match std::env::args().nth(1).as_deref() {
        Some("schema") => schema::run(root).and_then(|()| docs::run(root)),
        Some("tidy") => tidy::run(root),
        other => bail!("unknown chore {other:?}; one of: schema, tidy"),
    }
}

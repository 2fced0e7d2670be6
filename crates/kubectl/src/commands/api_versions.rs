//! `api-versions`: the group versions that the server serves.

use crate::context::Context;
use crate::failure::Result;
use std::collections::BTreeSet;

#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) async fn run(context: &Context, _: &Arguments) -> Result<()> {
    let served = context.resources.served().await?.iter().map(|served| served.def.api_version());
    // Upstream sorts texts, so that `v1` comes last.
    let versions: BTreeSet<String> = served.collect();
    versions.into_iter().try_for_each(|version| context.line(version))
}

//! `auth`: who somebody is, and what they may do.

mod can_i;
mod reconcile;
mod rules;
mod whoami;

use crate::context::Context;
use crate::failure::Result;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Whether something may be done
    CanI(can_i::Arguments),
    /// Make roles and bindings what manifests say, and keep what they have beyond
    Reconcile(reconcile::Arguments),
    /// Whom the server takes the user for
    Whoami(whoami::Arguments),
}

pub(crate) async fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::CanI(arguments) => can_i::run(context, arguments).await,
        Command::Reconcile(arguments) => reconcile::run(context, arguments).await,
        Command::Whoami(arguments) => whoami::run(context, arguments).await,
    }
}

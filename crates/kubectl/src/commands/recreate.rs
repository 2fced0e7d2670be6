//! Deleting an object to make it anew (`apply --force`, `replace --force`, a binding to another role).
//!
//! Invariants: nothing is deleted before every flag is understood; where the new object is refused, the old one is made
//! again, and the failure says whether that worked.

use super::output::DryRun;
use crate::calls::{At, text};
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::follow;
use crate::target::Target;
use serde_json::Value;
use std::time::Duration;

/// What the server sets: an object that is made anew has none of it.
const OF_THE_SERVER: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
];

/// How the old object goes.
pub(super) struct Removal {
    options: Value,
    limit: Option<Duration>,
}

impl Removal {
    pub(super) fn parse(cascade: &str, grace: i64, timeout: &str) -> Result<Removal> {
        // At once would be before the node knows, and the new object would meet the old one there.
        let grace = if grace == 0 { 1 } else { grace };
        let options = super::delete::options(cascade, grace)?;
        Ok(Removal { options, limit: duration::parse(timeout)?.filter(|limit| !limit.is_zero()) })
    }

    /// Waits until the old object is gone; another of its name may be there already.
    async fn gone(&self, context: &Context, target: &Target, old: &Value) -> Result<()> {
        let uid = text(old, "/metadata/uid");
        let deadline = self.limit.map(|limit| tokio::time::Instant::now() + limit);
        let gone = follow::until(context, target, |object| {
            let same = object.is_some_and(|object| uid.is_empty() || text(object, "/metadata/uid") == uid);
            Ok((!same).then_some(()))
        });
        follow::within(deadline, gone).await.unwrap_or_else(|| Err(follow::timed_out(target)))
    }
}

/// Puts `new` in the place of `old`: the object that was made. `deleted` is told when the server has agreed to that.
///
/// A dry run of the server ends there: the new object cannot be tried while the old one has its name.
pub(super) async fn recreate(
    context: &Context,
    target: &Target,
    removal: &Removal,
    dry_run: DryRun,
    (old, new): (&Value, &Value),
    query: &[(&str, &str)],
    deleted: impl FnOnce() -> Result<()>,
) -> Result<Value> {
    let new = anew(new);
    if dry_run == DryRun::Client {
        return Ok(new);
    }
    match context.delete(target.at(), &removal.options, &[dry_run.query()]).await {
        Err(failure) if failure.is_not_found() => {}
        Err(failure) => return Err(failure),
        Ok(_) => deleted()?,
    }
    if dry_run == DryRun::Server {
        return Ok(new);
    }
    removal.gone(context, target, old).await?;
    let collection = At::collection(target.def, &target.namespace);
    let refused = match context.create(collection, &new, query).await {
        Ok(made) => return Ok(made),
        Err(failure) => failure,
    };
    match context.create(collection, &anew(old), &[]).await {
        Ok(_) => Err(refused),
        Err(lost) => Err(Failure::message(format!(
            "An error occurred force-replacing the existing object with the newly provided one:\n\n{refused}.\n\n\
             Additionally, an error occurred attempting to restore the original object:\n\n{lost}"
        ))),
    }
}

/// The object as one that was never on the server.
pub(super) fn anew(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        OF_THE_SERVER.iter().for_each(|key| drop(metadata.shift_remove(*key)));
    }
    object
}

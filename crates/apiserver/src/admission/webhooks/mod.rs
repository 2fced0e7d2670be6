//! Webhooks: servers outside of this one that may change or refuse writes.
//!
//! Invariants: mutating webhooks are asked one after another, each about what the one before it left; validating ones
//! all at once, and the first refusal by their order is the answer; what a webhook is shown is in a version that its
//! rules name; a write that is tried again is judged again.

mod annotations;
mod ask;
mod configurations;
mod metrics;
mod mutating;
pub(super) mod patch;
mod review;
mod validating;

pub(crate) use metrics::Metrics;

use super::expressions::{Inputs, Met};
use super::matching::{World, is_exempt};
use super::measures::{Measures, Owner};
use super::request::{Judged, Seen};
use super::{Plugin, Sources, is, refused};
use crate::authz::Authorizer;
use api::field::{FieldError, FieldPath};
use api::{Object, Status};
use ask::Asking;
use configurations::{Configuration, Followed, Webhook};
use registry::{Attempt, Operation, Registry};
use serde_json::Value;
use std::sync::Arc;

pub(crate) fn mutating(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(mutating::Mutating { judges: Judges::new::<mutating::Kind>(sources, true) })
}

pub(crate) fn validating(sources: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(validating::Validating { judges: Judges::new::<validating::Kind>(sources, false) })
}

/// What both plugins have.
struct Judges {
    followed: Followed,
    world: World,
    authorizer: Arc<Authorizer>,
    asking: Asking,
    measures: Arc<Measures>,
}

/// An object in one version, as it is and as it was.
struct View {
    seen: Seen,
    object: Arc<Value>,
    old: Arc<Value>,
}

impl Judges {
    fn new<C: Configuration>(sources: &Sources<'_>, may_patch: bool) -> Judges {
        Judges {
            followed: Followed::start::<C>(sources.client),
            world: World::new(sources.client, sources.registry),
            authorizer: sources.authorizer.clone(),
            measures: sources.measures.clone(),
            asking: Asking { callout: sources.callout.clone(), metrics: sources.metrics.clone(), may_patch },
        }
    }

    /// Whether the write is one that these webhooks may be about, or that configures them.
    fn concern<C: Configuration>(&self, attempt: &Attempt<'_>) -> bool {
        if is_exempt(attempt) {
            return configures::<C>(attempt);
        }
        !self.followed.is_idle()
    }

    /// All webhooks in their order, once they are known.
    async fn webhooks(&self, judged: &Judged<'_>) -> Result<Arc<Vec<Arc<Webhook>>>, Status> {
        if !self.followed.is_ready().await {
            return Err(refused(judged.attempt, judged.object, "not yet ready to handle request"));
        }
        Ok(self.followed.webhooks())
    }

    /// The version in which the webhook is to judge the write; `None` where it is not to.
    async fn seen(&self, hook: &Webhook, judged: &Judged<'_>) -> Result<Option<Seen>, Status> {
        let Some(seen) = hook.criteria.matches(judged, &self.world).await? else { return Ok(None) };
        if hook.conditions.is_empty() {
            return Ok(Some(seen));
        }
        let namespace = match judged.namespace() {
            "" => None,
            name => self.world.namespace(name).await?,
        };
        let inputs = Inputs::of(self.world.registry(), judged, &seen, namespace.as_deref(), &self.authorizer).await?;
        let owner = Owner {
            name: &hook.name,
            kind: "webhook",
            may_change: self.asking.may_patch,
            operation: judged.attempt.operation,
        };
        match self.measures.met(owner, &hook.conditions, &inputs.activation()) {
            Met::Yes => Ok(Some(seen)),
            Met::No(_) => Ok(None),
            Met::Failed(_) if hook.ignores_failure => Ok(None),
            Met::Failed(why) => Err(Status::forbidden(judged.attempt.def, judged.name(), &why)),
        }
    }
}

/// The view of one version, made when it is first wanted.
async fn view<'a>(
    registry: &Registry,
    views: &'a mut Vec<View>,
    judged: &Judged<'_>,
    seen: Seen,
) -> Result<&'a View, Status> {
    let place = match views.iter().position(|view| view.seen == seen) {
        Some(place) => place,
        None => {
            let (object, old) = seen.show_both(registry, judged).await?;
            views.push(View { seen, object: Arc::new(object), old: Arc::new(old) });
            views.len() - 1
        }
    };
    Ok(&views[place])
}

fn configures<C: Configuration>(attempt: &Attempt<'_>) -> bool {
    is::<C>(attempt) && matches!(attempt.operation, Operation::Create | Operation::Update)
}

/// Refuses a configuration with conditions that do not compile.
fn check_conditions<C: Configuration>(attempt: &Attempt<'_>, object: Option<&dyn Object>) -> Result<(), Status> {
    let Some(configuration) = object.and_then(|object| object.downcast::<C>()) else { return Ok(()) };
    let mut errors = Vec::new();
    for (place, hook) in configuration.compile().iter().enumerate() {
        let conditions = FieldPath::new("webhooks").index(place).child("matchConditions");
        errors.extend(hook.conditions.errors().map(|(place, source, why)| {
            FieldError::invalid(conditions.index(place).child("expression"), source, why.to_owned())
        }));
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Status::invalid(attempt.def, attempt.name, &errors)),
    }
}

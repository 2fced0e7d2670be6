//! What a key asks of the server beside the lists that are followed: one request at a time, and what comes of it.

use super::view::View;
use crate::calls::{At, Selection, text};
use crate::commands::delete;
use crate::commands::describe;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::{without_managed_fields, yaml};
use crate::resources::{Resources, kind_name};
use crate::target::Target;
use crate::workload::{self, selector_of};
use api::{Kind, ResourceDef};
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use std::time::Duration;

#[derive(Debug)]
pub(super) enum Request {
    /// `:word`: another kind.
    Switch {
        word: String,
        namespace: String,
    },
    /// One step down.
    Descend {
        target: Target,
        uid: String,
    },
    Describe(Target),
    Yaml(Target),
    Delete(Target),
    Log {
        target: Target,
        previous: bool,
    },
}

pub(super) enum Outcome {
    /// On top of what is shown.
    Push(View),
    /// Instead of all that is shown.
    Root(View),
    Said(String),
}

/// A workload without pods has no log to wait for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) async fn perform(context: &Context, request: Request) -> Result<Outcome> {
    Ok(match request {
        Request::Switch { word, namespace } => Outcome::Root(View::objects(named(context, &word).await?, &namespace)),
        Request::Descend { target, uid } => Outcome::Push(below(context, target, uid).await?),
        Request::Describe(target) => Outcome::Push(description(context, &target).await?),
        Request::Yaml(target) => {
            let mut object = context.get(target.at()).await?;
            without_managed_fields(&mut object);
            Outcome::Push(View::text(format!("yaml of {target}"), &yaml(&object)))
        }
        Request::Delete(target) => {
            let own_grace = -1;
            context.delete(target.at(), &delete::options("background", own_grace)?, &[]).await?;
            Outcome::Said(format!("{target} deleted"))
        }
        Request::Log { target, previous } => {
            let pods = workload::pods(context, &target, PATIENCE).await?;
            let pod = pods.first().ok_or_else(|| Failure::message(format!("{target} has no pods")))?;
            let container = workload::default_container(context, pod)?;
            Outcome::Push(View::log(Target::of(&core::Pod::DEF, pod), container, previous))
        }
    })
}

/// A kind that was made after this program began is found too.
async fn named(context: &Context, word: &str) -> Result<&'static ResourceDef> {
    match context.resources.named(word).await {
        Err(Failure::Message(_)) => Resources::new(context.server.clone()).named(word).await,
        found => found,
    }
}

async fn description(context: &Context, target: &Target) -> Result<View> {
    Ok(View::text(format!("description of {target}"), &describe::text_of(context, target, true).await?))
}

/// Kinds whose selector is of pods.
const WITH_PODS: [&ResourceDef; 7] = [
    &apps::Deployment::DEF,
    &apps::ReplicaSet::DEF,
    &apps::StatefulSet::DEF,
    &apps::DaemonSet::DEF,
    &batch::Job::DEF,
    &core::ReplicationController::DEF,
    &core::Service::DEF,
];

async fn below(context: &Context, target: Target, uid: String) -> Result<View> {
    let is = |def: &ResourceDef| target.def.group_resource() == def.group_resource();
    let pods = &core::Pod::DEF;
    let of = target.to_string();
    if is(pods) {
        return Ok(View::containers(target));
    }
    if is(&core::Namespace::DEF) {
        return Ok(View::objects(pods, &target.name));
    }
    if is(&core::Node::DEF) {
        let selection = Selection { fields: format!("spec.nodeName={}", target.name), ..Selection::default() };
        return Ok(View::selected(pods, "", selection, None, &of));
    }
    if is(&batch::CronJob::DEF) {
        return Ok(View::selected(&batch::Job::DEF, &target.namespace, Selection::default(), Some(uid), &of));
    }
    if is(&CustomResourceDefinition::DEF) {
        let object = context.get(target.at()).await?;
        let name = format!("{}.{}", text(&object, "/spec/names/plural"), text(&object, "/spec/group"));
        return Ok(View::objects(named(context, &name).await?, ""));
    }
    if WITH_PODS.iter().any(|def| is(def)) {
        let object = context.get(At::object(target.def, &target.namespace, &target.name)).await?;
        let labels = selector_of(&object).ok_or_else(|| Failure::message(format!("{of} selects no pods")))?;
        let selection = Selection { labels, ..Selection::default() };
        return Ok(View::selected(pods, &target.namespace, selection, None, &of));
    }
    description(context, &target).await
}

/// `deployment.apps/web`, and its namespace: how a command line names it.
pub(super) fn words(target: &Target) -> [String; 3] {
    let named = format!("{}/{}", kind_name(target.def), target.name);
    [named, "--namespace".to_owned(), target.namespace.clone()]
}

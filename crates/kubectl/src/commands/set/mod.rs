//! `set`: one part of a workload's pods, or of what selects and binds.
//!
//! Invariant: only what changed is sent, as the patch from the object as it was read.

mod env;
mod image;
mod resources;
mod selector;

use super::edit::difference;
use super::output::{Manager, Output};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::{Choice, Target};
use serde_json::{Map, Value};

const MANAGER: &str = "kubectl-set";

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Environment variables of containers
    Env(env::Arguments),
    /// The images of containers
    Image(image::Arguments),
    /// What containers request, and where they are limited
    Resources(resources::Arguments),
    /// Which pods a service selects
    Selector(selector::Selector),
    /// The service account of pods
    #[command(visible_alias = "sa")]
    Serviceaccount(selector::ServiceAccount),
    /// Who a binding is for
    Subject(selector::Subject),
}

pub(crate) async fn run(context: &Context, command: &Command) -> Result<()> {
    match command {
        Command::Env(arguments) => env::run(context, arguments).await,
        Command::Image(arguments) => image::run(context, arguments).await,
        Command::Resources(arguments) => resources::run(context, arguments).await,
        Command::Selector(arguments) => arguments.run(context).await,
        Command::Serviceaccount(arguments) => arguments.run(context).await,
        Command::Subject(arguments) => arguments.run(context).await,
    }
}

/// Flags of all these commands.
#[derive(clap::Args, Debug)]
struct Setting {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    manager: Manager,
    /// Change the manifests that are named, and print them; ask no server
    #[arg(long)]
    local: bool,
}

/// What is said of a change.
#[derive(Clone, Copy)]
struct Words {
    done: &'static str,
    /// Before the server's reason against it; empty where that says enough.
    failed: &'static str,
}

/// An object before its change.
struct Found {
    target: Target,
    object: Value,
}

impl Setting {
    /// The objects that `arguments` name.
    async fn found(&self, context: &Context, arguments: &[String]) -> Result<Vec<Found>> {
        // A manifest says which objects are meant, beside the changes that are arguments.
        if arguments.is_empty() && self.choice.files.is_empty() && !self.choice.selects() {
            return Err(Failure::message(crate::target::NOTHING_NAMED));
        }
        let named = if self.choice.files.is_empty() { arguments.to_vec() } else { Vec::new() };
        let choice = Choice { arguments: named, ..self.choice.clone() };
        let objects = choice.objects(context, self.local).await?;
        Ok(objects.into_iter().map(|(target, object)| Found { target, object }).collect())
    }

    /// Changes every object as `change` does, and says `done` of those that are not as they were.
    async fn apply(
        &self,
        context: &Context,
        found: Vec<Found>,
        words: Words,
        mut change: impl FnMut(&Target, &mut Value) -> Result<()>,
    ) -> Result<()> {
        let mut failures = Vec::new();
        for Found { target, object } in found {
            let mut after = object.clone();
            let outcome = match change(&target, &mut after) {
                Ok(()) => self.save(context, &target, &object, after, words).await,
                Err(failure) => Err(failure),
            };
            match outcome {
                Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
                Err(failure) => failures.push(failure),
                Ok(()) => {}
            }
        }
        Failure::of_all(failures)
    }

    async fn save(&self, context: &Context, target: &Target, before: &Value, after: Value, words: Words) -> Result<()> {
        let Words { done, failed } = words;
        if self.local || self.output.is_client_dry_run() {
            return self.output.tell(context, target, done, &after);
        }
        let (kind, patch) = difference(target.def.message, before, after)?;
        if patch.as_object().is_some_and(Map::is_empty) {
            return Ok(());
        }
        let query = [self.manager.query(MANAGER), self.output.dry_run_query()];
        let patched = context.patch(target.at(), kind, &patch, &query).await.map_err(|failure| match failure {
            Failure::Api(status) if !failed.is_empty() => Failure::message(format!("{failed}{}", status.message)),
            other => other,
        })?;
        self.output.tell(context, target, done, &patched)
    }
}

/// Where an object has the specification of its pods.
fn pod_spec<'a>(target: &Target, object: &'a mut Value) -> Result<&'a mut Value> {
    let pointer = match target.def.kind {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    };
    object.pointer_mut(pointer).filter(|spec| spec.get("containers").is_some()).ok_or_else(|| {
        let def = target.def;
        let (subject, version, kind) = (format!("{}/{}", def.plural, target.name), def.version, def.kind);
        Failure::message(format!(
            "{subject} the object is not a pod or does not have a pod template: *{version}.{kind}"
        ))
    })
}

/// The containers of a specification, init containers first, whose names match a pattern with `*`.
fn containers<'a>(spec: &'a mut Value, pattern: &str) -> Vec<&'a mut Value> {
    let Some(spec) = spec.as_object_mut() else { return Vec::new() };
    let mut found = Vec::new();
    for (key, list) in spec.iter_mut() {
        if matches!(key.as_str(), "containers" | "initContainers") {
            let all = list.as_array_mut().into_iter().flatten();
            found.extend(all.filter(|one| matches_pattern(one["name"].as_str().unwrap_or_default(), pattern)));
        }
    }
    found
}

fn matches_pattern(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::matches_pattern;

    #[test]
    fn a_star_stands_for_anything() {
        for (name, pattern, expected) in [
            ("web", "*", true),
            ("web", "web", true),
            ("web", "w*b", true),
            ("web", "w*x", false),
            ("web", "we", false),
            ("a-b-c", "a*b*c", true),
        ] {
            assert_eq!(matches_pattern(name, pattern), expected, "{name} {pattern}");
        }
    }
}

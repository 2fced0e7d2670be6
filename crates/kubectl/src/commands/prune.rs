//! `apply --prune`: objects that were applied once and that manifests have no more.

use super::delete;
use super::output::DryRun;
use crate::calls::{At, Selection, name_of, namespace_of, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::{Target, Wanted};
use api::ResourceDef;
use serde_json::Value;
use std::collections::BTreeSet;

#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Pruning {
    /// Delete objects that were applied once, match, and are in no manifest any more
    #[arg(long)]
    pub(super) prune: bool,
    /// The kinds to prune instead of the usual ones: GROUP/VERSION/KIND; may be repeated
    #[arg(long)]
    prune_allowlist: Vec<String>,
}

/// Kinds that are pruned when none are named, those with namespaces first.
const KINDS: &[(&str, &str)] = &[
    ("v1", "ConfigMap"),
    ("v1", "Endpoints"),
    ("v1", "PersistentVolumeClaim"),
    ("v1", "Pod"),
    ("v1", "ReplicationController"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("batch/v1", "Job"),
    ("batch/v1", "CronJob"),
    ("networking.k8s.io/v1", "Ingress"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("v1", "Namespace"),
    ("v1", "PersistentVolume"),
];

/// What is to go.
pub(super) struct Doomed {
    pub(super) target: Target,
    pub(super) object: Value,
}

impl Pruning {
    /// Refuses to prune everything of a namespace by accident.
    pub(super) fn check(&self, selector: &str, all: bool) -> Result<()> {
        if self.prune && selector.is_empty() && !all {
            return Err(Failure::message(
                "all resources selected for prune without explicitly passing --all. To prune all resources, pass the --all flag. If you did not mean to prune all resources, specify a label selector",
            ));
        }
        Ok(())
    }

    async fn kinds(&self, context: &Context) -> Result<Vec<&'static ResourceDef>> {
        let mut kinds = Vec::new();
        let named: Vec<(String, String)> = if self.prune_allowlist.is_empty() {
            KINDS.iter().map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned())).collect()
        } else {
            let taken_apart = |text: &String| match text.split('/').collect::<Vec<_>>().as_slice() {
                // The core group is spelled out, which nothing else does.
                ["core", version, kind] => Ok(((*version).to_owned(), (*kind).to_owned())),
                [group, version, kind] => Ok((format!("{group}/{version}"), (*kind).to_owned())),
                _ => Err(Failure::message(format!(
                    "invalid GroupVersionKind format: {text}, please follow <group/version/kind>"
                ))),
            };
            self.prune_allowlist.iter().map(taken_apart).collect::<Result<_>>()?
        };
        for (version, kind) in named {
            match context.resources.of_kind(&version, &kind).await? {
                Some(def) => kinds.push(def),
                None if self.prune_allowlist.is_empty() => {}
                None => return Err(Failure::message(format!("no matches for kind {kind:?} in version {version:?}"))),
            }
        }
        Ok(kinds)
    }
}

/// The objects of these kinds, in the namespaces that manifests are of, that were applied and are named no more.
pub(super) async fn doomed(
    context: &Context,
    pruning: &Pruning,
    selector: &str,
    wanted: &[Wanted],
) -> Result<Vec<Doomed>> {
    if !pruning.prune {
        return Ok(Vec::new());
    }
    let selection = Selection { labels: selector.to_owned(), ..Selection::default() };
    let namespaces: BTreeSet<&str> =
        wanted.iter().map(|one| one.target.namespace.as_str()).filter(|namespace| !namespace.is_empty()).collect();
    let mut doomed = Vec::new();
    for def in pruning.kinds(context).await? {
        let places: Vec<&str> = if def.namespaced() { namespaces.iter().copied().collect() } else { vec![""] };
        for namespace in places {
            let listed = context.list(At::collection(def, namespace), &selection).await?;
            for object in listed.items {
                let kept = wanted.iter().any(|one| {
                    one.target.def.group_resource() == def.group_resource()
                        && one.target.name == name_of(&object)
                        && one.target.namespace == namespace_of(&object)
                });
                let ending = !text(&object, "/metadata/deletionTimestamp").is_empty();
                if !kept && !ending && super::apply::last_applied(&object).is_some() {
                    doomed.push(Doomed { target: Target::of(def, &object), object });
                }
            }
        }
    }
    Ok(doomed)
}

/// Deletes them and says so.
pub(super) async fn prune(
    context: &Context,
    doomed: &[Doomed],
    dry_run: DryRun,
    cascade: &str,
    grace: i64,
) -> Result<()> {
    let options = delete::options(cascade, grace)?;
    for one in doomed {
        if dry_run != DryRun::Client {
            match context.delete(one.target.at(), &options, &[dry_run.query()]).await {
                Err(failure) if failure.is_not_found() => continue,
                Err(failure) => return Err(failure),
                Ok(_) => {}
            }
        }
        context.line(format_args!("{} pruned{}", one.target, dry_run.suffix()))?;
    }
    Ok(())
}

//! `rollout status`: words about how far a rollout is, until it is through.

use super::history::REVISION;
use super::is;
use crate::calls::text;
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::follow;
use crate::target::{Choice, Target};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use serde_json::Value;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Wait until it is through
    #[arg(short = 'w', long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    watch: bool,
    /// How long to wait; 0 is as long as it takes
    #[arg(long, default_value = "0s")]
    timeout: String,
    /// Fail when another revision than this is the newest of a deployment; 0 is any
    #[arg(long, default_value_t = 0)]
    revision: i64,
}

/// How far a rollout is.
#[derive(Debug, PartialEq)]
enum Progress {
    Going(String),
    Done(String),
    Failed(String),
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if arguments.revision < 0 {
        return Err(Failure::message(format!("revision must be a positive integer: {}", arguments.revision)));
    }
    let limit = duration::parse(&arguments.timeout)?.filter(|limit| !limit.is_zero());
    let deadline = limit.map(|limit| tokio::time::Instant::now() + limit);
    let mut failures = Vec::new();
    for target in super::targets(context, &arguments.choice).await? {
        match follow::within(deadline, one(context, arguments, &target)).await {
            Some(Ok(())) => {}
            Some(Err(failure)) => failures.push(failure),
            None => return Err(Failure::message("timed out waiting for the condition")),
        }
    }
    Failure::of_all(failures)
}

async fn one(context: &Context, arguments: &Arguments, target: &Target) -> Result<()> {
    let progress = if is::<Deployment>(target) {
        deployment
    } else if is::<DaemonSet>(target) {
        daemon_set
    } else if is::<StatefulSet>(target) {
        stateful_set
    } else {
        return Err(Failure::message(format!("no status viewer has been implemented for {}", target.def.kind)));
    };
    // Not found is an answer, not something to wait out.
    context.get(target.at()).await?;
    let mut last = String::new();
    follow::until(context, target, |object| {
        let object = object.ok_or_else(|| Failure::message("object has been deleted"))?;
        if arguments.revision > 0 && is::<Deployment>(target) {
            is_newest(object, arguments.revision)?;
        }
        match progress(object) {
            Progress::Failed(text) => Err(Failure::message(text)),
            Progress::Done(text) => context.line(text).map(Some),
            Progress::Going(text) => {
                if text != last {
                    context.line(&text)?;
                    last = text;
                }
                Ok((!arguments.watch).then_some(()))
            }
        }
    })
    .await
}

/// A revision that another has followed is never through.
fn is_newest(deployment: &Value, wanted: i64) -> Result<()> {
    let annotation = deployment.pointer("/metadata/annotations").and_then(|all| all.get(REVISION)?.as_str());
    let running: i64 = annotation.unwrap_or("0").parse().map_err(|error| {
        Failure::message(format!(
            "cannot get the revision of deployment {:?}: {error}",
            text(deployment, "/metadata/name")
        ))
    })?;
    if running == wanted {
        return Ok(());
    }
    Err(Failure::message(format!("desired revision ({wanted}) is different from the running revision ({running})")))
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// Numbers of an older generation say nothing about this one.
fn is_observed(object: &Value) -> bool {
    number(object, "/status/observedGeneration") >= number(object, "/metadata/generation")
}

fn deployment(object: &Value) -> Progress {
    let name = text(object, "/metadata/name");
    if !is_observed(object) {
        return Progress::Going("Waiting for deployment spec update to be observed...".to_owned());
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let mut conditions = conditions.into_iter().flatten();
    if conditions.any(|one| one["type"] == "Progressing" && one["reason"] == "ProgressDeadlineExceeded") {
        return Progress::Failed(format!("deployment {name:?} exceeded its progress deadline"));
    }
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let (updated, all) = (number(object, "/status/updatedReplicas"), number(object, "/status/replicas"));
    let available = number(object, "/status/availableReplicas");
    let going = |what: String| Progress::Going(format!("Waiting for deployment {name:?} rollout to finish: {what}..."));
    if updated < wanted {
        going(format!("{updated} out of {wanted} new replicas have been updated"))
    } else if all > updated {
        going(format!("{} old replicas are pending termination", all - updated))
    } else if available < updated {
        going(format!("{available} of {updated} updated replicas are available"))
    } else {
        Progress::Done(format!("deployment {name:?} successfully rolled out"))
    }
}

fn daemon_set(object: &Value) -> Progress {
    let name = text(object, "/metadata/name");
    if text(object, "/spec/updateStrategy/type") != "RollingUpdate" {
        return Progress::Failed("rollout status is only available for RollingUpdate strategy type".to_owned());
    }
    if !is_observed(object) {
        return Progress::Going("Waiting for daemon set spec update to be observed...".to_owned());
    }
    let wanted = number(object, "/status/desiredNumberScheduled");
    let (updated, available) =
        (number(object, "/status/updatedNumberScheduled"), number(object, "/status/numberAvailable"));
    let going = |what: String| Progress::Going(format!("Waiting for daemon set {name:?} rollout to finish: {what}..."));
    if updated < wanted {
        going(format!("{updated} out of {wanted} new pods have been updated"))
    } else if available < wanted {
        going(format!("{available} of {wanted} updated pods are available"))
    } else {
        Progress::Done(format!("daemon set {name:?} successfully rolled out"))
    }
}

fn stateful_set(object: &Value) -> Progress {
    if text(object, "/spec/updateStrategy/type") != "RollingUpdate" {
        return Progress::Failed("rollout status is only available for RollingUpdate strategy type".to_owned());
    }
    if number(object, "/status/observedGeneration") == 0 || !is_observed(object) {
        return Progress::Going("Waiting for statefulset spec update to be observed...".to_owned());
    }
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let (ready, updated) = (number(object, "/status/readyReplicas"), number(object, "/status/updatedReplicas"));
    if ready < wanted {
        return Progress::Going(format!("Waiting for {} pods to be ready...", wanted - ready));
    }
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition");
    if partition > 0 {
        return if updated < wanted - partition {
            let total = wanted - partition;
            Progress::Going(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {total} new pods have been updated..."
            ))
        } else {
            Progress::Done(format!("partitioned roll out complete: {updated} new pods have been updated..."))
        };
    }
    let revision = text(object, "/status/updateRevision");
    if revision != text(object, "/status/currentRevision") {
        return Progress::Going(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {revision}..."
        ));
    }
    let current = number(object, "/status/currentReplicas");
    Progress::Done(format!("statefulset rolling update complete {current} pods at revision {revision}..."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_deployments_progress_is_told() {
        let object = |status: Value| json!({"metadata": {"name": "w", "generation": 2}, "spec": {"replicas": 3}, "status": status});
        let going = |text: &str| Progress::Going(format!("Waiting for deployment \"w\" rollout to finish: {text}..."));
        for (status, expected) in [
            (
                json!({"observedGeneration": 1}),
                Progress::Going("Waiting for deployment spec update to be observed...".into()),
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 1}),
                going("1 out of 3 new replicas have been updated"),
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 4}),
                going("1 old replicas are pending termination"),
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 2}),
                going("2 of 3 updated replicas are available"),
            ),
            (
                json!({"observedGeneration": 2, "updatedReplicas": 3, "replicas": 3, "availableReplicas": 3}),
                Progress::Done("deployment \"w\" successfully rolled out".into()),
            ),
            (
                json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]}),
                Progress::Failed("deployment \"w\" exceeded its progress deadline".into()),
            ),
        ] {
            assert_eq!(deployment(&object(status)), expected);
        }
    }
}

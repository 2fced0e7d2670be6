//! `drain`: a node's pods go elsewhere, by eviction, so that the node can be taken down.

use super::cordon;
use super::output::DryRun;
use crate::calls::{At, Page, Selection, name_of, namespace_of, text};
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::follow;
use crate::target::Target;
use api::{Kind, Reason};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Nodes
    nodes: Vec<String>,
    /// none, client (print what would be sent) or server (ask without writing)
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "none", default_missing_value = "unchanged", value_parser = super::output::dry_run)]
    dry_run: DryRun,
    /// A label query for nodes
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
    /// A label query for the pods to take away
    #[arg(long, default_value = "", hide_default_value = true)]
    pod_selector: String,
    /// Pods that nothing makes anew are deleted too
    #[arg(long)]
    force: bool,
    /// Pods of daemon sets stay
    #[arg(long)]
    ignore_daemonsets: bool,
    /// Pods with emptyDir volumes go too, and the volumes with them
    #[arg(long)]
    delete_emptydir_data: bool,
    /// Delete instead of evict: disruption budgets do not hold
    #[arg(long)]
    disable_eviction: bool,
    /// Seconds to end in; negative is the pod's own
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    grace_period: i64,
    /// How long to wait; 0 is as long as it takes
    #[arg(long, default_value = "0s")]
    timeout: String,
    /// A pod that has been ending for longer than so many seconds is not waited for; 0 waits for all
    #[arg(long, default_value_t = 0)]
    skip_wait_for_delete_timeout: i64,
    /// Objects in a page of a list; 0 takes all at once
    #[arg(long, default_value_t = 500)]
    chunk_size: i64,
}

/// Before an eviction that a budget forbade is tried again, as upstream waits.
const PAUSE: Duration = Duration::from_secs(5);
/// Evictions at a time.
const EVICTIONS_MAX: usize = 32;
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if arguments.nodes.is_empty() && arguments.selector.is_empty() {
        return Err(Failure::message("USAGE: drain NODE [flags]\nSee 'kubectl drain -h' for help and examples"));
    }
    let limit = duration::parse(&arguments.timeout)?.filter(|limit| !limit.is_zero());
    if !arguments.nodes.is_empty() && !arguments.selector.is_empty() {
        return Err(Failure::message(
            "cannot specify both a node name and a --selector option\nSee 'kubectl drain -h' for help and examples",
        ));
    }
    if !arguments.pod_selector.is_empty() && api::selector::Selector::parse(&arguments.pod_selector).is_err() {
        return Err(Failure::message("--pod-selector=<pod_selector> must be a valid label selector"));
    }
    let nodes = cordon::nodes(context, &arguments.nodes, &arguments.selector).await?;
    for node in &nodes {
        cordon::set(context, node, true, arguments.dry_run).await?;
    }
    let mut failures: Vec<Failure> = Vec::new();
    let mut pending: Vec<String> = Vec::new();
    for node in &nodes {
        match drain(context, arguments, node, limit).await {
            Ok(()) => context.line(format_args!("{node} drained{}", arguments.dry_run.suffix()))?,
            Err(failure @ Failure::Closed) => return Err(failure),
            Err(failure) => {
                let name = &node.name;
                context.remark(format_args!(
                    "error: unable to drain node {name:?} due to error: {failure}, continuing command..."
                ))?;
                pending.push(name.clone());
                failures.push(failure);
            }
        }
    }
    if !pending.is_empty() {
        let lines: String = pending.iter().map(|name| format!(" {name}\n")).collect();
        context.complain(format!("There are pending nodes to be drained:\n{lines}").as_bytes())?;
    }
    Failure::of_all(failures)
}

async fn drain(context: &Context, arguments: &Arguments, node: &Target, limit: Option<Duration>) -> Result<()> {
    let fields = format!("spec.nodeName={}", node.name);
    let selection = Selection { labels: arguments.pod_selector.clone(), fields, page: Page(arguments.chunk_size) };
    let pods = context.list(At::collection(&Pod::DEF, ""), &selection).await?.items;
    let (mut chosen, mut judged) = (Vec::new(), Judged::default());
    for pod in pods {
        if judge(context, arguments, &pod, &mut judged).await? {
            chosen.push(pod);
        }
    }
    judged.refuse()?;
    let warnings = judged.warnings();
    if !warnings.is_empty() {
        context.remark(format_args!("Warning: {}", warnings.join("; ")))?;
    }
    let deadline = limit.map(|limit| Instant::now() + limit);
    let gone = futures::stream::iter(chosen.iter().map(|pod| remove(context, arguments, pod)));
    let gone = gone.buffer_unordered(EVICTIONS_MAX).collect::<Vec<_>>();
    match follow::within(deadline, gone).await {
        Some(outcomes) => Failure::of_all(outcomes.into_iter().filter_map(Result::err).collect()),
        None => Err(Failure::message("drain did not complete within the timeout: global timeout reached")),
    }
}

/// What is said of pods: why they may not go, and what to know of those that do.
#[derive(Default)]
struct Judged {
    found: Vec<(Verdict, String)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    DaemonIgnored,
    Daemon,
    Storage,
    StorageLost,
    Alone,
    AloneForced,
    Orphan,
    OrphanForced,
}

/// Whether it stands in the way, and the words.
const VERDICTS: &[(Verdict, bool, &str)] = &[
    (Verdict::Daemon, true, "cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"),
    (Verdict::Storage, true, "cannot delete Pods with local storage (use --delete-emptydir-data to override)"),
    (Verdict::Alone, true, "cannot delete Pods that declare no controller (use --force to override)"),
    (Verdict::Orphan, true, "cannot delete orphaned Pods whose DaemonSet is gone (use --force to override)"),
    (Verdict::DaemonIgnored, false, "ignoring DaemonSet-managed Pods"),
    (Verdict::StorageLost, false, "deleting Pods with local storage"),
    (Verdict::AloneForced, false, "deleting Pods that declare no controller"),
    (Verdict::OrphanForced, false, "deleting orphaned Pods whose DaemonSet is gone"),
];

impl Judged {
    fn lines(&self, refusals: bool) -> Vec<String> {
        let verdicts = VERDICTS.iter().filter(|(_, refuses, _)| *refuses == refusals);
        let line = |(verdict, _, words): &(Verdict, bool, &str)| {
            let pods = self.found.iter().filter(|(own, _)| own == verdict).map(|(_, pod)| pod.as_str());
            let pods: Vec<&str> = pods.collect();
            (!pods.is_empty()).then(|| format!("{words}: {}", pods.join(", ")))
        };
        verdicts.filter_map(line).collect()
    }

    fn refuse(&self) -> Result<()> {
        let reasons = self.lines(true);
        if reasons.is_empty() {
            return Ok(());
        }
        // Several read as Go prints a list of errors.
        let text = reasons.join(", ");
        Err(Failure::Verbatim(if reasons.len() > 1 { format!("[{text}]") } else { text }))
    }

    fn warnings(&self) -> Vec<String> {
        self.lines(false)
    }
}

/// Whether the pod is to go.
async fn judge(context: &Context, arguments: &Arguments, pod: &Value, judged: &mut Judged) -> Result<bool> {
    let mut say = |verdict| judged.found.push((verdict, format!("{}/{}", namespace_of(pod), name_of(pod))));
    if pod.pointer("/metadata/annotations").is_some_and(|all| all.get(MIRROR).is_some()) {
        return Ok(false);
    }
    let since = text(pod, "/metadata/deletionTimestamp").parse::<jiff::Timestamp>();
    let skip = arguments.skip_wait_for_delete_timeout;
    let long_ago = since.is_ok_and(|since| jiff::Timestamp::now().as_second() - since.as_second() > skip);
    if skip > 0 && long_ago {
        return Ok(false);
    }
    let ended = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    let owners = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controller = owners.into_iter().flatten().find(|owner| owner["controller"] == true);
    if let Some(owner) = controller.filter(|owner| owner["kind"] == "DaemonSet" && !ended) {
        let name = text(owner, "/name");
        let there = context.find(At::object(&DaemonSet::DEF, namespace_of(pod), name)).await?.is_some();
        match (there, arguments.force, arguments.ignore_daemonsets) {
            (true, _, true) => say(Verdict::DaemonIgnored),
            (true, _, false) => say(Verdict::Daemon),
            (false, true, _) => say(Verdict::OrphanForced),
            (false, false, _) => say(Verdict::Orphan),
        }
        // What force lets go has volumes to lose as any other pod has.
        if there || !arguments.force {
            return Ok(false);
        }
    }
    let volumes = pod.pointer("/spec/volumes").and_then(Value::as_array);
    if !ended && volumes.into_iter().flatten().any(|volume| volume.get("emptyDir").is_some()) {
        say(if arguments.delete_emptydir_data { Verdict::StorageLost } else { Verdict::Storage });
    }
    if !ended && controller.is_none() {
        say(if arguments.force { Verdict::AloneForced } else { Verdict::Alone });
    }
    Ok(true)
}

/// Evicts or deletes one pod, and waits until it is gone.
async fn remove(context: &Context, arguments: &Arguments, pod: &Value) -> Result<()> {
    let target = Target::of(&Pod::DEF, pod);
    let (namespace, name) = (&target.namespace, &target.name);
    let verb = if arguments.disable_eviction { ("deleting", "deleted") } else { ("evicting", "evicted") };
    match arguments.dry_run {
        DryRun::Client => return context.line(format_args!("{} pod {namespace}/{name} (dry run)", verb.0)),
        DryRun::Server => context.line(format_args!("{} pod {namespace}/{name} (server dry run)", verb.0))?,
        DryRun::None => context.line(format_args!("{} pod {namespace}/{name}", verb.0))?,
    }
    loop {
        match ask(context, arguments, &target).await {
            Err(failure) if failure.is_not_found() => return Ok(()),
            Err(Failure::Api(status)) if status.reason == Reason::TooManyRequests => {
                let message = &status.message;
                context.remark(format_args!(
                    "error when evicting pods/{name:?} -n {namespace:?} (will retry after 5s): {message}"
                ))?;
                tokio::time::sleep(PAUSE).await;
            }
            other => break other?,
        }
    }
    if arguments.dry_run == DryRun::None {
        let uid = text(pod, "/metadata/uid");
        let gone = |pod: Option<&Value>| Ok(pod.is_none_or(|pod| text(pod, "/metadata/uid") != uid).then_some(()));
        follow::until(context, &target, gone).await?;
    }
    // Of what was only tried nothing is gone.
    if arguments.dry_run == DryRun::Server {
        return Ok(());
    }
    context.line(format_args!("{target} {}", verb.1))
}

async fn ask(context: &Context, arguments: &Arguments, target: &Target) -> Result<()> {
    let mut options = json!({});
    if arguments.grace_period >= 0 {
        options["gracePeriodSeconds"] = arguments.grace_period.into();
    }
    if arguments.dry_run == DryRun::Server {
        options["dryRun"] = json!(["All"]);
    }
    if arguments.disable_eviction {
        options["apiVersion"] = "v1".into();
        options["kind"] = "DeleteOptions".into();
        return context.delete(target.at(), &options, &[]).await.map(|_| ());
    }
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": {"name": target.name, "namespace": target.namespace}, "deleteOptions": options,
    });
    let at = At { subresource: "eviction", ..target.at() };
    context.create(at, &eviction, &[]).await.map(|_| ())
}

/// Only nodes can be drained.
pub(super) fn node(name: &str) -> Target {
    Target { def: &Node::DEF, namespace: String::new(), name: name.to_owned() }
}

//! `run`: one pod from an image, and what it says.

use super::attach::{self, Streams};
use super::create::typed;
use super::expose::{Overrides, labels, service};
use super::output::{Creation, DryRun};
use crate::calls::{name_of, text};
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use crate::follow;
use crate::server::{Ask, resource_path, with_query};
use crate::target::Target;
use api::Kind;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, Service};
use serde_json::{Map, Value, json};
use std::time::Duration;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    name: Vec<String>,
    /// What to run
    #[arg(long, required = true)]
    image: String,
    /// The arguments of the image's command, or with --command the command
    #[arg(last = true)]
    words: Vec<String>,
    #[command(flatten)]
    creation: Creation,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    streams: Streams,
    /// Attach to the pod's container
    #[arg(long)]
    attach: bool,
    /// What stands behind -- is the command, not its arguments
    #[arg(long)]
    command: bool,
    /// NAME=VALUE; may be repeated
    #[arg(long)]
    env: Vec<String>,
    /// KEY=VALUE; may be repeated
    #[arg(long)]
    annotations: Vec<String>,
    /// KEY=VALUE, several with commas
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    labels: String,
    /// A service of the same name too
    #[arg(long)]
    expose: bool,
    /// The port that the container listens on
    #[arg(long, default_value = "", hide_default_value = true)]
    port: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    image_pull_policy: String,
    /// All rights on the node
    #[arg(long)]
    privileged: bool,
    /// Always, OnFailure or Never
    #[arg(long, default_value = "Always")]
    restart: String,
    /// Delete the pod when the attached container has ended
    #[arg(long)]
    rm: bool,
    /// Keep standard input open for whoever attaches next
    #[arg(long)]
    leave_stdin_open: bool,
    #[command(flatten)]
    deletion: Deletion,
}

/// Flags of the deletion that `--rm` is, and of manifests that this command does not read; upstream takes both.
#[derive(clap::Args)]
struct Deletion {
    /// With --rm: background, foreground or orphan
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "background", default_missing_value = "background")]
    cascade: String,
    /// With --rm: seconds to end in; -1 is the pod's own
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    grace_period: i64,
    /// With --rm and --grace-period=0: do not wait for the node's confirmation
    #[arg(long)]
    force: bool,
    /// With --rm: how long to wait; 0 is as long as it takes
    #[arg(long, default_value = "0s")]
    timeout: String,
    /// With --rm: wait until the pod is gone
    #[arg(long)]
    wait: bool,
    #[arg(short = 'k', long)]
    kustomize: Option<String>,
    #[arg(short = 'R', long)]
    recursive: bool,
}

const MANAGER: &str = "kubectl-run";

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let [name] = arguments.name.as_slice() else {
        let text = match arguments.name.as_slice() {
            [] => "NAME is required for run".to_owned(),
            [_, others @ ..] => format!("unexpected args: {others:?}"),
        };
        return Err(Failure::message(format!("{text}\nSee 'kubectl run -h' for help and examples")));
    };
    let attached = arguments.check()?;
    let removal = arguments.deletion.parse()?;
    let pod = arguments.overrides.apply(Pod::DEF.message, arguments.pod(name)?)?;
    let creation = &arguments.creation;
    let (target, pod) = creation.prepare(context, &Pod::DEF, pod);
    let made =
        if creation.output.is_client_dry_run() { pod } else { creation.post(context, MANAGER, &target, &pod).await? };
    if arguments.expose {
        let port: i64 = arguments
            .port
            .parse()
            .map_err(|_| Failure::message(format!("--port must be a number, not {:?}", arguments.port)))?;
        let labels = made.pointer("/metadata/labels").cloned().unwrap_or_default();
        let ports = vec![json!({"port": port, "protocol": "TCP", "targetPort": port})];
        let service = service(name, json!({}), labels, ports);
        creation.create_as(context, MANAGER, &Service::DEF, service, "created").await?;
    }
    if attached {
        let ended = converse(context, arguments, &target).await;
        if arguments.rm {
            removal.carry_out(context, &target, arguments.streams.quiet).await?;
        }
        return ended;
    }
    creation.output.tell(context, &target, "created", &made)
}

impl Arguments {
    /// Refuses flags that do not go together; whether the container is attached to.
    fn check(&self) -> Result<bool> {
        let interactive = self.streams.stdin || self.streams.tty;
        let attached = self.attach || interactive;
        let output = &self.creation.output;
        self.creation.check()?;
        self.streams.patience()?;
        let reason = if self.streams.tty && !self.streams.stdin {
            "-i/--stdin is required for containers with -t/--tty=true"
        } else if self.rm && !attached {
            "--rm should only be used for attached containers"
        } else if attached && output.dry_run != DryRun::None {
            "--dry-run=[server|client] can't be used with attached containers options (--attach, --stdin, or --tty)"
        } else if self.deletion.kustomize.is_some() || self.deletion.recursive {
            "-k and -R are about manifests, of which run reads none"
        } else if self.expose && self.port.is_empty() {
            "--port must be set when exposing a service"
        } else if !matches!(self.restart.as_str(), "Always" | "OnFailure" | "Never") {
            return Err(Failure::message(format!("invalid restart policy: {}", self.restart)));
        } else {
            return Ok(attached);
        };
        Err(Failure::message(reason))
    }

    fn pod(&self, name: &str) -> Result<Value> {
        let mut container = json!({"name": name, "image": self.image, "resources": {}});
        if !self.words.is_empty() {
            container[if self.command { "command" } else { "args" }] = self.words.clone().into();
        }
        if !self.env.is_empty() {
            container["env"] = self.env.iter().map(|pair| variable(pair)).collect::<Result<Vec<_>>>()?.into();
        }
        if !self.port.is_empty() {
            let port: u16 = self
                .port
                .parse()
                .map_err(|_| Failure::message(format!("strconv.ParseInt: parsing {:?}: invalid syntax", self.port)))?;
            container["ports"] = json!([{"containerPort": port}]);
        }
        if !self.image_pull_policy.is_empty() {
            container["imagePullPolicy"] = self.image_pull_policy.clone().into();
        }
        if self.privileged {
            container["securityContext"] = json!({"privileged": true});
        }
        if self.streams.stdin {
            container["stdin"] = true.into();
            if !self.leave_stdin_open {
                container["stdinOnce"] = true.into();
            }
        }
        if self.streams.tty {
            container["tty"] = true.into();
        }
        let labels = match self.labels.as_str() {
            "" => [("run".to_owned(), Value::from(name))].into_iter().collect::<Map<_, _>>(),
            text => labels(text)?,
        };
        let mut metadata = json!({"name": name, "labels": labels});
        if !self.annotations.is_empty() {
            metadata["annotations"] = super::expose::labels(&self.annotations.join(","))?.into();
        }
        let spec = json!({"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": self.restart});
        Ok(typed(&Pod::DEF, json!({"metadata": metadata, "spec": spec, "status": {}})))
    }
}

/// `NAME=VALUE`.
pub(super) fn variable(pair: &str) -> Result<Value> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok(json!({"name": name, "value": value})),
        _ => Err(Failure::message(format!("invalid env: {pair}"))),
    }
}

/// Attaches once the container runs; a container that has ended already is told by its log.
async fn converse(context: &Context, arguments: &Arguments, target: &Target) -> Result<()> {
    let patience = arguments.streams.patience()?;
    let running = follow::until(context, target, |pod| {
        let pod = pod.ok_or_else(|| Failure::message(format!("{target} was deleted before it ran")))?;
        let begun = matches!(text(pod, "/status/phase"), "Running" | "Succeeded" | "Failed");
        Ok(begun.then(|| pod.clone()))
    });
    let deadline = Some(tokio::time::Instant::now() + patience);
    let pod = follow::within(deadline, running).await;
    let pod = pod.unwrap_or_else(|| Err(Failure::message("timed out waiting for the condition")))?;
    if text(&pod, "/status/phase") == "Running" {
        let attached = attach::to_pod(context, &arguments.streams, &pod).await;
        if let Err(Failure::Api(status)) = &attached {
            let message = &status.message;
            context.remark(format_args!(
                "warning: couldn't attach to {target}, falling back to streaming logs: {message}"
            ))?;
            logs(context, &pod, text(&pod, "/spec/containers/0/name")).await?;
        } else {
            attached?;
        }
    } else {
        logs(context, &pod, text(&pod, "/spec/containers/0/name")).await?;
    }
    if arguments.restart == "Always" || (arguments.leave_stdin_open && arguments.restart != "Never") {
        return Ok(());
    }
    end(context, target).await
}

/// A container's log to its end.
pub(super) async fn logs(context: &Context, pod: &Value, container: &str) -> Result<()> {
    let path = resource_path(&Pod::DEF, crate::calls::namespace_of(pod), name_of(pod), "log");
    let path = with_query(path, &[("follow", "true"), ("container", container)]);
    let mut log = context.server.ask(Ask::get(path).accept("*/*")).await?.body;
    while let Some(chunk) = log.next().await {
        context.print(chunk?)?;
    }
    Ok(())
}

/// The container's exit code is the command's.
async fn end(context: &Context, target: &Target) -> Result<()> {
    let pod = follow::until(context, target, |pod| {
        let pod = pod.ok_or_else(|| Failure::message(format!("{target} was deleted before it ended")))?;
        Ok(matches!(text(pod, "/status/phase"), "Succeeded" | "Failed").then(|| pod.clone()))
    });
    let pod = pod.await?;
    if text(&pod, "/status/phase") == "Succeeded" {
        return Ok(());
    }
    let ended = pod.pointer("/status/containerStatuses/0/state/terminated").cloned().unwrap_or_default();
    let code = ended["exitCode"].as_i64().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    let (reason, name, namespace) = (text(&ended, "/reason"), name_of(&pod), crate::calls::namespace_of(&pod));
    let message = text(&ended, "/message");
    let message = if message.is_empty() { String::new() } else { format!("\n{message}") };
    Err(Failure::Code { code, text: format!("pod {namespace}/{name} terminated ({reason}){message}") })
}

/// How `--rm` deletes.
struct Removal {
    options: Value,
    /// Until the pod is gone, and for how long; not at all without `--wait`.
    wait: Option<Option<Duration>>,
}

impl Deletion {
    fn parse(&self) -> Result<Removal> {
        let grace = if self.force && self.grace_period < 0 { 0 } else { self.grace_period };
        let limit = duration::parse(&self.timeout)?.filter(|limit| !limit.is_zero());
        Ok(Removal { options: super::delete::options(&self.cascade, grace)?, wait: self.wait.then_some(limit) })
    }
}

impl Removal {
    async fn carry_out(&self, context: &Context, target: &Target, quiet: bool) -> Result<()> {
        match context.delete(target.at(), &self.options, &[]).await {
            Err(failure) if failure.is_not_found() => return Ok(()),
            other => other?,
        };
        if !quiet {
            super::delete::say(context, target, "deleted", "")?;
        }
        let Some(limit) = self.wait else { return Ok(()) };
        let deadline = limit.map(|limit| tokio::time::Instant::now() + limit);
        let gone = follow::until(context, target, |object| Ok(object.is_none().then_some(())));
        follow::within(deadline, gone).await.unwrap_or_else(|| Err(follow::timed_out(target)))
    }
}

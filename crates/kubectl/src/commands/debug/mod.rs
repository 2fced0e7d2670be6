//! `debug`: another container beside a pod's, a copy of a pod, or a pod on a node.

mod copy;
mod profile;

use super::attach::{self, Streams};
use crate::calls::{At, name_of, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::follow;
use crate::target::Target;
use crate::workload;
use api::Kind;
use client::PatchType;
use k8s_openapi::api::core::v1::{Node, Pod};
use profile::Profile;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// POD, pod/NAME or node/NAME
    pods: Vec<String>,
    /// What to run in the new container
    #[arg(last = true)]
    words: Vec<String>,
    #[command(flatten)]
    files: crate::manifest::Files,
    #[command(flatten)]
    streams: Streams,
    #[command(flatten)]
    copy: copy::Copying,
    /// The new container's image
    #[arg(long, default_value = "", hide_default_value = true)]
    image: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    image_pull_policy: String,
    /// The new container's name
    #[arg(short = 'c', long, default_value = "", hide_default_value = true)]
    container: String,
    /// What stands behind -- are arguments, not a command
    #[arg(long)]
    arguments_only: bool,
    /// Attach to the new container
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    attach: Option<bool>,
    /// NAME=VALUE; may be repeated
    #[arg(long)]
    env: Vec<String>,
    /// The container whose processes the new one sees
    #[arg(long, default_value = "", hide_default_value = true)]
    target: String,
    /// What the new container may: general, baseline, restricted, netadmin, sysadmin, legacy
    #[arg(long, default_value = "general")]
    profile: String,
    /// A JSON or YAML file with more of the container
    #[arg(long, default_value = "", hide_default_value = true)]
    custom: String,
}

const MANAGER: (&str, &str) = ("fieldManager", "kubectl-debug");

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let mut targets = crate::target::names_in_files(context, &arguments.files).await?;
    for word in &arguments.pods {
        targets.push(workload::target(context, word).await?);
    }
    if targets.is_empty() {
        return Err(Failure::message("NAME or filename is required for debug"));
    }
    if arguments.image.is_empty() && !arguments.copy.is_copy() {
        return Err(Failure::message("you must specify --image when not using --copy-to."));
    }
    if arguments.image.is_empty() && arguments.words.is_empty() && arguments.copy.is_bare() {
        return Err(Failure::message("you must specify --image, --set-image or command arguments."));
    }
    let profile = Profile::parse(&arguments.profile)?;
    for target in &targets {
        let (pod, container) = match target.def.kind {
            "Node" => on_node(context, arguments, profile, target).await?,
            "Pod" if arguments.copy.is_copy() => copy::run(context, arguments, profile, target).await?,
            "Pod" => beside(context, arguments, profile, target).await?,
            other => {
                return Err(Failure::message(format!(
                    "{:?} not supported by debug",
                    format!("{}, Kind={other}", target.def.api_version())
                )));
            }
        };
        if arguments.attach.unwrap_or(arguments.streams.stdin) && !container.is_empty() {
            attach_to(context, arguments, &pod, &container).await?;
        }
    }
    Ok(())
}

/// Five letters that make no words, as generated names end.
fn random_end() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut bytes = [0_u8; 5];
    // Time is unique enough where the kernel gives no randomness: a name that is taken is refused by the server.
    if rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty()).is_err() {
        let nanos = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        bytes.copy_from_slice(&nanos[..5]);
    }
    bytes.iter().map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).collect()
}

impl Arguments {
    /// The new container by name, without what its profile adds.
    fn container(&self, name: &str) -> Result<Value> {
        let mut container =
            json!({"name": name, "image": self.image, "resources": {}, "terminationMessagePolicy": "File"});
        if !self.image_pull_policy.is_empty() {
            container["imagePullPolicy"] = self.image_pull_policy.clone().into();
        }
        if !self.words.is_empty() {
            container[if self.arguments_only { "args" } else { "command" }] = self.words.clone().into();
        }
        if !self.env.is_empty() {
            container["env"] =
                self.env.iter().map(|pair| super::run::variable(pair)).collect::<Result<Vec<_>>>()?.into();
        }
        if self.streams.stdin {
            container["stdin"] = true.into();
        }
        if self.streams.tty {
            container["tty"] = true.into();
        }
        Ok(container)
    }

    /// With what the user's own file says of the container.
    fn customized(&self, mut container: Value) -> Result<Value> {
        if self.custom.is_empty() {
            return Ok(container);
        }
        let text = std::fs::read_to_string(&self.custom);
        let text = text.map_err(|error| {
            Failure::message(format!("must pass a container spec json file for custom profile: {error}"))
        })?;
        for document in crate::manifest::parse(&text, &self.custom)? {
            super::patch::merge(&mut container, &document);
        }
        Ok(container)
    }

    fn name_or_random(&self, context: &Context) -> Result<String> {
        if !self.container.is_empty() {
            return Ok(self.container.clone());
        }
        let name = format!("debugger-{}", random_end());
        if !self.streams.quiet {
            context.line(format_args!("Defaulting debug container name to {name}."))?;
        }
        Ok(name)
    }
}

/// An ephemeral container in the pod itself.
async fn beside(
    context: &Context,
    arguments: &Arguments,
    profile: Profile,
    target: &Target,
) -> Result<(Value, String)> {
    if !arguments.copy.is_bare() {
        return Err(Failure::message(
            "--copy-to is required with --replace, --same-node, --set-image and --share-processes",
        ));
    }
    let pod = context.get(target.at()).await?;
    let wanted = &arguments.target;
    if !wanted.is_empty() {
        workload::known_container(&pod, wanted)?;
        if !arguments.streams.quiet {
            context.remark(format_args!("Targeting container {wanted:?}. If you don't see processes from this container it may be because the container runtime doesn't support this feature."))?;
        }
    }
    let name = arguments.name_or_random(context)?;
    let mut container = arguments.container(&name)?;
    if !wanted.is_empty() {
        container["targetContainerName"] = wanted.as_str().into();
    }
    profile.of_container(&mut container);
    let container = arguments.customized(container)?;
    let mut all = pod.pointer("/spec/ephemeralContainers").and_then(Value::as_array).cloned().unwrap_or_default();
    if all.iter().any(|one| one["name"] == name.as_str()) {
        return Err(Failure::message(format!("container name {name:?} already in use in pod {:?}", name_of(&pod))));
    }
    all.push(container);
    let at = At { subresource: "ephemeralcontainers", ..target.at() };
    let patch = json!({"spec": {"ephemeralContainers": all}});
    let pod = context.patch(at, PatchType::Strategic, &patch, &[MANAGER]).await?;
    Ok((pod, name))
}

/// A pod that sees the node it is on.
async fn on_node(
    context: &Context,
    arguments: &Arguments,
    profile: Profile,
    target: &Target,
) -> Result<(Value, String)> {
    let node = context.get(At::object(&Node::DEF, "", &target.name)).await?;
    let name = format!("node-debugger-{}-{}", name_of(&node), random_end());
    let container_name = if arguments.container.is_empty() { "debugger" } else { &arguments.container };
    let mut container = arguments.container(container_name)?;
    container["terminationMessagePath"] = "/dev/termination-log".into();
    let mut spec = json!({
        "nodeName": name_of(&node), "restartPolicy": "Never", "tolerations": [{"operator": "Exists"}],
    });
    profile.of_node(&mut spec, &mut container);
    spec["containers"] = vec![arguments.customized(container)?].into();
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": context.namespace, "labels": {"app.kubernetes.io/managed-by": "kubectl-debug"}}, "spec": spec,
    });
    if !arguments.streams.quiet {
        context.line(format_args!(
            "Creating debugging pod {name} with container {container_name} on node {}.",
            name_of(&node)
        ))?;
    }
    let pod = context.create(At::collection(&Pod::DEF, &context.namespace), &object, &[MANAGER]).await?;
    Ok((pod, container_name.to_owned()))
}

/// Once the container runs; one that has ended already is told by its log.
async fn attach_to(context: &Context, arguments: &Arguments, pod: &Value, container: &str) -> Result<()> {
    let target = Target::of(&Pod::DEF, pod);
    let lists = ["/status/containerStatuses", "/status/ephemeralContainerStatuses", "/status/initContainerStatuses"];
    let begun = follow::until(context, &target, |pod| {
        let pod = pod.ok_or_else(|| Failure::message(format!("{target} was deleted")))?;
        let mut statuses = lists.iter().filter_map(|pointer| pod.pointer(pointer)?.as_array()).flatten();
        let state = statuses.find(|status| status["name"] == container).map(|status| &status["state"]);
        if let Some(waiting) = state.and_then(|state| state.get("waiting"))
            && matches!(
                text(waiting, "/reason"),
                "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "CreateContainerConfigError"
            )
        {
            return Err(Failure::message(format!(
                "container {container} cannot start: {}: {}",
                text(waiting, "/reason"),
                text(waiting, "/message")
            )));
        }
        let running = state.is_some_and(|state| state.get("running").is_some());
        let ended = state.is_some_and(|state| state.get("terminated").is_some());
        Ok((running || ended).then(|| (pod.clone(), running)))
    });
    let deadline = Some(tokio::time::Instant::now() + arguments.streams.patience()?);
    let begun = follow::within(deadline, begun).await;
    let (pod, running) = begun.unwrap_or_else(|| Err(Failure::message("timed out waiting for the condition")))?;
    if running {
        return attach::to(context, &arguments.streams, &pod, container).await;
    }
    super::run::logs(context, &pod, container).await
}

//! `debug --copy-to`: the pod once more, changed.

use super::{MANAGER, Profile};
use crate::calls::{At, name_of, namespace_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::Target;
use api::Kind;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(super) struct Copying {
    /// The copy's name
    #[arg(long, default_value = "", hide_default_value = true)]
    copy_to: String,
    /// Delete the pod that is copied
    #[arg(long)]
    replace: bool,
    /// On the same node
    #[arg(long)]
    same_node: bool,
    /// CONTAINER=IMAGE of the copy; may be repeated
    #[arg(long, value_delimiter = ',')]
    set_image: Vec<String>,
    /// The copy's containers see each other's processes
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    share_processes: Option<bool>,
    #[arg(long)]
    keep_annotations: bool,
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    keep_init_containers: bool,
    #[arg(long)]
    keep_labels: bool,
    #[arg(long)]
    keep_liveness: bool,
    #[arg(long)]
    keep_readiness: bool,
    #[arg(long)]
    keep_startup: bool,
}

impl Copying {
    pub(super) fn is_copy(&self) -> bool {
        !self.copy_to.is_empty()
    }

    /// Whether nothing is said of a copy.
    pub(super) fn is_bare(&self) -> bool {
        !self.replace && !self.same_node && self.set_image.is_empty() && self.share_processes.is_none()
    }

    fn probes(&self) -> [(&'static str, bool); 3] {
        [
            ("livenessProbe", self.keep_liveness),
            ("readinessProbe", self.keep_readiness),
            ("startupProbe", self.keep_startup),
        ]
    }

    /// The pod's specification and metadata without what belongs to the original alone.
    ///
    /// A copy without a debugger (`whole`) keeps what the original says of itself.
    fn copied(&self, pod: &Value, whole: bool) -> Result<Value> {
        let mut spec = pod["spec"].clone();
        let Some(members) = spec.as_object_mut() else { return Err(Failure::message("the pod has no specification")) };
        members.shift_remove("ephemeralContainers");
        if !self.same_node {
            members.shift_remove("nodeName");
        }
        if !self.keep_init_containers {
            members.shift_remove("initContainers");
        }
        for container in members["containers"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            for (probe, _) in self.probes().iter().filter(|(_, kept)| !kept && !whole) {
                container.shift_remove(*probe);
            }
        }
        let mut metadata = json!({"name": self.copy_to, "namespace": namespace_of(pod)});
        for (key, kept) in [("labels", self.keep_labels), ("annotations", self.keep_annotations)] {
            if let Some(map) = pod["metadata"].get(key).filter(|_| kept || whole) {
                metadata[key] = map.clone();
            }
        }
        Ok(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}))
    }

    fn set_images(&self, copy: &mut Value) -> Result<()> {
        for pair in &self.set_image {
            let Some((name, image)) = pair.split_once('=') else {
                return Err(Failure::message(format!(
                    "invalid argument {pair:?} for \"--set-image\": must be of the form NAME=IMAGE"
                )));
            };
            let mut chosen = 0;
            for container in copy["spec"]["containers"].as_array_mut().into_iter().flatten() {
                if name == "*" || container["name"] == name {
                    container["image"] = image.into();
                    chosen += 1;
                }
            }
            if chosen == 0 {
                return Err(Failure::message(format!("unable to find container named {name:?}")));
            }
        }
        Ok(())
    }
}

pub(super) async fn run(
    context: &Context,
    arguments: &super::Arguments,
    profile: Profile,
    target: &Target,
) -> Result<(Value, String)> {
    let own = &arguments.copy;
    let pod = context.get(target.at()).await?;
    let whole = arguments.image.is_empty() && arguments.container.is_empty();
    let mut copy = own.copied(&pod, whole)?;
    own.set_images(&mut copy)?;
    let mut attached = arguments.container.clone();
    if !arguments.image.is_empty() || !arguments.container.is_empty() {
        attached = debugger(context, arguments, profile, &mut copy)?;
    }
    if own.share_processes.unwrap_or(true) && (own.share_processes.is_some() || !arguments.image.is_empty()) {
        copy["spec"]["shareProcessNamespace"] = true.into();
    }
    if own.replace {
        context.delete(target.at(), &Value::Null, &[]).await?;
    }
    let made = context.create(At::collection(&Pod::DEF, namespace_of(&pod)), &copy, &[MANAGER]).await?;
    if attached.is_empty() {
        attached = crate::calls::text(&made, "/spec/containers/0/name").to_owned();
    }
    debug_assert_eq!(name_of(&made), own.copy_to);
    Ok((made, attached))
}

/// A container of that name is changed; another is added. Answers its name.
fn debugger(context: &Context, arguments: &super::Arguments, profile: Profile, copy: &mut Value) -> Result<String> {
    let containers =
        copy["spec"]["containers"].as_array_mut().ok_or_else(|| Failure::message("the pod has no containers"))?;
    if let Some(known) = containers.iter_mut().find(|one| one["name"] == arguments.container.as_str()) {
        if !arguments.image.is_empty() {
            known["image"] = arguments.image.clone().into();
        }
        if !arguments.words.is_empty() {
            known[if arguments.arguments_only { "args" } else { "command" }] = arguments.words.clone().into();
            if !arguments.arguments_only
                && let Some(known) = known.as_object_mut()
            {
                known.shift_remove("args");
            }
        }
        if arguments.streams.stdin {
            known["stdin"] = true.into();
        }
        if arguments.streams.tty {
            known["tty"] = true.into();
        }
        profile.of_container(known);
        return Ok(arguments.container.clone());
    }
    if arguments.image.is_empty() {
        return Err(Failure::message("you must specify image when creating new container"));
    }
    let name = arguments.name_or_random(context)?;
    let mut container = arguments.container(&name)?;
    profile.of_container(&mut container);
    containers.push(arguments.customized(container)?);
    Ok(name)
}

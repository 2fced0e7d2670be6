//! `set image`: CONTAINER=IMAGE.

use super::{Setting, Words, containers, pod_spec};
use crate::context::Context;
use crate::failure::{Failure, Result};

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    setting: Setting,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let setting = &arguments.setting;
    let (resources, images): (Vec<String>, Vec<String>) =
        setting.choice.arguments.iter().cloned().partition(|word| !word.contains('='));
    let images: Vec<(&str, &str)> = images.iter().filter_map(|pair| pair.split_once('=')).collect();
    if resources.is_empty() && setting.choice.files.is_empty() && !setting.choice.selects() {
        return Err(Failure::message(crate::target::NOTHING_NAMED));
    }
    if images.is_empty() {
        return Err(Failure::message("at least one image update is required"));
    }
    if images.len() > 1 && images.iter().any(|(name, _)| *name == "*") {
        return Err(Failure::message(
            "all containers are already specified by *, but saw more than one container_name=container_image pairs",
        ));
    }
    let found = setting.found(context, &resources).await?;
    let change = |target: &crate::target::Target, object: &mut serde_json::Value| {
        let spec = pod_spec(target, object)?;
        for (name, image) in &images {
            let chosen = containers(spec, name);
            if chosen.is_empty() {
                return Err(Failure::message(format!("unable to find container named {name:?}")));
            }
            chosen.into_iter().for_each(|container| container["image"] = (*image).into());
        }
        Ok(())
    };
    setting
        .apply(
            context,
            found,
            Words { done: "image updated", failed: "failed to patch image update to pod template: " },
            change,
        )
        .await
}

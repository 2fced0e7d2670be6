//! `set resources`: what containers request, and where they are limited.

use super::{Setting, Words, containers, pod_spec};
use crate::commands::create::resource_list;
use crate::context::Context;
use crate::failure::{Failure, Result};
use serde_json::{Map, Value};

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    setting: Setting,
    /// The containers' names; * is any text
    #[arg(short = 'c', long, default_value = "*")]
    containers: String,
    /// RESOURCE=QUANTITY, several with commas
    #[arg(long, default_value = "", hide_default_value = true)]
    limits: String,
    /// RESOURCE=QUANTITY, several with commas
    #[arg(long, default_value = "", hide_default_value = true)]
    requests: String,
}

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let (limits, requests) = (&arguments.limits, &arguments.requests);
    let choice = &arguments.setting.choice;
    if choice.arguments.is_empty() && choice.files.is_empty() && !choice.selects() {
        return Err(Failure::message(crate::target::NOTHING_NAMED));
    }
    if limits.is_empty() && requests.is_empty() {
        return Err(Failure::message(
            "you must specify an update to requests or limits (in the form of --requests/--limits)",
        ));
    }
    let wanted = [("limits", resource_list(limits)?), ("requests", resource_list(requests)?)];
    let found = arguments.setting.found(context, &arguments.setting.choice.arguments).await?;
    let change = |target: &crate::target::Target, object: &mut Value| {
        let chosen = containers(pod_spec(target, object)?, &arguments.containers);
        if chosen.is_empty() {
            return Err(Failure::message(format!("unable to find container named {}", arguments.containers)));
        }
        for container in chosen {
            for (key, list) in wanted.iter().filter(|(_, list)| !list.is_empty()) {
                merge(&mut container["resources"][*key], list);
            }
        }
        Ok(())
    };
    arguments
        .setting
        .apply(
            context,
            found,
            Words {
                done: "resource requirements updated",
                failed: "failed to patch resources update to pod template ",
            },
            change,
        )
        .await
}

fn merge(present: &mut Value, list: &Map<String, Value>) {
    if !present.is_object() {
        *present = Value::Object(Map::new());
    }
    let Some(present) = present.as_object_mut() else { return };
    for (name, quantity) in list {
        present.insert(name.clone(), quantity.clone());
    }
}

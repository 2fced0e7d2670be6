//! `set selector`, `set serviceaccount`, `set subject`.

use super::{Setting, Words, pod_spec};
use crate::commands::create::{Subjects, selector_object};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::Target;
use serde_json::Value;

#[derive(clap::Args, Debug)]
pub(crate) struct Selector {
    #[command(flatten)]
    setting: Setting,
    /// Only while the object is at this version
    #[arg(long, default_value = "", hide_default_value = true)]
    resource_version: String,
}

impl Selector {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let Some((query, resources)) = self.setting.choice.arguments.split_last() else {
            return Err(Failure::message("one selector is required"));
        };
        let selector = selector_object(query)?;
        if selector.get("matchExpressions").is_some() {
            return Err(Failure::message(format!("set selector takes labels and values only, not {query:?}")));
        }
        let labels = selector.get("matchLabels").cloned().unwrap_or_default();
        let found = self.setting.found(context, resources).await?;
        let change = |target: &Target, object: &mut Value| {
            if target.def.kind != "Service" {
                return Err(Failure::message("setting a selector is only supported for Services"));
            }
            if !self.resource_version.is_empty() {
                object["metadata"]["resourceVersion"] = self.resource_version.clone().into();
            }
            object["spec"]["selector"] = labels.clone();
            Ok(())
        };
        self.setting.apply(context, found, Words { done: "selector updated", failed: "" }, change).await
    }
}

#[derive(clap::Args, Debug)]
pub(crate) struct ServiceAccount {
    #[command(flatten)]
    setting: Setting,
}

impl ServiceAccount {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let Some((account, resources)) = self.setting.choice.arguments.split_last() else {
            return Err(Failure::message("serviceaccount is required"));
        };
        let found = self.setting.found(context, resources).await?;
        let change = |target: &Target, object: &mut Value| {
            let spec = pod_spec(target, object)?;
            spec["serviceAccountName"] = account.as_str().into();
            // Its older name goes with it.
            spec["serviceAccount"] = account.as_str().into();
            Ok(())
        };
        self.setting
            .apply(
                context,
                found,
                Words { done: "serviceaccount updated", failed: "failed to patch ServiceAccountName " },
                change,
            )
            .await
    }
}

#[derive(clap::Args, Debug)]
pub(crate) struct Subject {
    #[command(flatten)]
    setting: Setting,
    #[command(flatten)]
    subjects: Subjects,
}

impl Subject {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let choice = &self.setting.choice;
        if choice.arguments.is_empty() && choice.files.is_empty() && !choice.selects() {
            return Err(Failure::message(crate::target::NOTHING_NAMED));
        }
        if self.subjects.is_empty() {
            return Err(Failure::message("you must specify at least one value of user, group or serviceaccount"));
        }
        let added = self.subjects.all()?;
        let found = self.setting.found(context, &self.setting.choice.arguments).await?;
        let change = |target: &Target, object: &mut Value| {
            if !matches!(target.def.kind, "RoleBinding" | "ClusterRoleBinding") {
                let (plural, name) = (target.def.plural, &target.name);
                return Err(Failure::message(format!(
                    "{plural}/{name} setting subjects is only supported for RoleBinding/ClusterRoleBinding"
                )));
            }
            let mut subjects = object.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
            for subject in &added {
                if !subjects.contains(subject) {
                    subjects.push(subject.clone());
                }
            }
            object["subjects"] = subjects.into();
            Ok(())
        };
        self.setting
            .apply(
                context,
                found,
                Words { done: "subjects updated", failed: "failed to patch subjects to rolebinding: " },
                change,
            )
            .await
    }
}

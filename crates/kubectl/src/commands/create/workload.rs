//! `create deployment`, `create job`, `create cronjob`.

use super::make;
use crate::calls::At;
use crate::commands::output::{Creation, exactly_one};
use crate::context::Context;
use crate::failure::{Failure, Result};
use api::Kind;
use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch};
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(super) struct Deployment {
    name: Vec<String>,
    /// What to run; may be repeated
    #[arg(long, required = true, value_delimiter = ',')]
    image: Vec<String>,
    /// The port that the container listens on
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    port: i64,
    #[arg(short = 'r', long, default_value_t = 1)]
    replicas: i64,
    /// What to run in the container
    #[arg(last = true)]
    command: Vec<String>,
    #[command(flatten)]
    creation: Creation,
}

impl Deployment {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create deployment")?;
        if self.image.len() > 1 && !self.command.is_empty() {
            return Err(Failure::message("cannot specify multiple --image options and command"));
        }
        if self.replicas < 0 {
            return Err(Failure::message("--replicas must be 0 or greater"));
        }
        let mut names: Vec<String> = Vec::new();
        let mut containers: Vec<Value> = Vec::new();
        for image in &self.image {
            let name = container_name(image, &names);
            let mut container = json!({"name": name, "image": image, "resources": {}});
            if !self.command.is_empty() {
                container["command"] = self.command.clone().into();
            }
            if containers.is_empty() && self.port >= 0 {
                container["ports"] = json!([{"containerPort": self.port}]);
            }
            names.push(name);
            containers.push(container);
        }
        let labels = json!({"app": name});
        let object = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "replicas": self.replicas, "selector": {"matchLabels": labels}, "strategy": {},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
            "status": {},
        });
        make::<apps::Deployment>(context, &self.creation, "deployment", object).await
    }
}

/// The last part of the image's name, as a container may be called; another of the same name gets a number.
fn container_name(image: &str, taken: &[String]) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    let name = last.split([':', '@']).next().unwrap_or(last).replace(['_', '.'], "-");
    let numbered = (1..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|name| !taken.contains(name)).unwrap_or(name)
}

#[derive(clap::Args)]
pub(super) struct Job {
    name: Vec<String>,
    /// What to run
    #[arg(long, default_value = "", hide_default_value = true)]
    image: String,
    /// The cron job to run now: cronjob/NAME
    #[arg(long, default_value = "", hide_default_value = true)]
    from: String,
    #[arg(last = true)]
    command: Vec<String>,
    #[command(flatten)]
    creation: Creation,
}

impl Job {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create job")?;
        let object = match (self.image.as_str(), self.from.as_str()) {
            ("", "") => return Err(Failure::message("either --image or --from must be specified")),
            ("", from) if self.command.is_empty() => self.of_cron_job(context, name, from).await?,
            ("", _) => return Err(Failure::message("cannot specify --from and command")),
            (image, "") => json!({
                "metadata": {"name": name},
                "spec": {"template": pod_template(name, image, &self.command, "Never")},
                "status": {},
            }),
            _ => return Err(Failure::message("either --image or --from must be specified, not both")),
        };
        make::<batch::Job>(context, &self.creation, "job", object).await
    }

    async fn of_cron_job(&self, context: &Context, name: &str, from: &str) -> Result<Value> {
        let Some((kind, from_name)) = from.split_once('/') else {
            return Err(Failure::message("from must be an existing cronjob"));
        };
        let def = context.resources.named(kind).await?;
        if def.group_resource() != batch::CronJob::DEF.group_resource() {
            return Err(Failure::message("from must be an existing cronjob"));
        }
        let cron_job = context.get(At::object(def, &context.namespace, from_name)).await?;
        let template = &cron_job["spec"]["jobTemplate"];
        let mut annotations = template.pointer("/metadata/annotations").cloned().unwrap_or_else(|| json!({}));
        annotations["cronjob.kubernetes.io/instantiate"] = "manual".into();
        let mut metadata = json!({
            "name": name, "annotations": annotations,
            "ownerReferences": [{"apiVersion": def.api_version(), "kind": def.kind, "name": from_name,
                "uid": cron_job["metadata"]["uid"], "controller": true}],
        });
        if let Some(labels) = template.pointer("/metadata/labels") {
            metadata["labels"] = labels.clone();
        }
        Ok(json!({"metadata": metadata, "spec": template["spec"], "status": {}}))
    }
}

fn pod_template(name: &str, image: &str, command: &[String], restart: &str) -> Value {
    let mut container = json!({"name": name, "image": image, "resources": {}});
    if !command.is_empty() {
        container["command"] = command.into();
    }
    json!({"metadata": {}, "spec": {"containers": [container], "restartPolicy": restart}})
}

#[derive(clap::Args)]
pub(super) struct CronJob {
    name: Vec<String>,
    /// What to run
    #[arg(long, required = true)]
    image: String,
    /// When, as cron has it
    #[arg(long, required = true)]
    schedule: String,
    /// OnFailure or Never
    #[arg(long, default_value = "", hide_default_value = true)]
    restart: String,
    #[arg(last = true)]
    command: Vec<String>,
    #[command(flatten)]
    creation: Creation,
}

impl CronJob {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create cronjob")?;
        let restart = if self.restart.is_empty() { "OnFailure" } else { &self.restart };
        let template = pod_template(name, &self.image, &self.command, restart);
        let object = json!({
            "metadata": {"name": name},
            "spec": {
                "schedule": self.schedule,
                "jobTemplate": {"metadata": {"name": name}, "spec": {"template": template}},
            },
            "status": {},
        });
        make::<batch::CronJob>(context, &self.creation, "cronjob", object).await
    }
}

//! `create`: objects from manifests, and one object of a kind from flags.

mod access;
mod data;
mod ingress;
mod limits;
mod registry_secret;
mod service;
mod workload;

pub(super) use access::Subjects;
pub(super) use limits::{int_or_string, resource_list, selector_object};

use super::apply::{field_validation, with_last_applied};
use super::output::{Creation, Manager, Output, exactly_one};
use crate::calls::{At, name_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest::Files;
use crate::server::{Ask, JSON};
use crate::target::{self, Target, Wanted};
use api::{Kind, ResourceDef};
use http::Method;
use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

const MANAGER: &str = "kubectl-create";

#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    manager: Manager,
    /// strict, warn or ignore unknown fields
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "strict", default_missing_value = "strict")]
    validate: String,
    /// Keep the manifest in an annotation, for a later apply
    #[arg(long)]
    save_config: bool,
    /// Only objects whose labels match
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
    /// Edit the manifests before they are sent
    #[arg(long)]
    edit: bool,
    /// A path of the server to post the manifest to, as it is
    #[arg(long)]
    raw: Option<String>,
    #[command(flatten)]
    windows: super::edit::Windows,
}

/// The kinds that flags can describe.
#[derive(clap::Subcommand)]
enum What {
    /// A cluster role
    Clusterrole(access::ClusterRole),
    /// A binding of a cluster role
    Clusterrolebinding(access::ClusterBinding),
    /// A config map from files, folders or literal values
    #[command(visible_alias = "cm")]
    Configmap(data::ConfigMap),
    /// A cron job
    #[command(visible_alias = "cj")]
    Cronjob(workload::CronJob),
    /// A deployment
    #[command(visible_alias = "deploy")]
    Deployment(workload::Deployment),
    /// An ingress
    #[command(visible_alias = "ing")]
    Ingress(ingress::Ingress),
    /// A job
    Job(workload::Job),
    /// A namespace
    #[command(visible_alias = "ns")]
    Namespace(Plain),
    /// A pod disruption budget
    #[command(visible_alias = "pdb")]
    Poddisruptionbudget(limits::Budget),
    /// A priority class
    #[command(visible_alias = "pc")]
    Priorityclass(limits::Priority),
    /// A quota
    #[command(visible_alias = "resourcequota")]
    Quota(limits::Quota),
    /// A role
    Role(access::Role),
    /// A binding of a role
    Rolebinding(access::Binding),
    /// A secret
    #[command(subcommand)]
    Secret(data::Secret),
    /// A service
    #[command(subcommand, visible_alias = "svc")]
    Service(service::Service),
    /// A service account
    #[command(visible_alias = "sa")]
    Serviceaccount(Plain),
    /// A token of a service account
    Token(access::Token),
}

/// A kind that has only a name.
#[derive(clap::Args)]
struct Plain {
    name: Vec<String>,
    #[command(flatten)]
    creation: Creation,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    field_validation(&arguments.validate)?;
    match &arguments.what {
        Some(what) => Box::pin(generate(context, what)).await,
        None if arguments.raw.is_some() => raw(context, arguments).await,
        None if arguments.files.is_empty() => Err(Failure::message("must specify one of -f and -k")),
        None if arguments.edit => {
            let make = async |target, object| create(context, arguments, target, object).await;
            super::edit::create(context, &arguments.files, &arguments.windows, make).await
        }
        None => from_files(context, arguments).await,
    }
}

async fn generate(context: &Context, what: &What) -> Result<()> {
    match what {
        What::Clusterrole(arguments) => arguments.run(context).await,
        What::Clusterrolebinding(arguments) => arguments.run(context).await,
        What::Configmap(arguments) => arguments.run(context).await,
        What::Cronjob(arguments) => arguments.run(context).await,
        What::Deployment(arguments) => arguments.run(context).await,
        What::Ingress(arguments) => arguments.run(context).await,
        What::Job(arguments) => arguments.run(context).await,
        What::Namespace(arguments) => {
            let name = exactly_one(&arguments.name, "create namespace")?;
            let object = json!({"metadata": {"name": name}, "spec": {}, "status": {}});
            make::<core::Namespace>(context, &arguments.creation, "", object).await
        }
        What::Poddisruptionbudget(arguments) => arguments.run(context).await,
        What::Priorityclass(arguments) => arguments.run(context).await,
        What::Quota(arguments) => arguments.run(context).await,
        What::Role(arguments) => arguments.run(context).await,
        What::Rolebinding(arguments) => arguments.run(context).await,
        What::Secret(arguments) => arguments.run(context).await,
        What::Service(arguments) => arguments.run(context).await,
        What::Serviceaccount(arguments) => {
            let name = exactly_one(&arguments.name, "create serviceaccount")?;
            let object = json!({"metadata": {"name": name}});
            make::<core::ServiceAccount>(context, &arguments.creation, "serviceaccount", object).await
        }
        What::Token(arguments) => arguments.run(context).await,
    }
}

/// Creates an object of kind `K`; failures read `failed to create NOUN: …` where a noun is given.
pub(super) async fn make<K: Kind>(context: &Context, creation: &Creation, noun: &str, object: Value) -> Result<()> {
    make_of(context, creation, &K::DEF, noun, object).await
}

async fn make_of(
    context: &Context,
    creation: &Creation,
    def: &'static ResourceDef,
    noun: &str,
    object: Value,
) -> Result<()> {
    let created = creation.create(context, MANAGER, def, typed(def, object)).await;
    created.map_err(|failure| match failure {
        Failure::Api(status) if !noun.is_empty() => {
            Failure::message(format!("failed to create {noun}: {}", status.message))
        }
        other => other,
    })
}

/// With its version and kind before all else.
pub(super) fn typed(def: &ResourceDef, object: Value) -> Value {
    let mut typed = json!({"apiVersion": def.api_version(), "kind": def.kind});
    if let (Value::Object(members), Some(typed)) = (object, typed.as_object_mut()) {
        typed.extend(members);
    }
    typed
}

/// Only the manifests that a label query wants.
pub(super) fn retain_selected(wanted: &mut Vec<Wanted>, selector: &str) -> Result<()> {
    if selector.is_empty() {
        return Ok(());
    }
    let selector = api::selector::Selector::parse(selector).map_err(|error| Failure::message(error.to_string()))?;
    wanted.retain(|wanted| {
        let labels = wanted.document.object.pointer("/metadata/labels");
        selector.matches_with(|label| labels?.get(label)?.as_str())
    });
    Ok(())
}

async fn raw(context: &Context, arguments: &Arguments) -> Result<()> {
    let path = arguments.raw.clone().unwrap_or_default();
    let documents = crate::manifest::read_raw(&arguments.files).await?;
    let [text] = documents.as_slice() else {
        return Err(Failure::message("--raw can only use a single local file or stdin"));
    };
    let body = bytes::Bytes::from(text.clone());
    let ask = Ask { method: Method::POST, path, accept: JSON, content_type: JSON, body };
    let answer = context.server.ask(ask).await?;
    context.print(crate::server::whole(answer.body).await?)
}

async fn from_files(context: &Context, arguments: &Arguments) -> Result<()> {
    let (mut all, mut failures) = target::of_files(context, &arguments.files).await?;
    retain_selected(&mut all, &arguments.selector)?;
    if all.is_empty() && failures.is_empty() {
        return Err(Failure::message("no objects passed to create"));
    }
    for Wanted { target, document } in all {
        let created = create(context, arguments, target, document.object).await;
        match created.map_err(|failure| failure.while_doing("creating", &document.source)) {
            Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
    }
    Failure::of_all(failures)
}

async fn create(context: &Context, arguments: &Arguments, mut target: Target, object: Value) -> Result<()> {
    let object = if arguments.save_config { with_last_applied(object) } else { object };
    if arguments.output.is_client_dry_run() {
        return arguments.output.tell(context, &target, "created", &object);
    }
    let query = [
        arguments.manager.query(MANAGER),
        ("fieldValidation", field_validation(&arguments.validate)?),
        arguments.output.dry_run_query(),
    ];
    let created = context.create(At::collection(target.def, &target.namespace), &object, &query).await?;
    // A generated name is known only now.
    name_of(&created).clone_into(&mut target.name);
    arguments.output.tell(context, &target, "created", &created)
}

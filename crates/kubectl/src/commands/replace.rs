//! `replace`: objects become what manifests say, whole.

use super::apply::{field_validation, with_last_applied};
use super::output::{DryRun, Manager, Output};
use super::recreate::{self, Removal, recreate};
use crate::calls::{At, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest::Files;
use crate::server::{Ask, JSON};
use crate::target::{self, Wanted};
use http::Method;
use serde_json::Value;

#[derive(clap::Args)]
pub(crate) struct Arguments {
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
    /// The subresource to replace: status, scale
    #[arg(long, default_value = "", hide_default_value = true)]
    subresource: String,
    /// A path of the server to put the manifest to, as it is
    #[arg(long)]
    raw: Option<String>,
    /// Delete the objects, and make them anew
    #[arg(long)]
    force: bool,
    /// With --force: background, foreground or orphan
    #[arg(long, num_args = 0..=1, require_equals = true, default_value = "background", default_missing_value = "background")]
    cascade: String,
    /// With --force: seconds to end in; -1 is the object's own
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    grace_period: i64,
    /// With --force: how long to wait for the deletion; 0 is as long as it takes
    #[arg(long, default_value = "0s")]
    timeout: String,
    /// With --force: wait for the deletion, which it does anyway
    #[arg(long)]
    wait: bool,
}

const MANAGER: &str = "kubectl-replace";

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if let Some(path) = &arguments.raw {
        return raw(context, arguments, path).await;
    }
    if !arguments.force && (arguments.grace_period >= 0 || arguments.timeout != "0s") {
        return Err(Failure::message("--grace-period and --timeout must have --force specified"));
    }
    if arguments.files.is_empty() {
        return Err(Failure::message("must specify one of -f and -k"));
    }
    if arguments.force && arguments.output.dry_run != DryRun::None {
        return Err(Failure::message("--dry-run can not be used when --force is set"));
    }
    let removal = Removal::parse(&arguments.cascade, arguments.grace_period, &arguments.timeout)?;
    let query = arguments.query()?;
    let (all, mut failures) = target::of_files(context, &arguments.files).await?;
    if all.is_empty() && failures.is_empty() {
        return Err(Failure::message("no objects passed to replace"));
    }
    for wanted in &all {
        let done = if arguments.force {
            anew(context, arguments, wanted, &removal, &query).await
        } else {
            one(context, arguments, wanted, &query).await
        };
        match done {
            Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
    }
    Failure::of_all(failures)
}

async fn raw(context: &Context, arguments: &Arguments, path: &str) -> Result<()> {
    let texts = crate::manifest::read_raw(&arguments.files).await?;
    let [text] = texts.as_slice() else {
        return Err(Failure::message("--raw can only use a single local file or stdin"));
    };
    let body = bytes::Bytes::from(text.clone());
    let ask = Ask { method: Method::PUT, path: path.to_owned(), accept: JSON, content_type: JSON, body };
    let answer = context.server.ask(ask).await?;
    context.print(crate::server::whole(answer.body).await?)
}

impl Arguments {
    fn object(&self, wanted: &Wanted) -> Value {
        let object = wanted.document.object.clone();
        // What was applied stays said where the object says it already.
        if self.save_config || super::apply::last_applied(&object).is_some() {
            with_last_applied(object)
        } else {
            object
        }
    }

    fn query(&self) -> Result<[(&str, &str); 3]> {
        let validation = field_validation(&self.validate)?;
        Ok([self.manager.query(MANAGER), ("fieldValidation", validation), self.output.dry_run_query()])
    }
}

async fn one(context: &Context, arguments: &Arguments, wanted: &Wanted, query: &[(&str, &str)]) -> Result<()> {
    let (target, mut object) = (&wanted.target, arguments.object(wanted));
    if arguments.output.is_client_dry_run() {
        return arguments.output.tell(context, target, "replaced", &object);
    }
    let replacing = |failure: Failure| failure.while_doing("replacing", &wanted.document.source);
    let at = At { subresource: &arguments.subresource, ..target.at() };
    if text(&object, "/metadata/resourceVersion").is_empty() {
        let current = context.get(at).await.map_err(replacing)?;
        object["metadata"]["resourceVersion"] = text(&current, "/metadata/resourceVersion").into();
    }
    let replaced = context.replace(at, &object, query).await.map_err(replacing)?;
    arguments.output.tell(context, target, "replaced", &replaced)
}

async fn anew(
    context: &Context,
    arguments: &Arguments,
    wanted: &Wanted,
    removal: &Removal,
    query: &[(&str, &str)],
) -> Result<()> {
    let (target, object) = (&wanted.target, arguments.object(wanted));
    let made = match context.find(target.at()).await? {
        Some(old) => {
            let deleted = || super::delete::say(context, target, "deleted", "");
            recreate(context, target, removal, DryRun::None, (&old, &object), query, deleted).await?
        }
        None => context.create(At::collection(target.def, &target.namespace), &recreate::anew(&object), query).await?,
    };
    arguments.output.tell(context, target, "replaced", &made)
}

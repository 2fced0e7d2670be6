//! `certificate approve` and `deny`: what becomes of requests for certificates.

use super::output::Printing;
use crate::calls::{At, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest::Files;
use crate::print::Format;
use crate::target::{Target, names_in_files};
use api::{Kind, Reason};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use serde_json::{Value, json};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Let requests be signed
    Approve(Arguments),
    /// Refuse requests
    Deny(Arguments),
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Requests
    requests: Vec<String>,
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    printing: Printing,
    /// Write it again though it stands already
    #[arg(long)]
    force: bool,
}

/// Somebody else wrote between our read and our write; upstream tries as often.
const ATTEMPTS_MAX: usize = 10;

pub(crate) async fn run(context: &Context, command: &Command) -> Result<()> {
    let (arguments, kind, done) = match command {
        Command::Approve(arguments) => (arguments, "Approved", "approved"),
        Command::Deny(arguments) => (arguments, "Denied", "denied"),
    };
    let mut targets = names_in_files(context, &arguments.files).await?;
    let named = arguments.requests.iter().map(|name| {
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        Target { def: &CertificateSigningRequest::DEF, namespace: String::new(), name }
    });
    targets.extend(named);
    if targets.is_empty() {
        return Err(Failure::message("one or more CSRs must be specified as <name> or -f <filename>"));
    }
    let mut failures = Vec::new();
    for target in &targets {
        match decide(context, target, kind, arguments.force).await {
            Ok(object) => match arguments.printing.chosen()? {
                None => context.line(format_args!("{target} {done}"))?,
                Some(Format::Name) => context.line(target)?,
                Some(format) => arguments.printing.show(context, &format, &object)?,
            },
            Err(failure) => failures.push(failure),
        }
    }
    Failure::of_all(failures)
}

async fn decide(context: &Context, target: &Target, kind: &str, force: bool) -> Result<Value> {
    for attempt in 1..=ATTEMPTS_MAX {
        let mut request = context.get(target.at()).await?;
        let mut conditions =
            request.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let other = if kind == "Approved" { "Denied" } else { "Approved" };
        if conditions.iter().any(|condition| condition["type"] == other) {
            let text = format!("certificate signing request {:?} is already {other}", text(&request, "/metadata/name"));
            return Err(Failure::message(text));
        }
        if conditions.iter().any(|condition| condition["type"] == kind) && !force {
            return Ok(request);
        }
        conditions.retain(|condition| condition["type"] != kind);
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let verb = if kind == "Approved" { "approve" } else { "deny" };
        conditions.push(json!({
            "type": kind, "status": "True", "reason": format!("Kubectl{}", if kind == "Approved" { "Approve" } else { "Deny" }),
            "message": format!("This CSR was {} by kubectl certificate {verb}.", kind.to_lowercase()),
            "lastUpdateTime": now,
        }));
        request["status"]["conditions"] = conditions.into();
        match context.replace(At { subresource: "approval", ..target.at() }, &request, &[]).await {
            Err(Failure::Api(status)) if status.reason == Reason::Conflict && attempt < ATTEMPTS_MAX => {}
            outcome => return outcome,
        }
    }
    Err(Failure::message(format!("{target} is changed by others too often")))
}

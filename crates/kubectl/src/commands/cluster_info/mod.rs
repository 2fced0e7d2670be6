//! `cluster-info`: where the control plane and the cluster's own services are, or all that is worth knowing of a
//! cluster in trouble.

mod dump;

use crate::calls::{At, Selection, name_of, namespace_of, text};
use crate::context::Context;
use crate::failure::Result;
use api::Kind;
use k8s_openapi::api::core::v1::Service;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Subcommand)]
enum Command {
    /// All that is worth knowing of a cluster in trouble
    Dump(dump::Arguments),
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if let Some(Command::Dump(arguments)) = &arguments.command {
        return dump::run(context, arguments).await;
    }
    let server = &context.connection.config.server;
    let selection = Selection { labels: "kubernetes.io/cluster-service=true".to_owned(), ..Selection::default() };
    let services = context.list(At::collection(&Service::DEF, "kube-system"), &selection).await?;
    context.line(format_args!("Kubernetes control plane is running at {server}"))?;
    for service in &services.items {
        let label = service.pointer("/metadata/labels").and_then(|labels| labels.get("kubernetes.io/name")?.as_str());
        let port = text(service, "/spec/ports/0/name");
        let port = if port.is_empty() { String::new() } else { format!(":{port}") };
        let (name, namespace) = (name_of(service), namespace_of(service));
        let called = label.unwrap_or(name);
        context.line(format_args!(
            "{called} is running at {server}/api/v1/namespaces/{namespace}/services/{name}{port}/proxy"
        ))?;
    }
    context.line("\nTo further debug and diagnose cluster problems, use 'kubectl cluster-info dump'.")
}

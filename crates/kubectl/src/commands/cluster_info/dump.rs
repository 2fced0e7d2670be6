//! `cluster-info dump`: nodes, and of namespaces what runs in them, their events and their containers' logs.

use crate::calls::{At, Selection, name_of, namespace_of};
use crate::commands::output::Printing;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::Format;
use crate::server::{Ask, resource_path, whole, with_query};
use crate::workload;
use api::{Kind, ResourceDef};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod, ReplicationController, Service};
use serde_json::{Value, json};
use std::path::Path;

#[derive(clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    printing: Printing,
    /// Every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// These namespaces instead of the current one and kube-system
    #[arg(long, value_delimiter = ',')]
    namespaces: Vec<String>,
    /// A folder for a file of each part; - is standard output
    #[arg(long, default_value = "", hide_default_value = true)]
    output_directory: String,
    /// How long to wait for a pod; logs are of pods that are there
    #[arg(long, default_value = "20s")]
    pod_running_timeout: String,
}

const KINDS: [(&str, &ResourceDef); 7] = [
    ("events", &Event::DEF),
    ("replication-controllers", &ReplicationController::DEF),
    ("services", &Service::DEF),
    ("daemonsets", &DaemonSet::DEF),
    ("deployments", &Deployment::DEF),
    ("replicasets", &ReplicaSet::DEF),
    ("pods", &Pod::DEF),
];

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    crate::duration::parse(&arguments.pod_running_timeout)?;
    let format = arguments.printing.chosen()?.unwrap_or(Format::Json);
    let dump = Dump { context, format, folder: arguments.output_directory.as_str() };
    dump.collection("nodes", &Node::DEF, "").await?;
    for namespace in namespaces(context, arguments).await? {
        let mut pods = Vec::new();
        for (file, def) in KINDS {
            let items = dump.collection(&format!("{namespace}/{file}"), def, &namespace).await?;
            if def.kind == "Pod" {
                pods = items;
            }
        }
        for pod in &pods {
            dump.logs(pod).await?;
        }
    }
    if dump.is_folder() {
        context.line(format_args!("Cluster info dumped to {}", dump.folder))?;
    }
    Ok(())
}

async fn namespaces(context: &Context, arguments: &Arguments) -> Result<Vec<String>> {
    if arguments.all_namespaces {
        let listed = context.list(At::collection(&Namespace::DEF, ""), &Selection::default()).await?;
        return Ok(listed.items.iter().map(|one| name_of(one).to_owned()).collect());
    }
    if !arguments.namespaces.is_empty() {
        return Ok(arguments.namespaces.clone());
    }
    Ok(vec!["kube-system".to_owned(), context.namespace.clone()])
}

struct Dump<'a> {
    context: &'a Context,
    format: Format,
    folder: &'a str,
}

impl Dump<'_> {
    fn is_folder(&self) -> bool {
        !matches!(self.folder, "" | "-")
    }

    fn write(&self, file: &str, text: &[u8]) -> Result<()> {
        if !self.is_folder() {
            return self.context.print(text);
        }
        let path = Path::new(self.folder).join(file);
        let failed = |error: std::io::Error| Failure::message(format!("{}: {error}", path.display()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        std::fs::write(&path, text).map_err(failed)
    }

    async fn collection(&self, file: &str, def: &'static ResourceDef, namespace: &str) -> Result<Vec<Value>> {
        let listed = self.context.list(At::collection(def, namespace), &Selection::default()).await?;
        let list = json!({
            "apiVersion": def.api_version(), "kind": format!("{}List", def.kind),
            "metadata": {"resourceVersion": listed.resource_version}, "items": listed.items,
        });
        let end = if matches!(self.format, Format::Yaml) { "yaml" } else { "json" };
        self.write(&format!("{file}.{end}"), self.format.object(&list)?.as_bytes())?;
        Ok(listed.items)
    }

    /// A log that cannot be read is said to be so, and holds nothing up.
    async fn logs(&self, pod: &Value) -> Result<()> {
        let (namespace, name) = (namespace_of(pod), name_of(pod));
        let mut text = Vec::new();
        for container in workload::containers(pod, true) {
            text.extend_from_slice(
                format!("==== START logs for container {container} of pod {namespace}/{name} ====\n").as_bytes(),
            );
            let path = with_query(resource_path(&Pod::DEF, namespace, name, "log"), &[("container", &container)]);
            match self.context.server.ask(Ask::get(path).accept("*/*")).await {
                Ok(answer) => text.extend_from_slice(&whole(answer.body).await?),
                Err(Failure::Api(status)) => {
                    text.extend_from_slice(format!("Request log error: {}\n", status.message).as_bytes())
                }
                Err(failure) => return Err(failure),
            }
            text.extend_from_slice(
                format!("==== END logs for container {container} of pod {namespace}/{name} ====\n").as_bytes(),
            );
        }
        self.write(&format!("{namespace}/{name}/logs.txt"), &text)
    }
}

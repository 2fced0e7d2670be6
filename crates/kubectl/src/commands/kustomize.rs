//! `kustomize`: the objects of a kustomization, as YAML.

use crate::failure::{Failure, Result};
use crate::kustomize;
use crate::print::yaml;
use std::io::Write;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The folder of the kustomization; this one where none is named
    folder: Vec<PathBuf>,
    /// A file to write to
    #[arg(short = 'o', long, default_value = "", hide_default_value = true)]
    output: String,
    /// LoadRestrictionsNone lets a kustomization read files outside its folder
    #[arg(long, default_value = "LoadRestrictionsRootOnly")]
    load_restrictor: String,
    /// Let helm render the charts that it names
    #[arg(long)]
    enable_helm: bool,
    /// Versions of APIs for charts
    #[arg(long)]
    helm_api_versions: Vec<String>,
    /// The helm to run
    #[arg(long, default_value = "helm")]
    helm_command: String,
    /// What helm does is told where it fails
    #[arg(long)]
    helm_debug: bool,
    /// The Kubernetes that charts are rendered for
    #[arg(long, default_value = "", hide_default_value = true)]
    helm_kube_version: String,
    #[command(flatten)]
    refused: Refused,
}

/// Flags for programs in containers; none is run.
#[derive(clap::Args, Debug)]
struct Refused {
    /// Plugins that are programs; not built
    #[arg(long)]
    enable_alpha_plugins: bool,
    /// For plugins
    #[arg(long)]
    as_current_user: bool,
    /// For plugins
    #[arg(short = 'e', long)]
    env: Vec<String>,
    /// For plugins
    #[arg(long)]
    mount: Vec<String>,
    /// For plugins
    #[arg(long)]
    network: bool,
    /// For plugins
    #[arg(long, default_value = "bridge")]
    network_name: String,
}

impl Arguments {
    fn helm(&self) -> kustomize::Helm {
        kustomize::Helm {
            is_enabled: self.enable_helm,
            command: self.helm_command.clone(),
            api_versions: self.helm_api_versions.clone(),
            kube_version: self.helm_kube_version.clone(),
            debug: self.helm_debug,
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.refused.enable_alpha_plugins {
        let text = "plugins that are programs are not built in; upstream's builtin ones need no flag";
        return Err(Failure::message(text));
    }
    let anywhere = match arguments.load_restrictor.as_str() {
        "LoadRestrictionsRootOnly" => false,
        "LoadRestrictionsNone" => true,
        other => {
            let text = format!(
                "illegal flag value --load-restrictor {other}; legal values: [LoadRestrictionsRootOnly LoadRestrictionsNone]"
            );
            return Err(Failure::message(text));
        }
    };
    let folder = match arguments.folder.as_slice() {
        [] => PathBuf::from("."),
        [one] => one.clone(),
        _ => return Err(Failure::message("specify one path to a kustomization directory")),
    };
    let built = kustomize::build(&folder, anywhere, arguments.helm())?;
    for warning in &built.warnings {
        eprintln!("{warning}");
    }
    let documents: Vec<String> = built.objects.iter().map(yaml).collect();
    let text = documents.join("---\n");
    let written = match arguments.output.as_str() {
        "" => std::io::stdout().write_all(text.as_bytes()),
        path => std::fs::write(path, text),
    };
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Failure::Closed,
        _ => Failure::message(format!("writing the output: {error}")),
    })
}

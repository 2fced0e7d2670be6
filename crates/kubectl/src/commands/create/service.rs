//! `create service`: by type.

use super::limits::int_or_string;
use super::make;
use crate::commands::output::{Creation, exactly_one};
use crate::context::Context;
use crate::failure::{Failure, Result};
use k8s_openapi::api::core::v1 as core;
use serde_json::{Value, json};

#[derive(clap::Subcommand)]
pub(super) enum Service {
    /// An address inside the cluster
    Clusterip {
        #[command(flatten)]
        common: Common,
        /// The address, or None
        #[arg(long, default_value = "", hide_default_value = true)]
        clusterip: String,
    },
    /// Another name for a host elsewhere
    Externalname {
        #[command(flatten)]
        common: Common,
        /// The host
        #[arg(long, required = true)]
        external_name: String,
    },
    /// An address outside the cluster
    Loadbalancer {
        #[command(flatten)]
        common: Common,
    },
    /// A port of every node
    Nodeport {
        #[command(flatten)]
        common: Common,
        /// The port; 0 is the server's choice
        #[arg(long, default_value_t = 0)]
        node_port: i64,
    },
}

#[derive(clap::Args)]
pub(super) struct Common {
    name: Vec<String>,
    /// PORT[:TARGET]; may be repeated
    #[arg(long, value_delimiter = ',')]
    tcp: Vec<String>,
    #[command(flatten)]
    creation: Creation,
}

impl Service {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let (common, kind, noun) = match self {
            Service::Clusterip { common, .. } => (common, "ClusterIP", "clusterip"),
            Service::Externalname { common, .. } => (common, "ExternalName", "externalname"),
            Service::Loadbalancer { common } => (common, "LoadBalancer", "loadbalancer"),
            Service::Nodeport { common, .. } => (common, "NodePort", "nodeport"),
        };
        let name = exactly_one(&common.name, &format!("create service {noun}"))?;
        let mut ports = common.tcp.iter().map(|port| self::port(port)).collect::<Result<Vec<_>>>()?;
        let headless = matches!(self, Service::Clusterip { clusterip, .. } if clusterip == "None");
        if ports.is_empty() && !headless && !matches!(self, Service::Externalname { .. }) {
            return Err(Failure::message("at least one tcp port specifier must be provided"));
        }
        if headless && !ports.is_empty() {
            return Err(Failure::message("can not map ports with clusterip=None"));
        }
        let mut spec = json!({"selector": {"app": name}, "type": kind});
        match self {
            Service::Clusterip { clusterip, .. } if !clusterip.is_empty() => {
                spec["clusterIP"] = clusterip.as_str().into()
            }
            Service::Externalname { external_name, .. } => spec["externalName"] = external_name.as_str().into(),
            Service::Nodeport { node_port, .. } if *node_port > 0 => {
                ports.iter_mut().for_each(|port| port["nodePort"] = (*node_port).into());
            }
            _ => {}
        }
        if !ports.is_empty() {
            spec["ports"] = ports.into();
        }
        let metadata = json!({"name": name, "labels": {"app": name}});
        let object = json!({"metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}});
        make::<core::Service>(context, &common.creation, &format!("{kind} service"), object).await
    }
}

fn port(text: &str) -> Result<Value> {
    let (port, target) = text.split_once(':').unwrap_or((text, text));
    let number: u16 =
        port.parse().map_err(|_| Failure::message(format!("strconv.ParseInt: parsing {port:?}: invalid syntax")))?;
    Ok(json!({"name": text.replace(':', "-"), "port": number, "protocol": "TCP", "targetPort": int_or_string(target)}))
}

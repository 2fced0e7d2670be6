//! The command line: what users type, and nothing of what it does.

use clap::{Args, Parser, Subcommand};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Run containers, not clusters: Kubernetes in one binary.
#[derive(Parser)]
#[command(name = "sampan", version, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// A server and a node in one
    Up(UpArgs),
    /// A server alone: API, store, controllers, scheduler
    Server(UpArgs),
    /// A node alone, for the cluster of another machine's server
    Join(JoinArgs),
    /// Starts again what a data directory ran, with the flags it had
    Resume(ResumeArgs),
    /// What runs in a data directory
    Status(StatusArgs),
    /// Join tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// The node's images
    #[command(subcommand)]
    Image(ImageCommand),
    /// Ends everything of a data directory and removes it without trace
    Reset(ResetArgs),
    /// The Kubernetes client
    #[command(disable_help_flag = true)]
    Kubectl {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// One of the processes that a supervisor starts
    #[command(hide = true)]
    Role {
        #[arg(value_enum)]
        role: RoleName,
        #[arg(long)]
        data_dir: PathBuf,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RoleName {
    Server,
    Node,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DataDir {
    /// Where everything of this cluster lies on this machine
    #[arg(long, env = "SAMPAN_DATA_DIR", default_value = "/var/lib/sampan")]
    pub(crate) data_dir: PathBuf,
}

/// Flags that also stand in `--config FILE`, under the same names; a flag wins over the file.
#[derive(Args, Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct Flags {
    /// Where the API listens [default: 0.0.0.0:6443]
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// [default: the host's name]
    #[arg(long)]
    pub(crate) node_name: Option<String>,
    /// [default: the address of the default route, else the first that is not loopback]
    #[arg(long)]
    pub(crate) node_ip: Option<Ipv4Addr>,
    /// All pods' addresses [default: 10.42.0.0/16]
    #[arg(long)]
    pub(crate) pod_cidr: Option<Ipv4Net>,
    /// All services' addresses [default: 10.43.0.0/16]
    #[arg(long)]
    pub(crate) service_cidr: Option<Ipv4Net>,
    /// Below which containers' cgroups lie [default: /sampan-<cluster>]
    #[arg(long)]
    pub(crate) cgroup_root: Option<String>,
    /// Pods this node takes [default: 1000]
    #[arg(long)]
    pub(crate) max_pods: Option<u32>,
    /// [default: 10250]
    #[arg(long)]
    pub(crate) kubelet_port: Option<u16>,
    /// Seconds without a heartbeat after which a node counts as lost [default: 40]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) node_monitor_grace: Option<u64>,
    /// Seconds after which pods leave a lost node, unless they say otherwise [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) eviction_after: Option<u64>,
    /// Another container runtime's socket, as unix:///run/containerd/containerd.sock [default: the embedded one]
    #[arg(long, value_name = "URL")]
    pub(crate) container_runtime_endpoint: Option<String>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    #[command(flatten)]
    pub(crate) flags: Flags,
    /// Flags from a YAML file
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Return when the cluster is ready, or fails
    #[arg(long)]
    pub(crate) detach: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct JoinArgs {
    #[command(flatten)]
    pub(crate) up: UpArgs,
    /// The server, as https://10.0.0.1:6443
    #[arg(long)]
    pub(crate) server: String,
    /// From `sampan token create`
    #[arg(long)]
    pub(crate) token: String,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// Return when the cluster is ready, or fails
    #[arg(long)]
    pub(crate) detach: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// `json` for machines
    #[arg(short, long, value_parser = ["json", "text"], default_value = "text")]
    pub(crate) output: String,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum TokenCommand {
    /// Makes a token and prints the command that joins a machine
    Create {
        #[command(flatten)]
        data_dir: DataDir,
        /// Seconds the token is good for
        #[arg(long, default_value_t = 86400)]
        ttl: i64,
    },
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum ImageCommand {
    /// Takes the images of an OCI or docker archive, tar or directory
    Import {
        file: PathBuf,
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// Lists images
    Ls {
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// Pulls an image from its registry
    Pull {
        image: String,
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// Removes an image
    Rm {
        image: String,
        #[command(flatten)]
        data_dir: DataDir,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ResetArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

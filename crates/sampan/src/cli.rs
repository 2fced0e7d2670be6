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
    /// Writes the cluster's state and keys into a file
    Backup(BackupArgs),
    /// Makes a data directory of a backup
    Restore(RestoreArgs),
    /// Replaces the running build by another; containers live on
    Upgrade(UpgradeArgs),
    /// The systemd unit
    #[command(subcommand)]
    Service(ServiceCommand),
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
    /// What a supervisor executes in its own place
    #[command(hide = true)]
    Supervise(SuperviseArgs),
    /// What `upgrade` asks of another build
    #[command(hide = true)]
    CheckBuild(DataDir),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RoleName {
    Server,
    Node,
}

impl RoleName {
    pub(crate) fn name(self) -> &'static str {
        match self {
            RoleName::Server => "server",
            RoleName::Node => "node",
        }
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct DataDir {
    /// Where everything of this cluster lies on this machine
    #[arg(long, env = "SAMPAN_DATA_DIR", default_value = "/var/lib/sampan")]
    pub(crate) data_dir: PathBuf,
}

/// Flags that also stand in `--config FILE`, under the same names; a flag wins over the file.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// The members of an etcd that holds the cluster's objects, as https://10.0.0.1:2379 [default: the embedded store]
    #[arg(long, value_name = "URL[,URL]")]
    pub(crate) datastore_endpoint: Option<String>,
    /// Authorities of etcd's certificates, as PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) datastore_cafile: Option<PathBuf>,
    /// The server's certificate towards etcd, as PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) datastore_certfile: Option<PathBuf>,
    /// The key of that certificate, as PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) datastore_keyfile: Option<PathBuf>,
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

#[derive(Args, Clone, Debug)]
pub(crate) struct BackupArgs {
    /// Where to; secrets are in it
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RestoreArgs {
    /// From `sampan backup`
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// Replace the state that the data directory has of the same cluster
    #[arg(long)]
    pub(crate) overwrite: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct UpgradeArgs {
    /// The other build
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
}

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum ServiceCommand {
    /// Writes the unit and starts it; it runs what the data directory ran, else a server and a node in one
    Install {
        #[command(flatten)]
        unit: UnitArgs,
        /// For a data directory that has run nothing yet
        #[command(flatten)]
        flags: Box<Flags>,
        /// Flags from a YAML file
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Stops the unit and removes it; containers live on until `sampan reset`
    Uninstall {
        #[command(flatten)]
        unit: UnitArgs,
    },
}

#[derive(Args, Clone, Debug)]
pub(crate) struct UnitArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// The unit's, without `.service`
    #[arg(long, default_value = "sampan")]
    pub(crate) name: String,
    /// Only write or remove the file below this directory, as for an image of a machine; nothing is started or stopped
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct SuperviseArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// The file to continue from at the next upgrade
    #[arg(long)]
    pub(crate) program: PathBuf,
    /// The descriptor that holds the data directory
    #[arg(long)]
    pub(crate) lock: i32,
}

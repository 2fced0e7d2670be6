//! The command line: what users type, and nothing of what it does.

mod logs;

pub(crate) use logs::{Color, LogOutput, LogsArgs};

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
    /// The certificates of the cluster's server
    #[command(subcommand)]
    Certs(CertsCommand),
    /// Searches and follows the logs of the whole cluster, also of pods that are gone
    Logs(Box<LogsArgs>),
    /// A link that logs a browser in, once, as whom the kubeconfig is
    Dashboard(DashboardArgs),
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
    /// The cluster on a full screen, with k9s' keys
    #[command(disable_help_flag = true)]
    Top {
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
    /// What must be left of the machine, else its node is under pressure: of memory.available, nodefs.available,
    /// nodefs.inodesFree and pid.available [default: memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,pid.available<10%]
    #[arg(long, value_name = "SIGNAL<QUANTITY[,...]")]
    pub(crate) eviction_hard: Option<String>,
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
    /// A copy of `server-token` of the data directory of a server on the same etcd, to serve the same cluster
    #[arg(long, value_name = "FILE")]
    pub(crate) server_token_file: Option<PathBuf>,
    /// Who decides, in order: Node, RBAC, Webhook, AlwaysAllow, AlwaysDeny [default: Node,RBAC]
    #[arg(long, value_name = "MODE[,MODE]", value_delimiter = ',')]
    pub(crate) authorization_mode: Option<Vec<String>>,
    /// An AuthorizationConfiguration in place of the modes; followed when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) authorization_config: Option<PathBuf>,
    /// The kubeconfig of the server that mode Webhook asks
    #[arg(long, value_name = "FILE")]
    pub(crate) authorization_webhook_config_file: Option<PathBuf>,
    /// Of the review that it is sent: v1 or v1beta1 [default: v1beta1]
    #[arg(long, value_name = "VERSION")]
    pub(crate) authorization_webhook_version: Option<String>,
    /// How long its yes is remembered [default: 5m0s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) authorization_webhook_cache_authorized_ttl: Option<String>,
    /// How long its no is remembered [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) authorization_webhook_cache_unauthorized_ttl: Option<String>,
    /// An AuthenticationConfiguration: issuers of tokens, and who is nobody; followed when it changes
    #[arg(long, value_name = "FILE")]
    pub(crate) authentication_config: Option<PathBuf>,
    /// The kubeconfig of the server that is asked whose a bearer token is
    #[arg(long, value_name = "FILE")]
    pub(crate) authentication_token_webhook_config_file: Option<PathBuf>,
    /// Of the review that it is sent: v1 or v1beta1 [default: v1beta1]
    #[arg(long, value_name = "VERSION")]
    pub(crate) authentication_token_webhook_version: Option<String>,
    /// How long its answers are remembered [default: 2m0s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) authentication_token_webhook_cache_ttl: Option<String>,
    /// The OpenID Connect issuer whose tokens are accepted
    #[arg(long, value_name = "URL")]
    pub(crate) oidc_issuer_url: Option<String>,
    /// The audience that its tokens must be for
    #[arg(long, value_name = "ID")]
    pub(crate) oidc_client_id: Option<String>,
    /// Which claim is the user's name [default: sub]
    #[arg(long, value_name = "CLAIM")]
    pub(crate) oidc_username_claim: Option<String>,
    /// Before names; `-` is none [default: the issuer and #, of an e-mail address nothing]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) oidc_username_prefix: Option<String>,
    /// Which claim has the user's groups
    #[arg(long, value_name = "CLAIM")]
    pub(crate) oidc_groups_claim: Option<String>,
    /// Before groups
    #[arg(long, value_name = "PREFIX")]
    pub(crate) oidc_groups_prefix: Option<String>,
    /// A claim that must be there with that value; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) oidc_required_claim: Option<Vec<String>>,
    /// Authorities of the issuer's certificate, as PEM [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub(crate) oidc_ca_file: Option<PathBuf>,
    /// Which signatures are accepted [default: RS256]
    #[arg(long, value_name = "ALG[,ALG]", value_delimiter = ',')]
    pub(crate) oidc_signing_algs: Option<Vec<String>>,
    /// An EncryptionConfiguration: what is sealed at rest, and with which keys
    #[arg(long, value_name = "FILE")]
    pub(crate) encryption_provider_config: Option<PathBuf>,
    /// Follow changes of that file
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) encryption_provider_config_automatic_reload: Option<bool>,
    /// Reads under way at once; with the next, the seats that priority levels share [default: 400]
    #[arg(long, value_name = "N")]
    pub(crate) max_requests_inflight: Option<u32>,
    /// Writes under way at once [default: 200]
    #[arg(long, value_name = "N")]
    pub(crate) max_mutating_requests_inflight: Option<u32>,
    /// Within which time a request is answered that does not stream [default: 1m0s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) request_timeout: Option<String>,
    /// Limit requests by FlowSchemas and priority levels; otherwise by number alone [default: true]
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) enable_priority_and_fairness: Option<bool>,
    /// What a container may write to its log in a second, beyond a burst; more is dropped, but not its last lines. 0 is
    /// no limit [default: 4]
    #[arg(long, value_name = "MIB")]
    pub(crate) log_rate_mib: Option<u64>,
    /// Days that a node keeps logs that are no longer written, also of pods that are gone [default: 7]
    #[arg(long, value_name = "DAYS")]
    pub(crate) log_archive_days: Option<u64>,
    /// How much of its disk they may take; the oldest go first [default: 1024, or a twentieth of the disk if that is less]
    #[arg(long, value_name = "MIB")]
    pub(crate) log_archive_mib: Option<u64>,
    /// A receiver to which this node sends all that its containers write, every line at least once
    #[arg(long, value_name = "URL")]
    pub(crate) log_export_url: Option<String>,
    /// What it speaks: `otlp` (OpenTelemetry over HTTP) or `loki` [default: otlp]
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) log_export_protocol: Option<String>,
    /// Compress what is sent over otlp
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) log_export_gzip: Option<bool>,
    /// Whose content is the bearer token for it
    #[arg(long, value_name = "FILE")]
    pub(crate) log_export_token_file: Option<PathBuf>,
    /// More headers for it, one `Name: value` a line
    #[arg(long, value_name = "FILE")]
    pub(crate) log_export_headers_file: Option<PathBuf>,
    /// The authority of its certificate [default: none, so that only http:// is possible]
    #[arg(long, value_name = "FILE")]
    pub(crate) log_export_cafile: Option<PathBuf>,
    /// Between two measurements of what containers use [default: 10]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) metrics_interval: Option<u64>,
    /// How large the history of measurements may grow on disk; the oldest goes first [default: 512]
    #[arg(long, value_name = "MIB")]
    pub(crate) metrics_history_mib: Option<u64>,
    /// A store that takes Prometheus' remote write, to which all that is measured is sent too
    #[arg(long, value_name = "URL")]
    pub(crate) metrics_remote_write_url: Option<String>,
    /// Whose content is the bearer token for it
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_remote_write_token_file: Option<PathBuf>,
    /// The authority of its certificate [default: none, so that only http:// is possible]
    #[arg(long, value_name = "FILE")]
    pub(crate) metrics_remote_write_cafile: Option<PathBuf>,
    /// Admission plugins to turn on beside the usual ones, in upstream's names
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub(crate) enable_admission_plugins: Option<Vec<String>>,
    /// Admission plugins to turn off
    #[arg(long, value_name = "NAME[,NAME]", value_delimiter = ',')]
    pub(crate) disable_admission_plugins: Option<Vec<String>>,
    /// An AdmissionConfiguration: what plugins are told
    #[arg(long, value_name = "FILE")]
    pub(crate) admission_control_config_file: Option<PathBuf>,
    /// An audit Policy: which requests are told of, and how much of each
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_policy_file: Option<PathBuf>,
    /// Where events are written; `-` is standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_log_path: Option<PathBuf>,
    /// `json` or `legacy` [default: json]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) audit_log_format: Option<String>,
    /// Megabytes after which the file is put aside [default: 100]
    #[arg(long, value_name = "MB")]
    pub(crate) audit_log_maxsize: Option<u64>,
    /// Days that old files are kept [default: for ever]
    #[arg(long, value_name = "DAYS")]
    pub(crate) audit_log_maxage: Option<u64>,
    /// Old files that are kept [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) audit_log_maxbackup: Option<usize>,
    /// Pack old files with gzip
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) audit_log_compress: Option<bool>,
    /// batch, blocking (requests wait for their events) or blocking-strict (and are refused without) [default: blocking]
    #[arg(long, value_name = "MODE")]
    pub(crate) audit_log_mode: Option<String>,
    /// Events that may wait [default: 10000]
    #[arg(long, value_name = "N")]
    pub(crate) audit_log_batch_buffer_size: Option<usize>,
    /// Let big events lose their objects
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) audit_log_truncate_enabled: Option<bool>,
    /// Bytes from which an event is big [default: 102400]
    #[arg(long, value_name = "BYTES")]
    pub(crate) audit_log_truncate_max_event_size: Option<usize>,
    /// The kubeconfig of the server that events are sent to
    #[arg(long, value_name = "FILE")]
    pub(crate) audit_webhook_config_file: Option<PathBuf>,
    /// As --audit-log-mode [default: batch]
    #[arg(long, value_name = "MODE")]
    pub(crate) audit_webhook_mode: Option<String>,
    /// The pause before events are sent again [default: 10s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) audit_webhook_initial_backoff: Option<String>,
    /// Events that may wait [default: 10000]
    #[arg(long, value_name = "N")]
    pub(crate) audit_webhook_batch_buffer_size: Option<usize>,
    /// Events sent at once [default: 400]
    #[arg(long, value_name = "N")]
    pub(crate) audit_webhook_batch_max_size: Option<usize>,
    /// How long events wait for others [default: 30s]
    #[arg(long, value_name = "DURATION")]
    pub(crate) audit_webhook_batch_max_wait: Option<String>,
    /// Let big events lose their objects
    #[arg(long, num_args = 0..=1, default_missing_value = "true", require_equals = true, value_name = "BOOL")]
    pub(crate) audit_webhook_truncate_enabled: Option<bool>,
    /// Bytes from which an event is big [default: 102400]
    #[arg(long, value_name = "BYTES")]
    pub(crate) audit_webhook_truncate_max_event_size: Option<usize>,
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
    /// A server, as https://10.0.0.1:6443, or several; of the others the node learns
    #[arg(long, value_name = "URL[,URL]", value_delimiter = ',', required = true)]
    pub(crate) server: Vec<String>,
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

#[derive(Args, Clone, Debug)]
pub(crate) struct DashboardArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// [default: $KUBECONFIG, else the admin's in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Of the kubeconfig [default: its current one]
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// With which namespace the page begins [default: all]
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
    /// Only print the link
    #[arg(long)]
    pub(crate) no_open: bool,
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
pub(crate) enum CertsCommand {
    /// When each ends
    Show {
        #[command(flatten)]
        data_dir: DataDir,
    },
    /// Has all be made anew; authorities stay, so that everybody goes on trusting the server
    Rotate {
        #[command(flatten)]
        data_dir: DataDir,
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
    /// Replace the state that the data directory, or the etcd, has of the same cluster
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Objects into the data directory's own store [default: as where the backup was made]
    #[arg(long, conflicts_with = "datastore_endpoint")]
    pub(crate) embedded: bool,
    /// Objects into the etcd with these members [default: as where the backup was made]
    #[arg(long, value_name = "URL[,URL]")]
    datastore_endpoint: Option<String>,
    /// Authorities of etcd's certificates, as PEM
    #[arg(long, value_name = "FILE")]
    datastore_cafile: Option<PathBuf>,
    /// The certificate towards etcd, as PEM
    #[arg(long, value_name = "FILE")]
    datastore_certfile: Option<PathBuf>,
    /// The key of that certificate, as PEM
    #[arg(long, value_name = "FILE")]
    datastore_keyfile: Option<PathBuf>,
}

impl RestoreArgs {
    /// Those that say where the objects are to be.
    pub(crate) fn datastore_flags(&self) -> Flags {
        Flags {
            datastore_endpoint: self.datastore_endpoint.clone(),
            datastore_cafile: self.datastore_cafile.clone(),
            datastore_certfile: self.datastore_certfile.clone(),
            datastore_keyfile: self.datastore_keyfile.clone(),
            ..Flags::default()
        }
    }
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

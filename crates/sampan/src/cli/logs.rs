//! The command line of `logs`.

use super::DataDir;
use clap::Args;
use jiff::SignedDuration;
use std::path::PathBuf;

#[derive(Args, Clone, Debug)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    pub(crate) data_dir: DataDir,
    /// [default: $KUBECONFIG, else the admin's in the data directory]
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Of the kubeconfig [default: its current one]
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// Pods or workloads, as web-0, web, deploy/web; also such as are gone [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// May be repeated [default: the kubeconfig's]
    #[arg(short, long)]
    pub(crate) namespace: Vec<String>,
    /// All that you may see
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub(crate) all_namespaces: bool,
    /// Labels of pods, as app=web,tier!=db
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub(crate) selector: Option<String>,
    #[arg(short, long)]
    pub(crate) container: Vec<String>,
    #[arg(long)]
    pub(crate) node: Vec<String>,
    /// Not older than this, as 10m or 1h30m
    #[arg(long, value_name = "DURATION", conflicts_with = "since_time")]
    pub(crate) since: Option<SignedDuration>,
    /// Not older than this, as 2026-01-02T03:04:05Z
    #[arg(long, value_name = "TIME")]
    pub(crate) since_time: Option<jiff::Timestamp>,
    /// Older than this, as a duration before now or a time
    #[arg(long, value_name = "WHEN")]
    pub(crate) until: Option<String>,
    /// Only lines that this regular expression matches; repeated, all must
    #[arg(short, long, value_name = "REGEX")]
    pub(crate) grep: Vec<String>,
    /// Only lines at least as grave: trace, debug, info, warn, error or fatal
    #[arg(long)]
    pub(crate) level: Option<String>,
    /// Only lines with this field of JSON or logfmt, as http.status=404; repeated, all
    #[arg(long, value_name = "PATH=VALUE")]
    pub(crate) field: Vec<String>,
    /// stdout or stderr [default: both]
    #[arg(long)]
    pub(crate) stream: Option<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only the newest lines of all that are found
    #[arg(long, value_name = "LINES", conflicts_with = "limit")]
    pub(crate) tail: Option<u64>,
    /// Only the oldest lines of all that are found
    #[arg(long, value_name = "LINES")]
    pub(crate) limit: Option<u64>,
    /// Show when a line was written
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    #[arg(short, long, value_enum, default_value = "text")]
    pub(crate) output: LogOutput,
    #[arg(long, value_enum, default_value = "auto")]
    pub(crate) color: Color,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogOutput {
    /// Lines behind the names of their pods and containers
    Text,
    /// A JSON object for each line
    Json,
    /// What the containers wrote, byte by byte
    Raw,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    Always,
    Never,
}

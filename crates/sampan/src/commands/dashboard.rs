//! `dashboard`: a link that logs a browser in as whom the kubeconfig is.
//!
//! The code in the link stands behind `#`, which browsers send to nobody: it is in no log and no `Referer`.

use crate::cli::DashboardArgs;
use anyhow::{Context, Result};
use client::{Config, Remote};
use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[derive(Serialize)]
struct Wish {
    namespace: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Link {
    code: String,
    expires_seconds: i64,
}

pub(crate) fn dashboard(args: &DashboardArgs) -> Result<()> {
    let file = kubeconfig(args);
    let config = Config::from_kubeconfig(&file, args.context.as_deref())?;
    let server = config.server.trim_end_matches('/').to_owned();
    let wish = Wish { namespace: args.namespace.clone().unwrap_or_default() };
    let link = super::small_runtime()?.block_on(ask(config, &wish))?;
    let url = format!("{server}/dashboard/#code={}", link.code);
    println!("{url}");
    eprintln!(
        "# good once, for {} s; the browser must trust the cluster's authority, or be told to go on",
        link.expires_seconds
    );
    if !args.no_open && std::io::stdout().is_terminal() {
        open(&url);
    }
    Ok(())
}

/// The file that is named, the environment's, else the admin's of this machine's cluster.
fn kubeconfig(args: &DashboardArgs) -> PathBuf {
    let named = args.kubeconfig.clone().or_else(|| std::env::var_os("KUBECONFIG").map(PathBuf::from));
    named.filter(|file| !file.as_os_str().is_empty()).unwrap_or_else(|| args.data_dir.data_dir.join("admin.kubeconfig"))
}

async fn ask(config: Config, wish: &Wish) -> Result<Link> {
    let remote = Remote::new(config)?;
    let wish = serde_json::to_vec(wish).context("encoding the request")?;
    let answer = remote.post_path("/dashboard/link", wish.into()).await.context("asking for a login link")?;
    serde_json::from_slice(&answer).context("the server's answer is no login link")
}

/// A machine without a browser is no error: the link was printed.
fn open(url: &str) {
    let graphical = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if !graphical {
        return;
    }
    let mut command = Command::new("xdg-open");
    let started = command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = started {
        eprintln!("# no browser was opened: xdg-open: {error}");
    }
}

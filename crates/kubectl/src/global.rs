//! Flags that every command has: which server, as whom, and how much is told of it.

use crate::failure::{Failure, Result};
use std::path::PathBuf;
use std::time::Duration;

#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Global {
    /// The kubeconfig file
    #[arg(long, global = true)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context to use
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) context: String,
    /// The kubeconfig's cluster to use
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) cluster: String,
    /// The kubeconfig's user to use
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) user: String,
    /// The server's address
    #[arg(short = 's', long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) server: String,
    /// A bearer token
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) token: String,
    /// The namespace to act in
    #[arg(short = 'n', long, global = true)]
    pub(crate) namespace: Option<String>,
    /// The user to act as
    #[arg(long = "as", id = "as", value_name = "USER", global = true, default_value = "", hide_default_value = true)]
    pub(crate) as_user: String,
    /// A group to act as; may be repeated
    #[arg(long, global = true, value_name = "GROUP")]
    pub(crate) as_group: Vec<String>,
    /// The uid to act as
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) as_uid: String,
    /// KEY=VALUE of the user to act as; may be repeated
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) as_user_extra: Vec<String>,
    /// A file with the authority that signed the server's certificate
    #[arg(long, global = true)]
    pub(crate) certificate_authority: Option<PathBuf>,
    /// A file with a client certificate
    #[arg(long, global = true)]
    pub(crate) client_certificate: Option<PathBuf>,
    /// A file with the client certificate's key
    #[arg(long, global = true)]
    pub(crate) client_key: Option<PathBuf>,
    /// Believe any server
    #[arg(long, global = true)]
    pub(crate) insecure_skip_tls_verify: bool,
    /// The name expected in the server's certificate
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) tls_server_name: String,
    /// A user's name, for a server that takes passwords
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) username: String,
    /// The user's password
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) password: String,
    /// A proxy on the way to the server: http, https or socks5
    #[arg(long, global = true, default_value = "", hide_default_value = true)]
    pub(crate) proxy_url: String,
    /// How long one request may take; 0 is as long as it takes
    #[arg(long, global = true, default_value = "0")]
    pub(crate) request_timeout: String,
    /// Refuse a server of another version
    #[arg(long, global = true)]
    pub(crate) match_server_version: bool,
    /// Warnings of the server are errors
    #[arg(long, global = true)]
    pub(crate) warnings_as_errors: bool,
    /// How much is told: from 6 on, every request
    #[arg(short = 'v', long = "v", id = "verbosity", global = true, default_value_t = 0, value_name = "LEVEL")]
    pub(crate) verbosity: u8,
    #[command(flatten)]
    pub(crate) unneeded: Unneeded,
}

/// Flags of upstream's client about parts that this one does not have: they change nothing that could be seen.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Unneeded {
    /// Discovery is kept in memory: no folder is written
    #[arg(long, global = true, hide = true)]
    pub(crate) cache_dir: Option<PathBuf>,
    /// Answers are never compressed
    #[arg(long, global = true, hide = true)]
    pub(crate) disable_compression: bool,
    /// Preferences, read before all else
    #[arg(long, global = true, hide = true)]
    pub(crate) kuberc: Option<PathBuf>,
    /// Words are written at once
    #[arg(long, global = true, hide = true)]
    pub(crate) log_flush_frequency: Option<String>,
    /// `none`
    #[arg(long, global = true, hide = true, default_value = "none")]
    pub(crate) profile: String,
    #[arg(long, global = true, hide = true)]
    pub(crate) profile_output: Option<PathBuf>,
    #[arg(long, global = true, hide = true)]
    pub(crate) vmodule: Option<String>,
}

impl Global {
    pub(crate) fn request_timeout(&self) -> Result<Option<Duration>> {
        if self.request_timeout.is_empty() {
            return Ok(None);
        }
        let timeout = crate::duration::parse(&self.request_timeout).map_err(|_| {
            let text = "Invalid timeout value. Timeout must be a single integer in seconds, or an integer followed by a \
                        corresponding time unit (e.g. 1s | 2m | 3h)";
            Failure::message(text)
        })?;
        Ok(timeout.filter(|timeout| !timeout.is_zero()))
    }
}

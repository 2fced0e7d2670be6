//! `config set-cluster`, `set-context` and `set-credentials`.

use super::{embed, entry, one, print};
use crate::failure::{Failure, Result};
use crate::global::Global;
use crate::kubeconfig::Kubeconfig;
use serde_json::{Value, json};
use std::path::Path;

#[derive(clap::Args)]
pub(crate) struct Cluster {
    name: Vec<String>,
    /// Put certificates into the configuration instead of their files' names
    #[arg(long)]
    embed_certs: bool,
}

fn absolute(path: &Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

/// A file's name, or its content.
fn set_file(holder: &mut Value, key: &str, path: &Path, embedded: bool) -> Result<()> {
    if embedded {
        if !path.exists() {
            let path = path.display();
            let text = format!("could not stat {key} file {path}: stat {path}: no such file or directory");
            return Err(Failure::message(text));
        }
        return embed(holder, key, &path.display().to_string());
    }
    holder[key] = absolute(path).into();
    if let Some(holder) = holder.as_object_mut() {
        holder.shift_remove(&format!("{key}-data"));
    }
    Ok(())
}

impl Cluster {
    /// The flags of the connection say what the cluster is to have.
    pub(super) fn run(&self, kubeconfig: &mut Kubeconfig, global: &Global) -> Result<()> {
        let name = one(&self.name, "set-cluster")?;
        let place = kubeconfig.place_of("clusters", name).unwrap_or_default();
        kubeconfig.change(place, |file| self.fill(entry(file, "clusters", "cluster", name).0, global))?;
        print(&format!("Cluster {name:?} set.\n"))
    }

    fn fill(&self, cluster: &mut Value, global: &Global) -> Result<()> {
        for (key, value) in
            [("server", &global.server), ("tls-server-name", &global.tls_server_name), ("proxy-url", &global.proxy_url)]
        {
            if !value.is_empty() {
                cluster[key] = value.as_str().into();
            }
        }
        if global.insecure_skip_tls_verify {
            cluster["insecure-skip-tls-verify"] = true.into();
        }
        match &global.certificate_authority {
            Some(path) => set_file(cluster, "certificate-authority", path, self.embed_certs),
            None => Ok(()),
        }
    }
}

#[derive(clap::Args)]
pub(crate) struct Context {
    name: Vec<String>,
    /// The current context
    #[arg(long)]
    current: bool,
}

impl Context {
    pub(super) fn run(&self, kubeconfig: &mut Kubeconfig, global: &Global) -> Result<()> {
        let current = kubeconfig.merged()["current-context"].as_str().unwrap_or_default().to_owned();
        if self.current && !self.name.is_empty() {
            return Err(Failure::message("you cannot specify both a context name and --current"));
        }
        let name = if self.current { current.as_str() } else { one(&self.name, "set-context")? };
        if name.is_empty() {
            return Err(Failure::message("no current context is set"));
        }
        let place = kubeconfig.place_of("contexts", name).unwrap_or_default();
        let mut known = false;
        kubeconfig.change(place, |file| {
            let (context, was_known) = entry(file, "contexts", "context", name);
            known = was_known;
            let namespace = global.namespace.clone().unwrap_or_default();
            for (key, value) in [("cluster", &global.cluster), ("user", &global.user), ("namespace", &namespace)] {
                if !value.is_empty() {
                    context[key] = value.as_str().into();
                }
            }
            Ok(())
        })?;
        print(&format!("Context {name:?} {}.\n", if known { "modified" } else { "created" }))
    }
}

#[derive(clap::Args)]
pub(crate) struct Credentials {
    name: Vec<String>,
    /// Put certificates into the configuration instead of their files' names
    #[arg(long)]
    embed_certs: bool,
    /// The program of a credential plugin
    #[arg(long, default_value = "", hide_default_value = true)]
    exec_command: String,
    /// The plugin's version of the protocol
    #[arg(long, default_value = "", hide_default_value = true)]
    exec_api_version: String,
    /// An argument of the plugin; may be repeated
    #[arg(long, allow_hyphen_values = true, value_delimiter = ',')]
    exec_arg: Vec<String>,
    /// NAME=VALUE, or NAME- to take it out; may be repeated
    #[arg(long, value_delimiter = ',')]
    exec_env: Vec<String>,
    /// Never, IfAvailable or Always
    #[arg(long, default_value = "", hide_default_value = true)]
    exec_interactive_mode: String,
    /// The plugin is told of the cluster
    #[arg(long)]
    exec_provide_cluster_info: bool,
    /// Gone from Kubernetes' clients
    #[arg(long, default_value = "", hide_default_value = true)]
    auth_provider: String,
    /// Gone from Kubernetes' clients
    #[arg(long)]
    auth_provider_arg: Vec<String>,
}

impl Credentials {
    pub(super) fn run(&self, kubeconfig: &mut Kubeconfig, global: &Global) -> Result<()> {
        let name = one(&self.name, "set-credentials")?;
        if !self.auth_provider.is_empty() || !self.auth_provider_arg.is_empty() {
            return Err(Failure::message("auth providers are gone from Kubernetes' clients; use --exec-command"));
        }
        if !global.token.is_empty() && (!global.username.is_empty() || !global.password.is_empty()) {
            return Err(Failure::message(
                "you cannot specify more than one authentication method at the same time: --token, --username/--password",
            ));
        }
        let place = kubeconfig.place_of("users", name).unwrap_or_default();
        kubeconfig.change(place, |file| self.fill(entry(file, "users", "user", name).0, global))?;
        print(&format!("User {name:?} set.\n"))
    }

    fn fill(&self, user: &mut Value, global: &Global) -> Result<()> {
        for (key, value) in [("token", &global.token), ("username", &global.username), ("password", &global.password)] {
            if !value.is_empty() {
                user[key] = value.as_str().into();
            }
        }
        for (key, file) in [("client-certificate", &global.client_certificate), ("client-key", &global.client_key)] {
            if let Some(path) = file {
                set_file(user, key, path, self.embed_certs)?;
            }
        }
        self.plugin(user)
    }

    fn plugin(&self, user: &mut Value) -> Result<()> {
        if !matches!(user.get("exec"), None | Some(Value::Null | Value::Object(_))) {
            return Err(Failure::message("the user's exec is not a credential plugin's configuration; unset it first"));
        }
        let texts = [
            ("command", &self.exec_command),
            ("apiVersion", &self.exec_api_version),
            ("interactiveMode", &self.exec_interactive_mode),
        ];
        for (key, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
            user["exec"][key] = value.as_str().into();
        }
        if !self.exec_arg.is_empty() {
            user["exec"]["args"] = self.exec_arg.clone().into();
        }
        if self.exec_provide_cluster_info {
            user["exec"]["provideClusterInfo"] = true.into();
        }
        if self.exec_env.is_empty() {
            return Ok(());
        }
        let mut variables = user["exec"]["env"].as_array().cloned().unwrap_or_default();
        for change in &self.exec_env {
            let (name, value) = match change.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (change.trim_end_matches('-'), None),
            };
            variables.retain(|variable| variable["name"] != name);
            variables.extend(value.map(|value| json!({"name": name, "value": value})));
        }
        user["exec"]["env"] = variables.into();
        Ok(())
    }
}

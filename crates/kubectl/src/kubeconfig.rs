//! Kubeconfig files: which are read, how several merge, and what the command line overrides.
//!
//! Invariant: the first file that sets a value wins, as upstream merges; certificates and keys named by relative paths
//! are taken from the folder of the file that names them.

use crate::credentials;
use crate::failure::{Failure, Result};
use crate::global::Global;
use crate::server::{Connection, check_proxy};
use client::Config;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Named entries of a kubeconfig: the list's key, and each entry's own.
pub(crate) const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("contexts", "context"), ("users", "user")];
const FILE_KEYS: [&str; 4] = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];
/// Where upstream's client goes without any configuration.
const NOWHERE: &str = "http://localhost:8080";

/// The files, each as it was read.
pub(crate) struct Kubeconfig {
    files: Vec<(PathBuf, Value)>,
    /// Where a change goes when no file is there yet.
    default: PathBuf,
}

impl Kubeconfig {
    /// `flag` alone, or those of `KUBECONFIG`, or `~/.kube/config`, or `fallback`: the first that there is.
    pub(crate) fn load(flag: Option<&Path>, fallback: &Path) -> Result<Kubeconfig> {
        if let Some(path) = flag {
            return Ok(Kubeconfig { files: vec![(path.to_owned(), read(path)?)], default: path.to_owned() });
        }
        let named = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
        let paths: Vec<PathBuf> = match named {
            Some(paths) => std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect(),
            None => {
                let home = std::env::home_dir().map(|home| home.join(".kube").join("config"));
                vec![home.filter(|path| path.exists()).unwrap_or_else(|| fallback.to_owned())]
            }
        };
        let default = paths.first().cloned().unwrap_or_else(|| fallback.to_owned());
        let files = paths.into_iter().filter(|path| path.exists());
        let files = files.map(|path| read(&path).map(|value| (path, value))).collect::<Result<_>>()?;
        Ok(Kubeconfig { files, default })
    }

    /// All files as one.
    pub(crate) fn merged(&self) -> Value {
        let mut merged = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "",
            "clusters": [], "contexts": [], "users": [],
        });
        for (path, file) in &self.files {
            let current = text(file, "current-context");
            if text(&merged, "current-context").is_empty() {
                merged["current-context"] = current.into();
            }
            for (list, inner) in LISTS {
                for entry in file.get(list).and_then(Value::as_array).into_iter().flatten() {
                    add(&mut merged[list], with_absolute_paths(entry, inner, path));
                }
            }
        }
        merged
    }

    /// Makes `name` the current context in the file that has one, else in the first.
    pub(crate) fn use_context(&mut self, name: &str) -> Result<()> {
        if entry(&self.merged(), "contexts", name).is_none() {
            return Err(Failure::message(format!("no context exists with the name: {name:?}")));
        }
        let index =
            self.files.iter().position(|(_, file)| !text(file, "current-context").is_empty()).unwrap_or_default();
        let set = |file: &mut Value| {
            file["current-context"] = name.into();
            Ok(())
        };
        self.change(index, set).map(|_| ())
    }

    /// The first file alone.
    pub(crate) fn first(&self) -> Value {
        self.files.first().map(|(_, file)| file.clone()).unwrap_or_default()
    }

    /// The file that has an entry.
    pub(crate) fn place_of(&self, list: &str, name: &str) -> Option<usize> {
        self.files.iter().position(|(_, file)| entry(file, list, name).is_some())
    }

    pub(crate) fn default_path(&self) -> String {
        self.files.first().map_or(&self.default, |(path, _)| path).display().to_string()
    }

    /// Changes a file by its place, a new one where there is none; answers its path. A change that fails is not written.
    pub(crate) fn change(&mut self, index: usize, change: impl FnOnce(&mut Value) -> Result<()>) -> Result<String> {
        if self.files.is_empty() {
            let empty = json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "", "clusters": [], "contexts": [], "users": [],
            });
            self.files.push((self.default.clone(), empty));
        }
        let (path, file) = self.files.get_mut(index).ok_or_else(|| Failure::message("no kubeconfig file to write"))?;
        let mut changed = file.clone();
        change(&mut changed)?;
        write(path, &crate::print::yaml(&changed))?;
        *file = changed;
        Ok(path.display().to_string())
    }

    /// The server and identity to use.
    pub(crate) fn connection(&self, global: &Global) -> Result<Connection> {
        let mut merged = self.merged();
        let context = match global.context.as_str() {
            "" => text(&merged, "current-context").to_owned(),
            name => name.to_owned(),
        };
        let names = Names::of(&merged, &context, global);
        let mut connection = if context.is_empty() || self.files.is_empty() {
            Connection::new(without_file()?)
        } else {
            self.of_context(&mut merged, &context, global)?
        };
        apply_flags(&mut connection, global, &names)?;
        let config = &mut connection.config;
        if config.ca_pem.is_empty() && config.server.starts_with("https://") && !connection.insecure {
            config.ca_pem = machine_authorities();
        }
        config.user_agent = format!("kubectl/{} (sampan)", api::KUBERNETES_VERSION.2);
        Ok(connection)
    }

    fn of_context(&self, merged: &mut Value, name: &str, global: &Global) -> Result<Connection> {
        let Some(context) = merged["contexts"].as_array_mut().into_iter().flatten().find(|entry| entry["name"] == name)
        else {
            return Err(Failure::Verbatim(format!(
                "Error in configuration: context was not found for specified context: {name}"
            )));
        };
        for (key, value) in [("cluster", &global.cluster), ("user", &global.user)] {
            if !value.is_empty() {
                context["context"][key] = value.as_str().into();
            }
        }
        let (cluster_name, user) =
            (text(&context["context"], "cluster").to_owned(), text(&context["context"], "user").to_owned());
        named_flags_exist(merged, global)?;
        let cluster =
            entry(merged, "clusters", &cluster_name).map(|entry| entry["cluster"].clone()).unwrap_or_default();
        let identity = entry(merged, "users", &user).map(|entry| entry["user"].clone()).unwrap_or_default();
        if identity.get("auth-provider").is_some() {
            let text = "auth-provider is gone from Kubernetes' clients; use an exec credential plugin instead";
            return Err(Failure::message(text));
        }
        let path = self.files.first().map_or(Path::new("kubeconfig"), |(path, _)| path);
        // JSON is YAML.
        let config = Config::parse_kubeconfig(&merged.to_string(), path, Some(name))
            .map_err(|error| Failure::message(error.to_string()))?;
        let mut connection = Connection::new(config);
        let proxy = if global.proxy_url.is_empty() { text(&cluster, "proxy-url") } else { &global.proxy_url };
        check_proxy(proxy, &cluster_name)?;
        proxy.clone_into(&mut connection.proxy_url);
        connection.insecure = cluster["insecure-skip-tls-verify"] == true;
        // A token or certificate on the command line is no reason to run a plugin.
        let named = !global.token.is_empty() || global.client_certificate.is_some() || !global.username.is_empty();
        if let Some(plugin) = identity.get("exec").filter(|plugin| plugin.is_object() && !named) {
            crate::kuberc::allows_plugin(global.unneeded.kuberc.as_deref(), text(plugin, "command"))?;
            let certificate = connection.config.ca_pem.clone();
            connection.config.credentials = credentials::ask(plugin, &cluster, &certificate, path)?;
        }
        if global.as_user.is_empty() {
            impersonate_as_configured(&mut connection, &identity)?;
        }
        let (user, password) = (text(&identity, "username"), text(&identity, "password"));
        if !user.is_empty() && global.username.is_empty() {
            connection.set_password(user, password)?;
        }
        Ok(connection)
    }
}

fn named_flags_exist(merged: &Value, global: &Global) -> Result<()> {
    if !global.user.is_empty() && entry(merged, "users", &global.user).is_none() {
        return Err(Failure::message(format!("auth info {:?} does not exist", global.user)));
    }
    if !global.cluster.is_empty() && entry(merged, "clusters", &global.cluster).is_none() && global.server.is_empty() {
        return Err(Failure::message(format!("no server found for cluster {:?}", global.cluster)));
    }
    Ok(())
}

fn apply_flags(connection: &mut Connection, global: &Global, names: &Names) -> Result<()> {
    if connection.proxy_url.is_empty() {
        check_proxy(&global.proxy_url, &global.cluster)?;
        connection.proxy_url.clone_from(&global.proxy_url);
    }
    let config = &mut connection.config;
    let file = |what: &str, path: &Path, of: &str| {
        std::fs::read_to_string(path).map_err(|error| {
            let (path, error) = (path.display(), crate::failure::go_words(&error));
            Failure::message(format!("unable to read {what} {path} for {of} due to open {path}: {error}"))
        })
    };
    if !global.server.is_empty() {
        config.server = with_scheme(global.server.trim_end_matches('/'));
    }
    if let Some(path) = &global.certificate_authority {
        config.ca_pem = file("certificate-authority", path, &names.cluster)?;
    }
    if !global.tls_server_name.is_empty() {
        config.server_name = Some(global.tls_server_name.clone());
    }
    match (&global.client_certificate, &global.client_key) {
        (Some(certificate), Some(key)) => {
            config.credentials = client::Credentials::Certificate {
                chain_pem: file("client-cert", certificate, &names.user)?,
                key_pem: file("client-key", key, &names.user)?,
            };
        }
        (None, None) => {}
        // The other half is the kubeconfig's.
        (Some(path), None) => match &mut config.credentials {
            client::Credentials::Certificate { chain_pem, .. } => *chain_pem = file("client-cert", path, &names.user)?,
            _ => return Err(half("clientKeyData", &names.user)),
        },
        (None, Some(path)) => match &mut config.credentials {
            client::Credentials::Certificate { key_pem, .. } => *key_pem = file("client-key", path, &names.user)?,
            _ => return Err(half("clientCertificateData", &names.user)),
        },
    }
    if !global.token.is_empty() && !global.username.is_empty() {
        return Err(Failure::message(format!(
            "more than one authentication method found for {}; found [token basicAuth], only one is allowed",
            names.user
        )));
    }
    if !global.token.is_empty() {
        // A certificate of the kubeconfig's is shown beside it.
        match config.credentials {
            client::Credentials::Certificate { .. } => connection.set_token(&global.token)?,
            _ => config.credentials = client::Credentials::Token(global.token.clone()),
        }
    }
    connection.insecure |= global.insecure_skip_tls_verify;
    connection.request_timeout = global.request_timeout()?;
    connection.verbosity = global.verbosity;
    connection.warnings_as_errors = global.warnings_as_errors;
    if !global.username.is_empty() {
        connection.set_password(&global.username, &global.password)?;
    }
    if !global.as_user.is_empty() {
        let pair = |pair: &String| match pair.split_once('=') {
            Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
            None => Err(Failure::message(format!("--as-user-extra must be KEY=VALUE, not {pair:?}"))),
        };
        let extra = global.as_user_extra.iter().map(pair).collect::<Result<Vec<_>>>()?;
        impersonate(connection, &global.as_user, &global.as_uid, &global.as_group, &extra)?;
    } else if !global.as_group.is_empty() || !global.as_uid.is_empty() || !global.as_user_extra.is_empty() {
        return Err(Failure::message(format!(
            "requesting uid, groups or user-extra for {} without impersonating a user",
            names.user
        )));
    }
    Ok(())
}

fn half(missing: &str, user: &str) -> Failure {
    Failure::message(format!("{missing} or its file must be specified for {user} to use the other one"))
}

/// An address alone is reached in plain words.
fn with_scheme(server: &str) -> String {
    if server.contains("://") { server.to_owned() } else { format!("http://{server}") }
}

/// What the context in use names.
struct Names {
    cluster: String,
    user: String,
}

impl Names {
    fn of(merged: &Value, context: &str, global: &Global) -> Names {
        let own = entry(merged, "contexts", context).map(|entry| &entry["context"]);
        let name = |key: &str, flag: &str| {
            if flag.is_empty() { own.map_or("", |own| text(own, key)).to_owned() } else { flag.to_owned() }
        };
        Names { cluster: name("cluster", &global.cluster), user: name("user", &global.user) }
    }
}

fn impersonate_as_configured(connection: &mut Connection, identity: &Value) -> Result<()> {
    let user = text(identity, "as");
    if user.is_empty() {
        return Ok(());
    }
    let texts = |value: Option<&Value>| -> Vec<String> {
        value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let extra = identity.get("as-user-extra").and_then(Value::as_object).into_iter().flatten();
    let extra: Vec<(String, String)> = extra
        .flat_map(|(key, values)| texts(Some(values)).into_iter().map(move |value| (key.clone(), value)))
        .collect();
    impersonate(connection, user, text(identity, "as-uid"), &texts(identity.get("as-groups")), &extra)
}

fn impersonate(
    connection: &mut Connection,
    user: &str,
    uid: &str,
    groups: &[String],
    extra: &[(String, String)],
) -> Result<()> {
    connection.add_header("Impersonate-User", user)?;
    if !uid.is_empty() {
        connection.add_header("Impersonate-Uid", uid)?;
    }
    groups.iter().try_for_each(|group| connection.add_header("Impersonate-Group", group))?;
    extra.iter().try_for_each(|(key, value)| connection.add_header(&format!("Impersonate-Extra-{key}"), value))
}

/// Whom this machine believes, for a server whose kubeconfig names no authority; empty where there is no such file.
pub(crate) fn machine_authorities() -> String {
    const FILES: [&str; 3] =
        ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
    FILES.iter().find_map(|file| std::fs::read_to_string(file).ok()).unwrap_or_default()
}

fn read(path: &Path) -> Result<Value> {
    let content = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::message(format!("stat {}: no such file or directory", path.display())),
        _ => Failure::message(format!("{}: {error}", path.display())),
    })?;
    let value: Value = serde_saphyr::from_str(&content).map_err(|error| {
        Failure::message(format!("error loading config file {:?}: {error}", path.display().to_string()))
    })?;
    match value {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Object(_) => Ok(value),
        _ => Err(Failure::message(format!(
            "error loading config file {:?}: it is no mapping",
            path.display().to_string()
        ))),
    }
}

/// For the user's eyes only, and whole or not at all: others may read it meanwhile.
fn write(path: &Path, yaml: &str) -> Result<()> {
    let failed = |error: std::io::Error| Failure::message(format!("{}: {error}", path.display()));
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut draft = tempfile::Builder::new().prefix(".kubeconfig-").tempfile_in(folder).map_err(failed)?;
    draft.write_all(yaml.as_bytes()).map_err(failed)?;
    if let Ok(before) = path.metadata() {
        draft.as_file().set_permissions(before.permissions()).map_err(failed)?;
    }
    // A link keeps pointing at its file.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    draft.persist(&target).map_err(|error| failed(error.error)).map(|_| ())
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn entry<'a>(merged: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    merged.get(list)?.as_array()?.iter().find(|entry| entry["name"] == name)
}

fn add(list: &mut Value, entry: Value) {
    if let Some(list) = list.as_array_mut()
        && !list.iter().any(|known| known["name"] == entry["name"])
    {
        list.push(entry);
    }
}

fn with_absolute_paths(entry: &Value, inner: &str, file: &Path) -> Value {
    let mut entry = entry.clone();
    let folder = file.parent().unwrap_or(Path::new("."));
    for key in FILE_KEYS {
        if let Some(path) = entry[inner].get_mut(key)
            && let Some(relative) = path.as_str().filter(|path| !path.is_empty())
        {
            let joined = folder.join(relative);
            let absolute = std::path::absolute(&joined).unwrap_or(joined);
            *path = absolute.to_string_lossy().into_owned().into();
        }
    }
    entry
}

/// Inside a pod its service account speaks; elsewhere upstream tries a port of this machine.
fn without_file() -> Result<Config> {
    const FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
    let nowhere = Config {
        server: NOWHERE.to_owned(),
        ca_pem: String::new(),
        server_name: None,
        credentials: client::Credentials::Anonymous,
        namespace: "default".to_owned(),
        user_agent: String::new(),
    };
    let (Ok(host), Ok(port)) = (std::env::var("KUBERNETES_SERVICE_HOST"), std::env::var("KUBERNETES_SERVICE_PORT"))
    else {
        return Ok(nowhere);
    };
    let file = |name: &str| std::fs::read_to_string(Path::new(FOLDER).join(name)).map(|text| text.trim().to_owned());
    let Ok(token) = file("token") else { return Ok(nowhere) };
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(Config {
        server: format!("https://{host}:{port}"),
        ca_pem: file("ca.crt").map_err(|error| Failure::message(format!("{FOLDER}/ca.crt: {error}")))?,
        credentials: client::Credentials::Token(token),
        namespace: file("namespace").unwrap_or_else(|_| "default".to_owned()),
        ..nowhere
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, name: &str, context: &str, server: &str) -> (PathBuf, Value) {
        let path = folder.join(name);
        let yaml = format!(
            "current-context: {context}\nclusters: [{{name: c, cluster: {{server: '{server}', certificate-authority: ca.crt}}}}]\n\
             contexts: [{{name: {context}, context: {{cluster: c, user: u, namespace: n-{context}}}}}]\nusers: [{{name: u, user: {{token: t}}}}]\n"
        );
        std::fs::write(&path, yaml).unwrap();
        let value = read(&path).unwrap();
        (path, value)
    }

    #[test]
    fn the_first_file_wins() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), "PEM").unwrap();
        let files =
            vec![written(folder.path(), "a", "one", "https://a:1"), written(folder.path(), "b", "two", "https://b:1")];
        let config = Kubeconfig { files, default: PathBuf::new() };
        let one = config.connection(&Global::default()).unwrap().config;
        assert_eq!((one.server.as_str(), one.namespace.as_str(), one.ca_pem.as_str()), ("https://a:1", "n-one", "PEM"));
        let two = config.connection(&Global { context: "two".into(), ..Global::default() }).unwrap().config;
        assert_eq!(
            (two.server.as_str(), two.namespace.as_str()),
            ("https://a:1", "n-two"),
            "cluster c is the first file's"
        );
        let error = config.connection(&Global { context: "gone".into(), ..Global::default() }).unwrap_err();
        assert_eq!(error.report(), "Error in configuration: context was not found for specified context: gone");
    }

    #[test]
    fn a_context_is_made_current_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, value) = written(folder.path(), "a", "one", "https://a:1");
        let mut config = Kubeconfig { files: vec![(path.clone(), value)], default: PathBuf::new() };
        assert!(config.use_context("gone").is_err());
        config.files[0].1["contexts"][0]["name"] = "other".into();
        config.use_context("other").unwrap();
        assert_eq!(read(&path).unwrap()["current-context"], "other");
    }
}

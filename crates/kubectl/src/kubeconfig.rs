//! Kubeconfig files: which are read, how several merge, and what the command line overrides.
//!
//! Invariant: the first file that sets a value wins, as upstream merges; certificates and keys named by relative paths
//! are taken from the folder of the file that names them.

use crate::failure::{Failure, Result};
use client::Config;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// Named entries of a kubeconfig: the list's key, and each entry's own.
const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("contexts", "context"), ("users", "user")];
const FILE_KEYS: [&str; 4] = ["certificate-authority", "client-certificate", "client-key", "tokenFile"];
/// Where upstream's client goes without any configuration.
const NOWHERE: &str = "http://localhost:8080";

/// What flags say about the connection; empty: nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) context: String,
    pub(crate) cluster: String,
    pub(crate) user: String,
    pub(crate) server: String,
    pub(crate) token: String,
}

/// The files, each as it was read.
pub(crate) struct Kubeconfig {
    files: Vec<(PathBuf, Value)>,
}

impl Kubeconfig {
    /// `flag` alone, or those of `KUBECONFIG`, or `~/.kube/config`, or `fallback`: the first that there is.
    pub(crate) fn load(flag: Option<&Path>, fallback: &Path) -> Result<Kubeconfig> {
        if let Some(path) = flag {
            return Ok(Kubeconfig { files: vec![(path.to_owned(), read(path)?)] });
        }
        let named = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
        let paths: Vec<PathBuf> = match named {
            Some(paths) => std::env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect(),
            None => {
                let home = std::env::home_dir().map(|home| home.join(".kube").join("config"));
                vec![home.filter(|path| path.exists()).unwrap_or_else(|| fallback.to_owned())]
            }
        };
        let files = paths.into_iter().filter(|path| path.exists());
        let files = files.map(|path| read(&path).map(|value| (path, value))).collect::<Result<_>>()?;
        Ok(Kubeconfig { files })
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
        let (path, file) = self.files.get_mut(index).ok_or_else(|| Failure::message("no kubeconfig file to write"))?;
        file["current-context"] = name.into();
        let yaml = crate::print::yaml(file);
        std::fs::write(&*path, yaml).map_err(|error| Failure::message(format!("{}: {error}", path.display())))
    }

    /// The server and identity to use.
    pub(crate) fn config(&self, overrides: &Overrides) -> Result<Config> {
        let mut merged = self.merged();
        let context = match overrides.context.as_str() {
            "" => text(&merged, "current-context").to_owned(),
            name => name.to_owned(),
        };
        let mut config = if context.is_empty() || self.files.is_empty() {
            without_file()?
        } else {
            self.of_context(&mut merged, &context, overrides)?
        };
        if !overrides.server.is_empty() {
            config.server = overrides.server.trim_end_matches('/').to_owned();
        }
        if !overrides.token.is_empty() {
            config.credentials = client::Credentials::Token(overrides.token.clone());
        }
        config.user_agent = format!("kubectl/{} (sampan)", api::KUBERNETES_VERSION.2);
        Ok(config)
    }

    fn of_context(&self, merged: &mut Value, name: &str, overrides: &Overrides) -> Result<Config> {
        let Some(context) = merged["contexts"].as_array_mut().into_iter().flatten().find(|entry| entry["name"] == name)
        else {
            return Err(Failure::message(format!("context {name:?} does not exist")));
        };
        for (key, value) in [("cluster", &overrides.cluster), ("user", &overrides.user)] {
            if !value.is_empty() {
                context["context"][key] = value.as_str().into();
            }
        }
        let (cluster, user) =
            (text(&context["context"], "cluster").to_owned(), text(&context["context"], "user").to_owned());
        if let Some(cluster) = entry(merged, "clusters", &cluster)
            && cluster["cluster"]["insecure-skip-tls-verify"] == true
        {
            return Err(Failure::message(
                "insecure-skip-tls-verify is not built into sampan's kubectl yet; name a certificate-authority",
            ));
        }
        if let Some(user) = entry(merged, "users", &user)
            && (user["user"].get("exec").is_some() || user["user"].get("auth-provider").is_some())
        {
            return Err(Failure::message(
                "credential plugins are not built into sampan's kubectl yet; use a certificate or token",
            ));
        }
        let path = self.files.first().map_or(Path::new("kubeconfig"), |(path, _)| path);
        // JSON is YAML.
        Config::parse_kubeconfig(&merged.to_string(), path, Some(name))
            .map_err(|error| Failure::message(error.to_string()))
    }
}

fn read(path: &Path) -> Result<Value> {
    let content = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::message(format!("stat {}: no such file or directory", path.display())),
        _ => Failure::message(format!("{}: {error}", path.display())),
    })?;
    let value: Value = serde_saphyr::from_str(&content).map_err(|error| {
        Failure::message(format!("error loading config file {:?}: {error}", path.display().to_string()))
    })?;
    Ok(if value.is_null() { Value::Object(Map::new()) } else { value })
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn entry<'a>(merged: &'a Value, list: &str, name: &str) -> Option<&'a Value> {
    merged[list].as_array()?.iter().find(|entry| entry["name"] == name)
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
        let config = Kubeconfig { files };
        let one = config.config(&Overrides::default()).unwrap();
        assert_eq!((one.server.as_str(), one.namespace.as_str(), one.ca_pem.as_str()), ("https://a:1", "n-one", "PEM"));
        let two = config.config(&Overrides { context: "two".into(), ..Overrides::default() }).unwrap();
        assert_eq!(
            (two.server.as_str(), two.namespace.as_str()),
            ("https://a:1", "n-two"),
            "cluster c is the first file's"
        );
        let error = config.config(&Overrides { context: "gone".into(), ..Overrides::default() }).unwrap_err();
        assert_eq!(error.report(), "error: context \"gone\" does not exist");
    }

    #[test]
    fn a_context_is_made_current_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, value) = written(folder.path(), "a", "one", "https://a:1");
        let mut config = Kubeconfig { files: vec![(path.clone(), value)] };
        assert!(config.use_context("gone").is_err());
        config.files[0].1["contexts"][0]["name"] = "other".into();
        config.use_context("other").unwrap();
        assert_eq!(read(&path).unwrap()["current-context"], "other");
    }
}

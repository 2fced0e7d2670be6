//! The servers that a node knows: those that it was given, and those that the cluster names in the endpoints of the
//! `kubernetes` service.
//!
//! Invariants: what the cluster names is on disk, so that a node starts while the server that it joined by is gone. A
//! list without anybody never replaces one. Each node asks in an order of its own: those whose server ends do not all
//! turn to the same one.

use crate::files;
use crate::settings::{Roles, Settings};
use anyhow::{Context, Result};
use client::{Client, Servers};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

const NAMESPACE: &str = "default";
const SERVICE: (&str, &str) = ("kubernetes.io/service-name", "kubernetes");
const PORT: &str = "https";

#[derive(Clone)]
pub(super) struct KnownServers {
    servers: Arc<Servers>,
    given: Vec<String>,
    node_name: String,
    file: PathBuf,
}

impl KnownServers {
    /// `joined_by` is asked first, unless the settings name others; then those that an earlier start learnt of.
    pub(super) fn load(settings: &Settings, joined_by: &str) -> Result<KnownServers> {
        let mut given = match &settings.roles {
            Roles::Node(servers) => servers.clone(),
            _ => Vec::new(),
        };
        if !given.iter().any(|own| own == joined_by) {
            given.push(joined_by.to_owned());
        }
        let file = settings.data_dir.join("node").join("servers.json");
        let learnt: Vec<String> = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| format!("reading {}", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
        };
        let servers = Arc::new(Servers::new(&given[0], given[1..].iter().chain(&learnt)));
        Ok(KnownServers { servers, given, node_name: settings.node_name.clone(), file })
    }

    pub(super) fn servers(&self) -> Arc<Servers> {
        self.servers.clone()
    }

    /// Learns of servers for as long as it is polled.
    pub(super) async fn follow(self, client: Client) -> Result<()> {
        // The same cache as the service rules'.
        let slices = client.cache::<EndpointSlice>();
        let mut changes = slices.changes();
        loop {
            let change = changes.next().await;
            if [&change.old, &change.new].into_iter().flatten().any(|slice| is_of_the_api(slice)) {
                self.learn(&slices.list_namespace(NAMESPACE))?;
            }
        }
    }

    fn learn(&self, slices: &[Arc<EndpointSlice>]) -> Result<()> {
        let mut named: Vec<String> =
            slices.iter().filter(|slice| is_of_the_api(slice)).flat_map(|slice| urls(slice)).collect();
        if named.is_empty() {
            return Ok(());
        }
        named.sort_by_cached_key(|url| {
            let mut hasher = DefaultHasher::new();
            (&self.node_name, url).hash(&mut hasher);
            (hasher.finish(), url.clone())
        });
        if self.servers.replace(self.given.iter().chain(&named)) {
            tracing::info!(servers = ?named, "the cluster's servers");
            files::write_private(&self.file, &serde_json::to_vec(&named).context("encoding the list of servers")?)?;
        }
        Ok(())
    }
}

fn is_of_the_api(slice: &EndpointSlice) -> bool {
    let meta = &slice.metadata;
    let service = meta.labels.as_ref().and_then(|labels| labels.get(SERVICE.0));
    meta.namespace.as_deref() == Some(NAMESPACE) && service.is_some_and(|service| service == SERVICE.1)
}

/// Of the endpoints that are ready, or of which nobody says anything.
fn urls(slice: &EndpointSlice) -> Vec<String> {
    let ports = slice.ports.as_deref().unwrap_or_default();
    let port = ports.iter().find(|port| port.name.as_deref() == Some(PORT)).and_then(|port| port.port);
    let Some(port) = port.and_then(|port| u16::try_from(port).ok()) else { return Vec::new() };
    let endpoints = slice.endpoints.as_deref().unwrap_or_default().iter();
    let ready = endpoints
        .filter(|endpoint| endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true));
    let addresses = ready.flat_map(|endpoint| &endpoint.addresses).filter_map(|text| text.parse::<IpAddr>().ok());
    addresses.map(|address| format!("https://{}", SocketAddr::new(address, port))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{DataDir, Flags, UpArgs};
    use serde_json::json;

    fn settings(folder: &std::path::Path) -> Settings {
        let flags = Flags { node_ip: Some([192, 0, 2, 1].into()), ..Flags::default() };
        let data_dir = DataDir { data_dir: folder.to_owned() };
        std::fs::create_dir_all(folder.join("node")).unwrap();
        let roles = Roles::Node(vec!["https://192.0.2.7:6443".to_owned(), "https://api.example:443".to_owned()]);
        Settings::from_up(&UpArgs { data_dir, flags, config: None, detach: false }, roles).unwrap()
    }

    fn slice(name: &str, service: &str, endpoints: &[(&str, Option<bool>)]) -> Arc<EndpointSlice> {
        let endpoints: Vec<_> = endpoints
            .iter()
            .map(|(address, ready)| json!({"addresses": [address], "conditions": {"ready": ready}}))
            .collect();
        let slice = json!({
            "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{"name": "metrics", "port": 1}, {"name": "https", "port": 6443}],
        });
        Arc::new(serde_json::from_value(slice).unwrap())
    }

    fn list(known: &KnownServers) -> Vec<String> {
        known.servers.list().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_the_cluster_names_is_remembered_after_what_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let known = KnownServers::load(&settings, "https://api.example:443").unwrap();
        assert_eq!(list(&known), ["https://192.0.2.7:6443", "https://api.example:443"]);
        let of_the_api = slice(
            "kubernetes",
            "kubernetes",
            &[("192.0.2.7", Some(true)), ("192.0.2.8", None), ("192.0.2.9", Some(false))],
        );
        let further = slice("kubernetes-v6", "kubernetes", &[("2001:db8::1", None)]);
        known.learn(&[of_the_api, further, slice("web", "web", &[("192.0.2.66", None)])]).unwrap();
        let learnt = list(&known);
        assert_eq!(&learnt[..2], ["https://192.0.2.7:6443", "https://api.example:443"]);
        let mut more = learnt[2..].to_vec();
        more.sort();
        assert_eq!(more, ["https://192.0.2.8:6443", "https://[2001:db8::1]:6443"]);
        known.learn(&[slice("kubernetes", "kubernetes", &[])]).unwrap();
        assert_eq!(list(&known), learnt, "nobody at all is no news");

        let restarted = KnownServers::load(&settings, "https://api.example:443").unwrap();
        assert_eq!(list(&restarted), learnt);
    }

    #[test]
    fn nodes_turn_to_servers_in_orders_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let named =
            slice("kubernetes", "kubernetes", &[("192.0.2.8", None), ("192.0.2.9", None), ("192.0.2.10", None)]);
        let seconds = (0..30).map(|n| {
            let settings = Settings { node_name: format!("n{n}"), ..settings(folder.path()) };
            let known = KnownServers {
                given: vec!["https://192.0.2.7:6443".to_owned()],
                ..KnownServers::load(&settings, "").unwrap()
            };
            known.learn(std::slice::from_ref(&named)).unwrap();
            list(&known)[1].clone()
        });
        assert_eq!(seconds.collect::<std::collections::BTreeSet<_>>().len(), 3);
    }
}

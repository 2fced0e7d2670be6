//! What one data directory's processes run with: flags, then the config file, then defaults; kept on disk, so that
//! every process and every later command of that directory sees the same.

mod access;
mod admission;
mod audit;
mod guard;
mod insight;
mod logs;

pub(crate) use access::Access;
pub(crate) use admission::Admission;
pub(crate) use audit::Audit;
pub(crate) use guard::Guard;
pub(crate) use insight::{Insight, RemoteWrite};
pub(crate) use logs::Logs;

use crate::cli::{Flags, JoinArgs, UpArgs};
use anyhow::{Context, Result, bail};
use ipnet::Ipv4Net;
use kubelet::Thresholds;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Settings {
    pub(crate) data_dir: PathBuf,
    pub(crate) roles: Roles,
    pub(crate) listen: SocketAddr,
    pub(crate) node_name: String,
    pub(crate) node_ip: Ipv4Addr,
    pub(crate) pod_cidr: Ipv4Net,
    pub(crate) service_cidr: Ipv4Net,
    /// `None`: after the cluster's id, which is known once there is a certificate authority.
    pub(crate) cgroup_root: Option<String>,
    pub(crate) max_pods: u32,
    /// As the user wrote it; `None`: the kubelet's own.
    #[serde(default)]
    pub(crate) eviction_hard: Option<String>,
    pub(crate) kubelet_port: u16,
    pub(crate) node_monitor_grace_seconds: u64,
    pub(crate) eviction_after_seconds: u64,
    pub(crate) container_runtime_endpoint: Option<String>,
    /// `None`: the embedded store, in the data directory.
    pub(crate) datastore: Option<Datastore>,
    #[serde(default)]
    pub(crate) guard: Guard,
    #[serde(default)]
    pub(crate) access: Access,
    #[serde(default)]
    pub(crate) admission: Admission,
    #[serde(default)]
    pub(crate) audit: Audit,
    #[serde(default)]
    pub(crate) insight: Insight,
    #[serde(default)]
    pub(crate) logs: Logs,
}

/// An etcd that holds the cluster's objects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Datastore {
    pub(crate) endpoints: Vec<String>,
    pub(crate) ca_file: Option<PathBuf>,
    /// Certificate and key.
    pub(crate) identity_files: Option<(PathBuf, PathBuf)>,
    /// What opens the keys that servers share; `None`: this server's own.
    #[serde(default)]
    pub(crate) server_token_file: Option<PathBuf>,
}

impl Datastore {
    pub(crate) fn from_flags(flags: &Flags, roles: &Roles) -> Result<Option<Datastore>> {
        let files =
            [&flags.datastore_cafile, &flags.datastore_certfile, &flags.datastore_keyfile, &flags.server_token_file];
        let Some(endpoints) = &flags.datastore_endpoint else {
            if files.iter().any(|file| file.is_some()) {
                bail!("--datastore-cafile, -certfile, -keyfile and --server-token-file go with --datastore-endpoint");
            }
            return Ok(None);
        };
        if !roles.server() {
            bail!("--datastore-endpoint is for servers: a joined node keeps no objects");
        }
        let absolute = |file: &Option<PathBuf>| {
            let path = file.as_ref().map(std::path::absolute).transpose();
            path.context("the path of a file for the datastore")
        };
        let identity_files = match (absolute(files[1])?, absolute(files[2])?) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => bail!("--datastore-certfile and --datastore-keyfile go together"),
        };
        if identity_files.is_some() && files[0].is_none() {
            bail!("--datastore-certfile needs --datastore-cafile: who shows a certificate must know to whom");
        }
        let endpoints = endpoints.split(',').map(|url| url.trim().trim_end_matches('/').to_owned()).collect();
        let (ca_file, server_token_file) = (absolute(files[0])?, absolute(files[3])?);
        Ok(Some(Datastore { endpoints, ca_file, identity_files, server_token_file }))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Roles {
    ServerAndNode,
    Server,
    /// The servers' URLs.
    Node(#[serde(deserialize_with = "one_or_many")] Vec<String>),
}

impl Roles {
    pub(crate) fn server(&self) -> bool {
        matches!(self, Roles::ServerAndNode | Roles::Server)
    }
    pub(crate) fn node(&self) -> bool {
        matches!(self, Roles::ServerAndNode | Roles::Node(_))
    }
}

/// Earlier builds kept one.
fn one_or_many<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(server) => vec![server],
        OneOrMany::Many(servers) => servers,
    })
}

pub(crate) const CLUSTER_DOMAIN: &str = "cluster.local";

impl Settings {
    pub(crate) fn from_up(args: &UpArgs, roles: Roles) -> Result<Settings> {
        let mut flags = args.flags.clone();
        if let Some(path) = &args.config {
            flags = merged(&flags, &read_flags(path)?).context("merging flags and file")?;
        }
        let datastore = Datastore::from_flags(&flags, &roles)?;
        let guard = Guard::from_flags(&flags, &roles)?;
        let access = Access::from_flags(&flags, &roles)?;
        let admission = Admission::from_flags(&flags, &roles)?;
        let audit = Audit::from_flags(&flags, &roles)?;
        let insight = Insight::from_flags(&flags, &roles)?;
        let logs = Logs::from_flags(&flags)?;
        let data_dir = std::path::absolute(&args.data_dir.data_dir).context("the data directory's path")?;
        let settings = Settings {
            data_dir,
            roles,
            listen: flags.listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 6443))),
            node_name: match flags.node_name {
                Some(name) => name,
                None => host_name()?,
            },
            node_ip: match flags.node_ip {
                Some(ip) => ip,
                None => own_address()?,
            },
            pod_cidr: flags.pod_cidr.unwrap_or(literal("10.42.0.0/16")).trunc(),
            service_cidr: flags.service_cidr.unwrap_or(literal("10.43.0.0/16")).trunc(),
            cgroup_root: flags.cgroup_root,
            max_pods: flags.max_pods.unwrap_or(1000),
            eviction_hard: flags.eviction_hard,
            kubelet_port: flags.kubelet_port.unwrap_or(10250),
            node_monitor_grace_seconds: flags.node_monitor_grace.unwrap_or(40),
            eviction_after_seconds: flags.eviction_after.unwrap_or(300),
            container_runtime_endpoint: flags.container_runtime_endpoint,
            datastore,
            guard,
            access,
            admission,
            audit,
            insight,
            logs,
        };
        settings.check()?;
        Ok(settings)
    }

    pub(crate) fn from_join(args: &JoinArgs) -> Result<Settings> {
        let servers: Vec<String> =
            args.server.iter().map(|server| server.trim().trim_end_matches('/').to_owned()).collect();
        if let Some(wrong) = servers.iter().find(|server| !server.starts_with("https://")) {
            bail!("--server must be https://HOST:PORT, not {wrong:?}");
        }
        Settings::from_up(&args.up, Roles::Node(servers))
    }

    fn check(&self) -> Result<()> {
        let overlap = self.pod_cidr.contains(&self.service_cidr) || self.service_cidr.contains(&self.pod_cidr);
        if overlap {
            bail!(
                "--pod-cidr {} and --service-cidr {} overlap: give them ranges of their own",
                self.pod_cidr,
                self.service_cidr
            );
        }
        if !(8..=28).contains(&self.service_cidr.prefix_len()) {
            bail!("--service-cidr {} must be between /8 and /28", self.service_cidr);
        }
        if self.pod_cidr.prefix_len() > 22 {
            bail!("--pod-cidr {} holds no node's range: it must be /22 or larger", self.pod_cidr);
        }
        if let Some(why) = unreachable(self.node_ip) {
            bail!(
                "--node-ip {0} is {why}, where pods and other machines cannot reach this one (Kubernetes refuses it in \
                 Endpoints): name an address of this machine, as `ip -4 addr` lists them; on a machine without a \
                 network, give it one: `ip addr add 10.99.0.1/32 dev lo`, and --node-ip 10.99.0.1",
                self.node_ip
            );
        }
        let complaints = api::labels::dns1123_subdomain(&self.node_name, false);
        if let Some(complaint) = complaints.first() {
            bail!("--node-name {:?}: {complaint}", self.node_name);
        }
        self.thresholds()?;
        if self.node_monitor_grace_seconds < 2 {
            bail!("--node-monitor-grace must be at least 2 seconds: heartbeats come every quarter of it");
        }
        Ok(())
    }

    pub(crate) fn thresholds(&self) -> Result<Thresholds> {
        let Some(text) = &self.eviction_hard else { return Ok(Thresholds::default()) };
        text.parse().with_context(|| format!("--eviction-hard {text:?}"))
    }

    /// What an earlier `up` of this directory ran with.
    pub(crate) fn load(data_dir: &Path) -> Result<Settings> {
        let path = data_dir.join("settings.json");
        let text = std::fs::read(&path)
            .with_context(|| format!("nothing of sampan is in {} (reading {})", data_dir.display(), path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("reading {}", path.display()))
    }

    pub(crate) fn save(&self) -> Result<()> {
        self.save_in(&self.data_dir)
    }

    /// Where they will be of use later.
    pub(crate) fn save_in(&self, folder: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).context("encoding the settings")?;
        crate::files::write_private(&folder.join("settings.json"), &text)
    }

    /// The `kubernetes` service.
    pub(crate) fn api_service_ip(&self) -> Ipv4Addr {
        self.nth_service_ip(1)
    }
    /// The `kube-dns` service.
    pub(crate) fn dns_service_ip(&self) -> Ipv4Addr {
        self.nth_service_ip(10)
    }
    fn nth_service_ip(&self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.service_cidr.network()) + n)
    }

    /// Where processes of this machine reach the server.
    pub(crate) fn server_url(&self) -> String {
        match &self.roles {
            Roles::Node(servers) => servers.first().cloned().unwrap_or_default(),
            _ => {
                let ip =
                    if self.listen.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { self.listen.ip() };
                format!("https://{}", SocketAddr::new(ip, self.listen.port()))
            }
        }
    }

    /// Where other machines and pods reach it.
    pub(crate) fn public_url(&self) -> String {
        format!("https://{}", SocketAddr::new(self.public_ip(), self.listen.port()))
    }

    pub(crate) fn public_ip(&self) -> IpAddr {
        let ip = self.listen.ip();
        if ip.is_unspecified() || ip.is_loopback() { IpAddr::V4(self.node_ip) } else { ip }
    }
}

fn literal(range: &str) -> Ipv4Net {
    range.parse().expect("a literal range")
}

fn read_flags(path: &Path) -> Result<Flags> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("reading {}", path.display()))
}

/// What the flags leave open is as the file says.
fn merged(flags: &Flags, file: &Flags) -> Result<Flags> {
    let (Value::Object(flags), Value::Object(mut merged)) = (serde_json::to_value(flags)?, serde_json::to_value(file)?)
    else {
        bail!("flags are fields");
    };
    merged.extend(flags.into_iter().filter(|(_, value)| !value.is_null()));
    Ok(serde_json::from_value(Value::Object(merged))?)
}

fn host_name() -> Result<String> {
    let name = nix::unistd::gethostname().context("reading the host's name")?;
    Ok(name.to_string_lossy().to_lowercase())
}

/// Why no endpoint may have this address.
fn unreachable(address: Ipv4Addr) -> Option<&'static str> {
    [
        (address.is_loopback(), "a loopback address"),
        (address.is_unspecified(), "no address at all"),
        (address.is_link_local(), "a link-local address"),
        (address.is_multicast(), "a multicast address"),
    ]
    .into_iter()
    .find_map(|(holds, why)| holds.then_some(why))
}

/// The source address of the default route (nothing is sent), else the first interface's that is not loopback.
fn own_address() -> Result<Ipv4Addr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("opening a socket")?;
    if socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).is_ok()
        && let Ok(SocketAddr::V4(address)) = socket.local_addr()
        && !address.ip().is_unspecified()
    {
        return Ok(*address.ip());
    }
    let interfaces = nix::ifaddrs::getifaddrs().context("listing the machine's addresses")?;
    let addresses = interfaces.filter_map(|interface| Some(interface.address?.as_sockaddr_in()?.ip()));
    Ok(addresses.filter(|address| !address.is_loopback()).min().unwrap_or(Ipv4Addr::LOCALHOST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::DataDir;

    /// On a machine that has an address, whatever the one has that runs the test.
    fn up(flags: Flags) -> UpArgs {
        let flags = Flags { node_ip: flags.node_ip.or(Some(Ipv4Addr::new(192, 0, 2, 1))), ..flags };
        UpArgs { data_dir: DataDir { data_dir: "/x".into() }, flags, config: None, detach: false }
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yaml");
        std::fs::write(&file, "node-name: from-file\nmax-pods: 7\n").unwrap();
        let flags = Flags { node_name: Some("from-flag".to_owned()), ..Flags::default() };
        let settings = Settings::from_up(&UpArgs { config: Some(file.clone()), ..up(flags) }, Roles::Server).unwrap();
        assert_eq!((settings.node_name.as_str(), settings.max_pods), ("from-flag", 7));
        std::fs::write(&file, "max-pod: 7\n").unwrap();
        let error =
            Settings::from_up(&UpArgs { config: Some(file), ..up(Flags::default()) }, Roles::Server).unwrap_err();
        assert!(format!("{error:#}").contains("max-pod"), "{error:#}");
    }

    #[test]
    fn wrong_ranges_and_names_are_refused() {
        for (flags, complaint) in [
            (Flags { service_cidr: Some("10.42.1.0/24".parse().unwrap()), ..Flags::default() }, "overlap"),
            (Flags { service_cidr: Some("10.99.0.0/30".parse().unwrap()), ..Flags::default() }, "between /8 and /28"),
            (Flags { pod_cidr: Some("10.99.0.0/24".parse().unwrap()), ..Flags::default() }, "/22 or larger"),
            (Flags { node_name: Some("No_Such".to_owned()), ..Flags::default() }, "RFC 1123"),
            (Flags { node_ip: Some(Ipv4Addr::LOCALHOST), ..Flags::default() }, "127.0.0.1 is a loopback address"),
            (Flags { node_ip: Some(Ipv4Addr::new(169, 254, 1, 1)), ..Flags::default() }, "a link-local address"),
            (Flags { node_monitor_grace: Some(1), ..Flags::default() }, "at least 2 seconds"),
            (Flags { eviction_hard: Some("memory<1%".to_owned()), ..Flags::default() }, "--eviction-hard"),
        ] {
            let error = Settings::from_up(&up(flags), Roles::Server).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }

    #[test]
    fn a_datastore_is_named_whole_and_by_servers() {
        let (endpoint, file) = (Some("https://a:1/, https://b:1".to_owned()), Some(PathBuf::from("/f")));
        for (flags, roles, complaint) in [
            (Flags { datastore_cafile: file.clone(), ..Flags::default() }, Roles::Server, "go with"),
            (
                Flags { datastore_endpoint: endpoint.clone(), datastore_keyfile: file.clone(), ..Flags::default() },
                Roles::Server,
                "go together",
            ),
            (
                Flags { datastore_endpoint: endpoint.clone(), ..Flags::default() },
                Roles::Node(vec!["https://a:6443".to_owned()]),
                "for servers",
            ),
        ] {
            let error = Settings::from_up(&up(flags), roles).unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
        let flags = Flags { datastore_endpoint: endpoint, datastore_cafile: file, ..Flags::default() };
        let datastore = Settings::from_up(&up(flags), Roles::Server).unwrap().datastore.unwrap();
        assert_eq!(datastore.endpoints, ["https://a:1", "https://b:1"]);
    }

    #[test]
    fn service_addresses_count_from_the_ranges_start() {
        let settings = Settings::from_up(&up(Flags::default()), Roles::Server).unwrap();
        assert_eq!(settings.api_service_ip().to_string(), "10.43.0.1");
        assert_eq!(settings.dns_service_ip().to_string(), "10.43.0.10");
    }
}

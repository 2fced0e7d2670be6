//! A sandbox's beginning.

use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use ::shim::protocol::{CgroupSpec, PodSpec};
use cri::v1::{self, NamespaceMode};
use tonic::Status;

use super::{cgroup_parent, namespaces, on_host_network};
use crate::container::internal;
use crate::embedded::Parts;
use crate::network::{HostPort, PodNetwork};
use crate::record::{Message, SandboxRecord, SandboxState, new_id, now_ns};
use crate::shim;
use crate::table::Sandbox;

/// Shared memory of a pod, as other runtimes give it.
const SHM_BYTES: u64 = 64 << 20;
/// A pause container's score: among the last to be killed for memory. Clamped where the node may not give it.
const OOM_SCORE_ADJ: i32 = -998;

impl Parts {
    /// Makes a sandbox. On an error nothing is left of it.
    pub(crate) async fn run_sandbox(self: &Arc<Self>, request: v1::RunPodSandboxRequest) -> Result<String, Status> {
        let config = request.config.ok_or_else(|| Status::invalid_argument("sandbox config is missing"))?;
        check(&config, &request.runtime_handler)?;
        let record = SandboxRecord {
            id: new_id(),
            config: Message(config),
            created_ns: now_ns(),
            state: SandboxState::Creating,
            ips: Vec::new(),
            made_cgroup: false,
        };
        let id = record.id.clone();
        match self.begin_sandbox(record).await {
            Ok(()) => Ok(id),
            Err(status) => {
                // What could not be cleared away now is on record, and is when the runtime opens again.
                if let Err(error) = self.remove_sandbox(&id).await {
                    tracing::warn!(sandbox = id, %error, "failed sandbox not cleared away");
                }
                Err(status)
            }
        }
    }

    async fn begin_sandbox(self: &Arc<Self>, mut record: SandboxRecord) -> Result<(), Status> {
        let id = record.id.clone();
        let group = match cgroup_parent(&record.config.0) {
            Some(parent) => {
                Some(kernel::cgroup::Cgroup::at(parent).map_err(|error| internal("use the cgroup parent", error))?)
            }
            None => None,
        };
        record.made_cgroup = group.as_ref().is_some_and(|group| !group.exists());
        let spec = self.pod_spec(&record)?;
        let directory = self.sandbox_directory(&id);
        for directory in [&directory, &self.run_directory(&id)] {
            std::fs::create_dir(directory).map_err(|error| internal("create the sandbox's directory", error))?;
        }
        self.save_sandbox(&record).map_err(|error| internal("save the sandbox", error))?;
        super::files::write(&directory, &record.config.0).map_err(|error| internal("write the pod's files", error))?;
        // From here on a failure is cleared away by way of the table.
        self.table.put_sandbox(Sandbox { record, shim: None, network: None, gate: Arc::default() });
        if let Some(group) = group {
            group.create().map_err(|error| internal("create the pod's cgroup", error))?;
        }
        shim::launch(&self.binary, &spec).await.map_err(|error| internal("run the sandbox", error))?;
        let connected = shim::Client::connect(&self.run_directory(&id), self.follow(&id)).await;
        let (client, _, network) = connected.map_err(|error| internal("run the sandbox", error))?;
        let network = Arc::new(network);
        self.table.change_sandbox(&id, |sandbox| {
            sandbox.shim = Some(client);
            sandbox.network = Some(network);
        });
        let ips = self.connect_pod(&id).await?;
        let ready = self.table.change_sandbox(&id, |sandbox| {
            sandbox.record.ips = ips;
            sandbox.record.state = SandboxState::Ready;
        });
        let ready = ready.ok_or_else(|| Status::aborted("the sandbox was removed meanwhile"))?;
        self.save_sandbox(&ready.record).map_err(|error| internal("save the sandbox", error))?;
        self.tell(&id, &id, v1::ContainerEventType::ContainerCreatedEvent);
        self.tell(&id, &id, v1::ContainerEventType::ContainerStartedEvent);
        Ok(())
    }

    async fn connect_pod(&self, id: &str) -> Result<Vec<IpAddr>, Status> {
        let Some(sandbox) = self.table.sandbox(id) else { return Ok(Vec::new()) };
        if on_host_network(&sandbox.record.config.0) {
            return Ok(Vec::new());
        }
        let pod = pod_network(&sandbox);
        self.network.setup(&pod).await.map_err(|error| internal("setup network for the sandbox", error))
    }

    fn pod_spec(&self, record: &SandboxRecord) -> Result<PodSpec, Status> {
        let config = &record.config.0;
        let wanted = namespaces(config);
        let own_network = wanted.network() != NamespaceMode::Node;
        let own_ipc = wanted.ipc() != NamespaceMode::Node;
        let hostname = match (own_network, config.hostname.as_str()) {
            // A pod on the node's network has the node's name too.
            (false, _) => String::new(),
            (true, "") => super::files::node_name().map_err(|error| internal("read the node's name", error))?,
            (true, name) => name.to_owned(),
        };
        Ok(PodSpec {
            id: record.id.clone(),
            directory: self.run_directory(&record.id).to_string_lossy().into_owned(),
            hostname,
            own_network,
            own_ipc,
            shared_pid: wanted.pid() == NamespaceMode::Pod,
            sysctls: sysctls(config, own_network, own_ipc)?,
            cgroup: cgroup_spec(&self.shims),
            oom_score_adj: OOM_SCORE_ADJ,
            shm_bytes: SHM_BYTES,
            log_bytes_per_second: self.log_bytes_per_second,
        })
    }
}

/// Where a process joins a group.
pub(crate) fn cgroup_spec(group: &kernel::cgroup::Cgroup) -> CgroupSpec {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    CgroupSpec {
        join: group.join_files().into_iter().map(text).collect(),
        unified: group.unified_directory().map(text).unwrap_or_default(),
    }
}

/// Refuses what this runtime has not.
fn check(config: &v1::PodSandboxConfig, handler: &str) -> Result<(), Status> {
    if !handler.is_empty() {
        return Err(Status::invalid_argument(format!("no runtime for {handler:?} is configured")));
    }
    if config.metadata.is_none() {
        return Err(Status::invalid_argument("sandbox config must include metadata"));
    }
    let wanted = namespaces(config);
    if wanted.userns_options.as_ref().is_some_and(|users| users.mode() == NamespaceMode::Pod) {
        return Err(Status::unimplemented("user namespaces are not supported by this runtime yet"));
    }
    Ok(())
}

/// Kernel parameters as paths. Those of the whole node are refused, and those of a namespace that the pod shares
/// with it, which would be the node's too.
fn sysctls(config: &v1::PodSandboxConfig, network: bool, ipc: bool) -> Result<Vec<(String, String)>, Status> {
    let asked = config.linux.iter().flat_map(|linux| &linux.sysctls);
    let convert = |(name, value): (&String, &String)| {
        let dotted = name.replace('/', ".");
        let own = match dotted.as_str() {
            "kernel.shm_rmid_forced" | "kernel.shmmax" | "kernel.shmall" | "kernel.shmmni" | "kernel.sem" => ipc,
            name if name.starts_with("kernel.msg") || name.starts_with("fs.mqueue.") => ipc,
            name if name.starts_with("net.") => network,
            _ => false,
        };
        if !own || dotted.contains("..") {
            return Err(Status::invalid_argument(format!("sysctl {name:?} is not of a namespace that the pod has")));
        }
        // A dot inside an interface's name is written as a slash; see sysctl(8).
        let path = match name.find(['.', '/']).map(|at| name.as_bytes()[at]) {
            Some(b'.') => name
                .chars()
                .map(|c| {
                    if c == '.' {
                        '/'
                    } else if c == '/' {
                        '.'
                    } else {
                        c
                    }
                })
                .collect(),
            _ => name.clone(),
        };
        Ok((path, value.clone()))
    };
    let mut list = asked.map(convert).collect::<Result<Vec<_>, _>>()?;
    list.sort();
    Ok(list)
}

/// The pod as the network sees it.
pub(super) fn pod_network(sandbox: &Sandbox) -> PodNetwork {
    let config = &sandbox.record.config.0;
    let metadata = config.metadata.clone().unwrap_or_default();
    let port = |port: &v1::PortMapping| {
        Some(HostPort {
            protocol: match port.protocol() {
                v1::Protocol::Tcp => "TCP",
                v1::Protocol::Udp => "UDP",
                v1::Protocol::Sctp => "SCTP",
            },
            container_port: u16::try_from(port.container_port).ok()?,
            host_port: u16::try_from(port.host_port).ok().filter(|port| *port > 0)?,
            host_ip: port.host_ip.clone(),
        })
    };
    PodNetwork {
        sandbox_id: sandbox.record.id.clone(),
        // By descriptor: it stays this namespace whatever becomes of the shim's process id.
        netns: sandbox.network.as_ref().map(|fd| format!("/proc/{}/fd/{}", std::process::id(), fd.as_raw_fd()).into()),
        namespace: metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
        labels: config.labels.clone().into_iter().collect(),
        annotations: config.annotations.clone().into_iter().collect(),
        host_ports: config.port_mappings.iter().filter_map(port).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_sysctl(name: &str, network: bool) -> Option<String> {
        let linux =
            v1::LinuxPodSandboxConfig { sysctls: [(name.to_owned(), "1".to_owned())].into(), ..Default::default() };
        let config = v1::PodSandboxConfig { linux: Some(linux), ..Default::default() };
        sysctls(&config, network, true).ok().map(|list| list[0].0.clone())
    }

    #[test]
    fn only_sysctls_of_the_pods_own_namespaces_are_set() {
        let path = Some("net/ipv4/ip_unprivileged_port_start".to_owned());
        assert_eq!(check_sysctl("net.ipv4.ip_unprivileged_port_start", true), path);
        assert_eq!(check_sysctl("net/ipv4/ip_unprivileged_port_start", true), path);
        assert_eq!(check_sysctl("net.ipv4.ip_unprivileged_port_start", false), None);
        assert_eq!(check_sysctl("kernel.shm_rmid_forced", false), Some("kernel/shm_rmid_forced".into()));
        assert_eq!(check_sysctl("kernel.panic", true), None);
        assert_eq!(check_sysctl("net/../kernel/panic", true), None);
    }
}

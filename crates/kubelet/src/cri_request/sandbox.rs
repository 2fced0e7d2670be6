//! A pod as CRI's sandbox configuration.

use super::resources::SANDBOX_OOM_SCORE_ADJ;
use super::{dns, labels, security};
use crate::dirs::Dirs;
use crate::pod;
use crate::pod::resources::{CPU_PERIOD_US, cpu_quota_us, cpu_shares, pod_limits, pod_requests};
use cri::v1::{
    LinuxContainerResources, LinuxPodSandboxConfig, PodSandboxConfig, PodSandboxMetadata, PortMapping, Protocol,
};
use k8s_openapi::api::core::v1::Pod;

/// `cgroup_parent` is the pod's own group.
pub(crate) fn config(
    pod: &Pod,
    attempt: u32,
    dirs: &Dirs,
    cgroup_parent: &str,
    cluster: &dns::ClusterDns,
) -> PodSandboxConfig {
    let spec = pod::spec(pod);
    let sysctls = spec.security_context.iter().flat_map(|context| context.sysctls.iter().flatten());
    let hostname = match spec.set_hostname_as_fqdn.unwrap_or(false).then_some(spec.subdomain.as_deref()).flatten() {
        Some(subdomain) => format!("{}.{subdomain}.{}.svc.{}", pod::hostname(pod), pod::namespace(pod), cluster.domain),
        None => pod::hostname(pod),
    };
    PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: pod::name(pod).to_owned(),
            uid: pod::uid(pod).to_owned(),
            namespace: pod::namespace(pod).to_owned(),
            attempt,
        }),
        // A pod on the host's network keeps the host's name.
        hostname: if pod::is_host_network(pod) { String::new() } else { hostname },
        log_directory: dirs.pod_logs(pod).to_string_lossy().into_owned(),
        dns_config: Some(dns::config(pod, cluster)),
        port_mappings: port_mappings(pod),
        labels: labels::of_sandbox(pod),
        annotations: pod.metadata.annotations.clone().unwrap_or_default().into_iter().collect(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup_parent.to_owned(),
            security_context: Some(security::of_sandbox(pod, &dirs.seccomp())),
            sysctls: sysctls.map(|sysctl| (sysctl.name.clone(), sysctl.value.clone())).collect(),
            overhead: None,
            resources: Some(resources(pod)),
        }),
        windows: None,
    }
}

fn port_mappings(pod: &Pod) -> Vec<PortMapping> {
    let containers = pod::containers::all(pod);
    let ports = containers.flat_map(|(_, container)| container.ports.clone().unwrap_or_default());
    ports
        .map(|port| PortMapping {
            protocol: match port.protocol.as_deref() {
                Some("UDP") => Protocol::Udp,
                Some("SCTP") => Protocol::Sctp,
                _ => Protocol::Tcp,
            } as i32,
            container_port: port.container_port,
            host_port: port.host_port.unwrap_or(0),
            host_ip: port.host_ip.unwrap_or_default(),
        })
        .collect()
}

/// The pod's sums, which a runtime may use for what it makes around the containers.
fn resources(pod: &Pod) -> LinuxContainerResources {
    let (cpu, memory) = pod_limits(pod);
    LinuxContainerResources {
        cpu_period: CPU_PERIOD_US,
        cpu_quota: cpu.and_then(cpu_quota_us).unwrap_or(0),
        cpu_shares: cpu_shares(pod_requests(pod).cpu_milli),
        memory_limit_in_bytes: memory.unwrap_or(0),
        oom_score_adj: SANDBOX_OOM_SCORE_ADJ,
        ..LinuxContainerResources::default()
    }
}

//! The files of a pod that its containers see in `/etc`.

use std::io;
use std::path::Path;

use cri::v1;

use super::on_host_network;

/// Name of each file below the sandbox's directory and where containers see it.
pub(crate) const FILES: [(&str, &str); 3] =
    [("resolv.conf", "/etc/resolv.conf"), ("hostname", "/etc/hostname"), ("hosts", "/etc/hosts")];

/// Writes them.
pub(super) fn write(directory: &Path, config: &v1::PodSandboxConfig) -> io::Result<()> {
    let resolver = match &config.dns_config {
        Some(dns) if !dns.servers.is_empty() || !dns.searches.is_empty() || !dns.options.is_empty() => resolver(dns),
        _ => std::fs::read_to_string("/etc/resolv.conf").or_else(empty_when_missing)?,
    };
    let name = if config.hostname.is_empty() { node_name()? } else { config.hostname.clone() };
    // The kubelet mounts its own over it; this is for those who use the runtime without one.
    let hosts = match on_host_network(config) {
        true => std::fs::read_to_string("/etc/hosts").or_else(empty_when_missing)?,
        false => "127.0.0.1\tlocalhost\n::1\tlocalhost\n".to_owned(),
    };
    for ((file, _), content) in FILES.iter().zip([resolver, format!("{name}\n"), hosts]) {
        std::fs::write(directory.join(file), content)?;
    }
    Ok(())
}

/// The node's own host name.
pub(super) fn node_name() -> io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned())
}

fn empty_when_missing(error: io::Error) -> io::Result<String> {
    if error.kind() == io::ErrorKind::NotFound { Ok(String::new()) } else { Err(error) }
}

fn resolver(dns: &v1::DnsConfig) -> String {
    let mut text = String::new();
    if !dns.searches.is_empty() {
        text.push_str(&format!("search {}\n", dns.searches.join(" ")));
    }
    for server in &dns.servers {
        text.push_str(&format!("nameserver {server}\n"));
    }
    if !dns.options.is_empty() {
        text.push_str(&format!("options {}\n", dns.options.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolver_configuration_has_containerds_order() {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let dns = v1::DnsConfig {
            servers: words(&["10.43.0.10", "fd00::a"]),
            searches: words(&["default.svc.cluster.local", "svc.cluster.local"]),
            options: words(&["ndots:5"]),
        };
        let text = "search default.svc.cluster.local svc.cluster.local\nnameserver 10.43.0.10\nnameserver fd00::a\noptions ndots:5\n";
        assert_eq!(resolver(&dns), text);
    }
}

//! A pod's /etc/hosts.

use crate::pod;
use k8s_openapi::api::core::v1::Pod;
use std::fmt::Write as _;

const MANAGED: &str = "# Kubernetes-managed hosts file.\n";
const MANAGED_HOST: &str = "# Kubernetes-managed hosts file (host network).\n";
const LOCAL: &str = "127.0.0.1\tlocalhost\n\
                     ::1\tlocalhost ip6-localhost ip6-loopback\n\
                     fe00::0\tip6-localnet\n\
                     fe00::0\tip6-mcastprefix\n\
                     fe00::1\tip6-allnodes\n\
                     fe00::2\tip6-allrouters\n";

/// The file's content. `host` is the node's own file, shown to pods on its network.
pub(crate) fn content(pod: &Pod, pod_ips: &[String], domain: &str, host: &str) -> String {
    let mut text;
    if pod::is_host_network(pod) {
        text = format!("{MANAGED_HOST}{host}");
    } else {
        text = format!("{MANAGED}{LOCAL}");
        let name = pod::hostname(pod);
        for ip in pod_ips {
            match pod::spec(pod).subdomain.as_deref().filter(|subdomain| !subdomain.is_empty()) {
                Some(subdomain) => {
                    let full = format!("{name}.{subdomain}.{}.svc.{domain}", pod::namespace(pod));
                    text.push_str(&format!("{ip}\t{full}\t{name}\n"));
                }
                None => text.push_str(&format!("{ip}\t{name}\n")),
            }
        }
    }
    let aliases = pod::spec(pod).host_aliases.as_deref().unwrap_or_default();
    if !aliases.is_empty() {
        text.push_str("\n# Entries added by HostAliases.\n");
        for alias in aliases {
            // Writing to a String cannot fail.
            writeln!(text, "{}\t{}", alias.ip, alias.hostnames.as_deref().unwrap_or_default().join("\t"))
                .expect("a String grows");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_names_and_aliases_are_there() {
        let pod = pod::tests::from_yaml(
            "spec: {hostname: db, subdomain: sub, hostAliases: [{ip: 1.2.3.4, hostnames: [a, b]}], containers: []}",
        );
        let text = content(&pod, &["10.0.0.1".into()], "cluster.local", "");
        assert!(text.starts_with("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n"));
        assert!(text.contains("\n10.0.0.1\tdb.sub.default.svc.cluster.local\tdb\n"));
        assert!(text.ends_with("\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n"));
    }

    #[test]
    fn the_hosts_network_has_the_hosts_file() {
        let pod = pod::tests::from_yaml("spec: {hostNetwork: true, containers: []}");
        let text = content(&pod, &["192.0.2.1".into()], "cluster.local", "127.0.0.1 localhost\n");
        assert_eq!(text, "# Kubernetes-managed hosts file (host network).\n127.0.0.1 localhost\n");
    }
}

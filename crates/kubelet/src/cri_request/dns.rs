//! A pod's resolv.conf, by its DNS policy.

use crate::pod;
use cri::v1::DnsConfig;
use k8s_openapi::api::core::v1::{Pod, PodDNSConfig};

/// glibc's and upstream's bounds.
const SERVERS_MAX: usize = 3;
const SEARCHES_MAX: usize = 32;

/// The cluster's DNS, and the host's own settings for pods that want those.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterDns {
    pub(crate) servers: Vec<String>,
    pub(crate) domain: String,
    pub(crate) host: HostDns,
}

/// What the host's resolv.conf says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostDns {
    pub(crate) servers: Vec<String>,
    pub(crate) searches: Vec<String>,
    pub(crate) options: Vec<String>,
}

impl HostDns {
    pub(crate) fn parse(text: &str) -> HostDns {
        let mut dns = HostDns::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => dns.servers.extend(words.next().map(str::to_owned)),
                // The last such line counts, as in the resolver.
                Some("search" | "domain") => dns.searches = words.map(str::to_owned).collect(),
                Some("options") => dns.options = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        dns
    }
}

pub(crate) fn config(pod: &Pod, dns: &ClusterDns) -> DnsConfig {
    let spec = pod::spec(pod);
    let cluster_first = match spec.dns_policy.as_deref().unwrap_or("ClusterFirst") {
        "ClusterFirst" => !pod::is_host_network(pod),
        "ClusterFirstWithHostNet" => true,
        _ => false,
    };
    let none = spec.dns_policy.as_deref() == Some("None");
    let mut config = if none {
        DnsConfig::default()
    } else if cluster_first && !dns.servers.is_empty() {
        let namespace = pod::namespace(pod);
        let own = [format!("{namespace}.svc.{}", dns.domain), format!("svc.{}", dns.domain), dns.domain.clone()];
        DnsConfig {
            servers: dns.servers.clone(),
            searches: own.into_iter().chain(dns.host.searches.iter().cloned()).collect(),
            options: vec!["ndots:5".to_owned()],
        }
    } else {
        let host = dns.host.clone();
        DnsConfig { servers: host.servers, searches: host.searches, options: host.options }
    };
    if let Some(own) = &spec.dns_config {
        merge(&mut config, own);
    }
    unique(&mut config.servers, SERVERS_MAX);
    unique(&mut config.searches, SEARCHES_MAX);
    config
}

fn merge(config: &mut DnsConfig, own: &PodDNSConfig) {
    config.servers.extend(own.nameservers.iter().flatten().cloned());
    config.searches.extend(own.searches.iter().flatten().cloned());
    for option in own.options.iter().flatten() {
        let Some(name) = &option.name else { continue };
        let text = option.value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}:{value}"));
        config.options.retain(|present| present.split(':').next() != Some(name));
        config.options.push(text);
    }
}

/// The first of each, and at most so many.
fn unique(list: &mut Vec<String>, most: usize) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|item| seen.insert(item.clone()));
    list.truncate(most);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: &str, wanted: &str) {
        let pod = pod::tests::from_yaml(&format!("spec: {{{spec} containers: []}}"));
        let host = HostDns::parse("# comment\nnameserver 9.9.9.9\nsearch corp.example\noptions timeout:1\n");
        let dns = ClusterDns { servers: vec!["10.43.0.10".into()], domain: "cluster.local".into(), host };
        let config = config(&pod, &dns);
        let text = [config.servers.join(" "), config.searches.join(" "), config.options.join(" ")].join(" | ");
        assert_eq!(text, wanted, "{spec}");
    }

    #[test]
    fn policies_choose_the_servers() {
        let cluster = "10.43.0.10 | default.svc.cluster.local svc.cluster.local cluster.local corp.example | ndots:5";
        let host = "9.9.9.9 | corp.example | timeout:1";
        check("", cluster);
        check("dnsPolicy: Default,", host);
        check("hostNetwork: true,", host);
        check("hostNetwork: true, dnsPolicy: ClusterFirstWithHostNet,", cluster);
    }

    #[test]
    fn own_settings_are_merged() {
        let own = "dnsConfig: {nameservers: [1.1.1.1], searches: [a.example], options: [{name: ndots, value: '2'}, {name: edns0}]},";
        check(&format!("dnsPolicy: None, {own}"), "1.1.1.1 | a.example | ndots:2 edns0");
        check(
            own,
            "10.43.0.10 1.1.1.1 | default.svc.cluster.local svc.cluster.local cluster.local corp.example a.example | ndots:2 edns0",
        );
    }
}

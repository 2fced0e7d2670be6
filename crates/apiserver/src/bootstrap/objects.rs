//! The objects of a new cluster beside its roles: namespaces, priority classes, services, public configuration.

use super::Facts;
use crate::pki::FRONT_PROXY;
use k8s_openapi::api::core::v1::{
    ConfigMap, EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Namespace, Service, ServicePort, ServiceSpec,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort as SlicePort, EndpointSlice};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(crate) const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];
pub(crate) const KUBERNETES: &str = "kubernetes";
/// How the names of its slices begin after the first.
pub(crate) const FURTHER_SLICES: &str = "kubernetes-ipv";
const HTTPS: &str = "https";
const HTTPS_PORT: i32 = 443;
const DNS_PORT: i32 = 53;

fn meta(namespace: &str, name: &str, labels: &[(&str, &str)]) -> ObjectMeta {
    let labels: BTreeMap<String, String> =
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(namespace.to_owned()).filter(|namespace| !namespace.is_empty()),
        labels: (!labels.is_empty()).then_some(labels),
        ..ObjectMeta::default()
    }
}

pub(crate) fn namespaces() -> Vec<Namespace> {
    let one = |name: &str| Namespace {
        metadata: meta("", name, &[("kubernetes.io/metadata.name", name)]),
        ..Namespace::default()
    };
    NAMESPACES.map(one).into()
}

pub(crate) fn priority_classes() -> Vec<PriorityClass> {
    let one = |name: &str, value: i32, description: &str| PriorityClass {
        metadata: meta("", name, &[]),
        value: Some(value),
        description: Some(description.to_owned()),
        ..PriorityClass::default()
    };
    vec![
        one("system-cluster-critical", 2_000_000_000, "For pods that the cluster must run, on whatever node."),
        one("system-node-critical", 2_000_001_000, "For pods that must stay on their node."),
    ]
}

fn port(name: &str, protocol: &str, port: i32, target: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        protocol: Some(protocol.to_owned()),
        port,
        target_port: Some(IntOrString::Int(target)),
        ..ServicePort::default()
    }
}

fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

fn service(metadata: ObjectMeta, address: IpAddr, ports: Vec<ServicePort>) -> Service {
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            cluster_ip: Some(address.to_string()),
            cluster_ips: Some(vec![address.to_string()]),
            ip_families: Some(vec![family(address).to_owned()]),
            ip_family_policy: Some("SingleStack".to_owned()),
            session_affinity: Some("None".to_owned()),
            internal_traffic_policy: Some("Cluster".to_owned()),
            ports: Some(ports),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// `kubernetes`, the API for pods, and `kube-dns`. Neither has a selector: their endpoints are not pods.
pub(crate) fn services(facts: &Facts) -> Vec<Service> {
    let kubernetes = meta("default", KUBERNETES, &[("component", "apiserver"), ("provider", KUBERNETES)]);
    let dns_labels =
        [("k8s-app", "kube-dns"), ("kubernetes.io/cluster-service", "true"), ("kubernetes.io/name", "CoreDNS")];
    let dns = meta("kube-system", "kube-dns", &dns_labels);
    vec![
        service(kubernetes, facts.api_service_ip, vec![port(HTTPS, "TCP", HTTPS_PORT, i32::from(facts.port))]),
        service(
            dns,
            facts.dns_service_ip,
            vec![port("dns", "UDP", DNS_PORT, DNS_PORT), port("dns-tcp", "TCP", DNS_PORT, DNS_PORT)],
        ),
    ]
}

/// Where servers of one family listen on one port: all that a slice has room for.
pub(crate) type Listening = BTreeMap<(bool, u16), Vec<IpAddr>>;

pub(crate) fn endpoints(listening: &Listening) -> Endpoints {
    let skip = ("endpointslice.kubernetes.io/skip-mirror", "true");
    let subset = |(&(_, port), addresses): (&(bool, u16), &Vec<IpAddr>)| EndpointSubset {
        addresses: Some(
            addresses.iter().map(|ip| EndpointAddress { ip: ip.to_string(), ..EndpointAddress::default() }).collect(),
        ),
        ports: Some(vec![EndpointPort {
            name: Some(HTTPS.to_owned()),
            port: i32::from(port),
            protocol: Some("TCP".to_owned()),
            app_protocol: None,
        }]),
        not_ready_addresses: None,
    };
    Endpoints { metadata: meta("default", KUBERNETES, &[skip]), subsets: Some(listening.iter().map(subset).collect()) }
}

/// The first is called as the service, as upstream's only one is.
pub(crate) fn endpoint_slices(listening: &Listening) -> Vec<EndpointSlice> {
    let slice = |(index, (&(ipv6, port), addresses)): (usize, (&(bool, u16), &Vec<IpAddr>))| {
        let family = if ipv6 { 6 } else { 4 };
        let name = match index {
            0 => KUBERNETES.to_owned(),
            _ => format!("{FURTHER_SLICES}{family}-{port}"),
        };
        let endpoint = |address: &IpAddr| Endpoint {
            addresses: vec![address.to_string()],
            conditions: Some(EndpointConditions { ready: Some(true), ..EndpointConditions::default() }),
            ..Endpoint::default()
        };
        EndpointSlice {
            metadata: meta("default", &name, &[("kubernetes.io/service-name", KUBERNETES)]),
            address_type: format!("IPv{family}"),
            endpoints: Some(addresses.iter().map(endpoint).collect()),
            ports: Some(vec![SlicePort {
                name: Some(HTTPS.to_owned()),
                port: Some(i32::from(port)),
                protocol: Some("TCP".to_owned()),
                app_protocol: None,
            }]),
        }
    };
    listening.iter().enumerate().map(slice).collect()
}

fn config_map(namespace: &str, name: &str, data: &[(&str, &str)]) -> ConfigMap {
    ConfigMap {
        metadata: meta(namespace, name, &[]),
        data: Some(data.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()),
        ..ConfigMap::default()
    }
}

/// Whom servers that extend the API are to believe: clients by their certificates, and the front proxy about whom it
/// names in these headers. Lists are JSON in a text, as upstream's.
pub(crate) fn extension_authentication(facts: &Facts) -> ConfigMap {
    let allowed_names = format!("[{FRONT_PROXY:?}]");
    let data = [
        ("client-ca-file", facts.client_ca.as_str()),
        ("requestheader-client-ca-file", &facts.front_proxy_ca),
        ("requestheader-allowed-names", &allowed_names),
        ("requestheader-username-headers", r#"["X-Remote-User"]"#),
        ("requestheader-uid-headers", r#"["X-Remote-Uid"]"#),
        ("requestheader-group-headers", r#"["X-Remote-Group"]"#),
        ("requestheader-extra-headers-prefix", r#"["X-Remote-Extra-"]"#),
    ];
    config_map("kube-system", "extension-apiserver-authentication", &data)
}

/// Where the API is and whom to trust, for those who join the cluster.
pub(crate) fn cluster_info(facts: &Facts) -> ConfigMap {
    use base64::Engine;
    let ca = base64::engine::general_purpose::STANDARD.encode(&facts.server_ca);
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: \"\"\n  cluster:\n    certificate-authority-data: {ca}\n    \
         server: {}\nusers: []\ncontexts: []\ncurrent-context: \"\"\n",
        facts.server
    );
    config_map("kube-public", "cluster-info", &[("kubeconfig", &kubeconfig)])
}

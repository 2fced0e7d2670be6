//! Service: one name and address for many pods.

mod update;
mod validate;

use crate::core::columns;
use crate::field::FieldError;
use crate::kind::{FieldValues, Kind};
use crate::resource::{Column, ResourceDef, Scope, Subresource};
use crate::table::Cell;
use k8s_openapi::api::core::v1::{ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;

/// The cluster IP of a service that has none: its name leads to the pods themselves.
pub const HEADLESS: &str = "None";
/// How long a client is remembered, in seconds.
const AFFINITY_SECONDS: i32 = 3 * 60 * 60;

impl Kind for Service {
    const DEF: ResourceDef = ResourceDef {
        create_on_update: true,
        short_names: &["svc"],
        categories: &["all"],
        subresources: &[Subresource::Status, Subresource::Proxy],
        columns: &[
            Column::NAME,
            Column::text("Type").about("How it can be reached."),
            Column::text("Cluster-IP").about("Its address within the cluster."),
            Column::text("External-IP").about("Its addresses from outside."),
            Column::text("Port(s)").about("Its ports, with the node's where there is one."),
            Column::AGE,
            columns::SELECTOR,
        ],
        selectable: &["spec.clusterIP", "spec.type"],
        ..ResourceDef::new("", "v1", "Service", "services", "service", Scope::Namespaced, "k8s.io.api.core.v1.Service")
    };

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        affinity(spec);
        if spec.type_.as_deref().unwrap_or_default().is_empty() {
            spec.type_ = Some("ClusterIP".to_owned());
        }
        spec.ports.iter_mut().flatten().for_each(port);
        if is_external(spec) && spec.external_traffic_policy.as_deref().unwrap_or_default().is_empty() {
            spec.external_traffic_policy = Some("Cluster".to_owned());
        }
        if !is_name_only(spec) && spec.internal_traffic_policy.is_none() {
            spec.internal_traffic_policy = Some("Cluster".to_owned());
        }
        if is_load_balancer(spec) {
            spec.allocate_load_balancer_node_ports.get_or_insert(true);
        }
        let status = self.status.get_or_insert_default().load_balancer.get_or_insert_default();
        for ingress in status.ingress.iter_mut().flatten() {
            if ingress.ip.as_ref().is_some_and(|ip| !ip.is_empty()) && ingress.ip_mode.is_none() {
                ingress.ip_mode = Some("VIP".to_owned());
            }
        }
    }

    fn prepare_create(&mut self) {
        self.status = None;
        let spec = self.spec.get_or_insert_default();
        update::one_address_is_a_list(spec);
    }

    fn prepare_update(&mut self, old: &Service) {
        self.status.clone_from(&old.status);
        if let (Some(new), Some(old)) = (&mut self.spec, &old.spec) {
            update::prepare(new, old);
        }
    }

    fn prepare_status(&mut self, old: &Service) {
        self.spec.clone_from(&old.spec);
    }

    fn validate(&self) -> Vec<FieldError> {
        validate::service(self)
    }

    fn validate_update(&self, old: &Service) -> Vec<FieldError> {
        let mut errors = match (&self.spec, &old.spec) {
            (Some(new), Some(old)) => update::validate(new, old),
            _ => Vec::new(),
        };
        if self.status != old.status {
            validate::status(&mut errors, self);
        }
        errors
    }

    fn fields(&self) -> FieldValues {
        let spec = self.spec.as_ref();
        let text = |value: Option<&Option<String>>| value.cloned().flatten().unwrap_or_default();
        [("spec.clusterIP", text(spec.map(|spec| &spec.cluster_ip))), ("spec.type", text(spec.map(|spec| &spec.type_)))]
            .into_iter()
            .collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let empty = ServiceSpec::default();
        let spec = self.spec.as_ref().unwrap_or(&empty);
        let ports: Vec<String> = spec.ports.iter().flatten().map(shown_port).collect();
        vec![
            columns::name(&self.metadata),
            Cell::from(spec.type_.as_deref().unwrap_or_default()),
            columns::or_none(spec.cluster_ip.as_deref()),
            Cell::Text(external_addresses(self, spec)),
            columns::or_none(Some(&ports.join(","))),
            columns::created(&self.metadata, now),
            columns::labels(spec.selector.as_ref()),
        ]
    }

    fn validate_name(name: &str, prefix_only: bool) -> Vec<String> {
        crate::labels::dns1123_label(name, prefix_only)
    }
}

fn affinity(spec: &mut ServiceSpec) {
    if spec.session_affinity.as_deref().unwrap_or_default().is_empty() {
        spec.session_affinity = Some("None".to_owned());
    }
    match spec.session_affinity.as_deref() {
        Some("None") => spec.session_affinity_config = None,
        Some("ClientIP") => {
            let config = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
            if config.is_none_or(|config| config.timeout_seconds.is_none()) {
                let client_ip = Some(ClientIPConfig { timeout_seconds: Some(AFFINITY_SECONDS) });
                spec.session_affinity_config = Some(SessionAffinityConfig { client_ip });
            }
        }
        _ => {}
    }
}

fn port(port: &mut ServicePort) {
    if port.protocol.as_deref().unwrap_or_default().is_empty() {
        port.protocol = Some("TCP".to_owned());
    }
    let left_out = match &port.target_port {
        None | Some(IntOrString::Int(0)) => true,
        Some(IntOrString::String(name)) => name.is_empty(),
        Some(IntOrString::Int(_)) => false,
    };
    if left_out {
        port.target_port = Some(IntOrString::Int(port.port));
    }
}

fn is_load_balancer(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("LoadBalancer")
}

/// A mere alias for a name outside.
fn is_name_only(spec: &ServiceSpec) -> bool {
    spec.type_.as_deref() == Some("ExternalName")
}

fn is_headless(spec: &ServiceSpec) -> bool {
    spec.cluster_ips.as_ref().is_some_and(|ips| ips.len() == 1 && ips[0] == HEADLESS)
        || (spec.cluster_ips.is_none() && spec.cluster_ip.as_deref() == Some(HEADLESS))
}

/// Whether traffic from outside the cluster may reach it.
fn is_external(spec: &ServiceSpec) -> bool {
    matches!(spec.type_.as_deref(), Some("LoadBalancer" | "NodePort"))
        || (spec.type_.as_deref() == Some("ClusterIP") && spec.external_ips.as_ref().is_some_and(|ips| !ips.is_empty()))
}

/// Whether load balancers must ask nodes if they have a pod of it.
fn needs_health_check(spec: &ServiceSpec) -> bool {
    is_load_balancer(spec) && spec.external_traffic_policy.as_deref() == Some("Local")
}

fn shown_port(port: &ServicePort) -> String {
    let protocol = port.protocol.as_deref().unwrap_or_default();
    match port.node_port.filter(|node_port| *node_port > 0) {
        Some(node_port) => format!("{}:{node_port}/{protocol}", port.port),
        None => format!("{}/{protocol}", port.port),
    }
}

fn external_addresses(service: &Service, spec: &ServiceSpec) -> String {
    let own = spec.external_ips.as_deref().unwrap_or_default().join(",");
    let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
    match spec.type_.as_deref().unwrap_or_default() {
        "ClusterIP" | "NodePort" => or(own, "<none>"),
        "ExternalName" => spec.external_name.clone().unwrap_or_default(),
        "LoadBalancer" => {
            let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
            let ingress = status.and_then(|status| status.ingress.as_ref()).into_iter().flatten();
            let given = columns::addresses(ingress.map(|ingress| (&ingress.ip, &ingress.hostname)));
            let both: Vec<String> = [given, own].into_iter().filter(|text| !text.is_empty()).collect();
            or(both.join(","), "<pending>")
        }
        _ => "<unknown>".to_owned(),
    }
}

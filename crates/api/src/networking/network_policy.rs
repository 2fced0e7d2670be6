//! NetworkPolicy: who may talk with which pods.

use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::Kind;
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope};
use crate::selector;
use crate::table::Cell;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;

const PROTOCOLS: &[&str] = &["TCP", "UDP", "SCTP"];

impl Kind for NetworkPolicy {
    const DEF: ResourceDef = ResourceDef {
        short_names: &["netpol"],
        columns: &[Column::NAME, Column::text("Pod-Selector").about("Which pods it is about."), Column::AGE],
        ..ResourceDef::new(
            "networking.k8s.io",
            "v1",
            "NetworkPolicy",
            "networkpolicies",
            "networkpolicy",
            Scope::Namespaced,
            "k8s.io.api.networking.v1.NetworkPolicy",
        )
    };

    fn defaults(&mut self) {
        let spec = self.spec.get_or_insert_default();
        spec.pod_selector.get_or_insert_default();
        let ingress = spec.ingress.iter_mut().flatten().flat_map(|rule| rule.ports.iter_mut().flatten());
        let egress = spec.egress.iter_mut().flatten().flat_map(|rule| rule.ports.iter_mut().flatten());
        for port in ingress.chain(egress) {
            port.protocol.get_or_insert_with(|| "TCP".to_owned());
        }
        if spec.policy_types.as_ref().is_none_or(Vec::is_empty) {
            let egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
            let types = ["Ingress", "Egress"].into_iter().take(if egress { 2 } else { 1 });
            spec.policy_types = Some(types.map(str::to_owned).collect());
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        if let Some(spec) = &self.spec {
            self::spec(&mut errors, &FieldPath::new("spec"), spec);
        }
        errors
    }

    const GENERATION: bool = true;

    fn spec_differs(&self, old: &NetworkPolicy) -> bool {
        !check::same(&self.spec, &old.spec)
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        let selector = self.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref());
        vec![
            columns::name(&self.metadata),
            Cell::Text(selector::printed(selector)),
            columns::created(&self.metadata, now),
        ]
    }
}

fn spec(errors: &mut Errors, path: &FieldPath, spec: &NetworkPolicySpec) {
    if let Some(selector) = &spec.pod_selector {
        check::label_selector(errors, &path.child("podSelector"), selector);
    }
    for (index, rule) in spec.ingress.iter().flatten().enumerate() {
        let path = path.child("ingress").index(index);
        ports(errors, &path.child("ports"), rule.ports.as_deref().unwrap_or_default());
        peers(errors, &path.child("from"), rule.from.as_deref().unwrap_or_default());
    }
    for (index, rule) in spec.egress.iter().flatten().enumerate() {
        let path = path.child("egress").index(index);
        ports(errors, &path.child("ports"), rule.ports.as_deref().unwrap_or_default());
        peers(errors, &path.child("to"), rule.to.as_deref().unwrap_or_default());
    }
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let path = path.child("policyTypes");
    if types.len() > 2 {
        errors.push(FieldError::invalid(path, types, "may not specify more than two policyTypes"));
        return;
    }
    for (index, kind) in types.iter().enumerate() {
        check::supported_if_set(errors, &path.index(index), Some(kind), &["Ingress", "Egress"]);
    }
}

fn ports(errors: &mut Errors, path: &FieldPath, ports: &[NetworkPolicyPort]) {
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        check::supported_if_set(errors, &path.child("protocol"), port.protocol.as_deref(), PROTOCOLS);
        if let Some(port) = &port.port {
            check::port_or_name(errors, &path.child("port"), port);
        }
        let Some(end) = port.end_port else { continue };
        let path = path.child("endPort");
        match &port.port {
            Some(IntOrString::Int(first)) => {
                if end < *first {
                    let detail = "must be greater than or equal to `port`";
                    errors.push(FieldError::invalid(path.clone(), &end, detail));
                }
                check::each(errors, &path, &end, labels::port_number(end));
            }
            Some(IntOrString::String(_)) => {
                errors.push(FieldError::invalid(path, &end, "may not be specified when `port` is non-numeric"));
            }
            None => errors.push(FieldError::invalid(path, &end, "may not be specified when `port` is not specified")),
        }
    }
}

fn peers(errors: &mut Errors, path: &FieldPath, peers: &[NetworkPolicyPeer]) {
    for (index, peer) in peers.iter().enumerate() {
        let path = path.index(index);
        for (field, selector) in [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)]
        {
            if let Some(selector) = selector {
                check::label_selector(errors, &path.child(field), selector);
            }
        }
        let selects = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
        match &peer.ip_block {
            Some(block) => {
                ip_block(errors, &path.child("ipBlock"), block);
                if selects {
                    errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
                }
            }
            None if !selects => errors.push(FieldError::required(path, "must specify a peer")),
            None => {}
        }
    }
}

fn ip_block(errors: &mut Errors, path: &FieldPath, block: &IPBlock) {
    if block.cidr.is_empty() {
        errors.push(FieldError::required(path.child("cidr"), ""));
        return;
    }
    check::cidr(errors, &path.child("cidr"), &block.cidr);
    let Ok(whole) = block.cidr.parse::<ipnet::IpNet>() else { return };
    for (index, text) in block.except.iter().flatten().enumerate() {
        let path = path.child("except").index(index);
        check::cidr(errors, &path, text);
        let Ok(part) = text.parse::<ipnet::IpNet>() else { continue };
        if !whole.contains(&part.network()) || whole.prefix_len() >= part.prefix_len() {
            errors.push(FieldError::invalid(path, text, "must be a strict subset of `cidr`"));
        }
    }
}

//! Whether a pod that was bound to this node may run on it. The scheduler has decided; this is the last look, for
//! pods bound by hand, by another scheduler, or while the node changed.

use crate::pod;
use crate::pod::resources::{Amounts, pod_requests};
use k8s_openapi::api::core::v1::{
    Node as NodeObject, NodeSelectorRequirement, NodeSelectorTerm, Pod, Taint, Toleration,
};

/// Why not; upstream's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) message: String,
}

pub(crate) struct Node<'a> {
    /// `None` while the node is not registered yet: what its labels would decide is let pass.
    pub(crate) object: Option<&'a NodeObject>,
    pub(crate) allocatable: Amounts,
    pub(crate) max_pods: usize,
}

/// Sysctls that cannot reach beyond the pod: upstream's safe set.
const SAFE_SYSCTLS: [&str; 12] = [
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// `others` are the pods that take room here, with what they request.
pub(crate) fn check(pod: &Pod, others: &[(&Pod, Amounts)], node: &Node<'_>) -> Option<Refusal> {
    let refusal = |reason: &str, message: String| Some(Refusal { reason: reason.to_owned(), message });
    if let Some(message) = forbidden_sysctl(pod) {
        return refusal("SysctlForbidden", message);
    }
    if let Some(object) = node.object {
        if !matches_labels(pod, object) {
            let message =
                "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
            return refusal("NodeAffinity", message.to_owned());
        }
        if has_untolerated_taint(pod, object) {
            let message =
                "Pod was rejected: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate";
            return refusal("TaintToleration", message.to_owned());
        }
    }
    if others.iter().any(|(other, _)| ports_clash(pod, other)) {
        let message =
            "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
        return refusal("NodePorts", message.to_owned());
    }
    let insufficient = |name: &str, requested: i64, used: i64, capacity: i64| {
        (requested > 0 && used.saturating_add(requested) > capacity).then(|| Refusal {
            reason: format!("OutOf{name}"),
            message: format!(
                "Pod was rejected: Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
            ),
        })
    };
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let used = others.iter().fold(Amounts::default(), |sum, (_, amounts)| sum.plus(*amounts));
    let (own, all) = (pod_requests(pod), node.allocatable);
    insufficient("pods", 1, count(others.len()), count(node.max_pods))
        .or_else(|| insufficient("cpu", own.cpu_milli, used.cpu_milli, all.cpu_milli))
        .or_else(|| insufficient("memory", own.memory_bytes, used.memory_bytes, all.memory_bytes))
        .or_else(|| {
            let (requested, used) = (own.ephemeral_storage_bytes, used.ephemeral_storage_bytes);
            insufficient("ephemeral-storage", requested, used, all.ephemeral_storage_bytes)
        })
}

fn forbidden_sysctl(pod: &Pod) -> Option<String> {
    let context = pod::spec(pod).security_context.as_ref()?;
    let unsafe_one = context
        .sysctls
        .iter()
        .flatten()
        .find(|sysctl| !SAFE_SYSCTLS.contains(&sysctl.name.replace('/', ".").as_str()))?;
    Some(format!("forbidden sysctl: {:?} not allowlisted", unsafe_one.name))
}

fn matches_labels(pod: &Pod, node: &NodeObject) -> bool {
    let spec = pod::spec(pod);
    let label = |key: &str| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    let selected = spec.node_selector.iter().flatten().all(|(key, value)| label(key) == Some(value));
    let required = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required = required.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    let name = node.metadata.name.as_deref().unwrap_or_default();
    selected
        && required
            .is_none_or(|selector| selector.node_selector_terms.iter().any(|term| term_holds(term, &label, name)))
}

/// An empty term matches nothing.
fn term_holds<'a>(term: &NodeSelectorTerm, label: &impl Fn(&str) -> Option<&'a str>, name: &str) -> bool {
    let by_label = term.match_expressions.as_deref().unwrap_or_default();
    let by_field = term.match_fields.as_deref().unwrap_or_default();
    let fields = |requirement: &NodeSelectorRequirement| {
        holds(requirement, (requirement.key == "metadata.name").then_some(name))
    };
    !(by_label.is_empty() && by_field.is_empty())
        && by_label.iter().all(|requirement| holds(requirement, label(&requirement.key)))
        && by_field.iter().all(fields)
}

fn holds(requirement: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = requirement.values.as_deref().unwrap_or_default();
    let listed = value.is_some_and(|value| values.iter().any(|one| one == value));
    let compare = |wanted: std::cmp::Ordering| {
        let numbers =
            value.and_then(|value| value.parse::<i64>().ok()).zip(values.first().and_then(|one| one.parse().ok()));
        numbers.is_some_and(|(own, bound)| own.cmp(&bound) == wanted)
    };
    match requirement.operator.as_str() {
        "In" => listed,
        "NotIn" => !listed,
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(std::cmp::Ordering::Greater),
        "Lt" => compare(std::cmp::Ordering::Less),
        _ => false,
    }
}

fn has_untolerated_taint(pod: &Pod, node: &NodeObject) -> bool {
    let tolerations = pod::spec(pod).tolerations.as_deref().unwrap_or_default();
    let taints = node.spec.iter().flat_map(|spec| spec.taints.iter().flatten());
    let mut kept_out = taints.filter(|taint| taint.effect == "NoExecute");
    kept_out.any(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
}

fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let effect = toleration.effect.as_deref().unwrap_or_default();
    let key = toleration.key.as_deref().unwrap_or_default();
    let exists = toleration.operator.as_deref() == Some("Exists");
    let value = exists || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    (effect.is_empty() || effect == taint.effect) && ((key.is_empty() && exists) || key == taint.key) && value
}

fn ports_clash(pod: &Pod, other: &Pod) -> bool {
    let own = host_ports(pod);
    if own.is_empty() {
        return false;
    }
    let theirs = host_ports(other);
    let anywhere = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
    own.iter().any(|(port, protocol, ip)| {
        let same = |(other_port, other_protocol, other_ip): &(i32, String, String)| {
            port == other_port && protocol == other_protocol && (anywhere(ip) || anywhere(other_ip) || ip == other_ip)
        };
        theirs.iter().any(same)
    })
}

fn host_ports(pod: &Pod) -> Vec<(i32, String, String)> {
    let ports = pod::spec(pod).containers.iter().flat_map(|container| container.ports.iter().flatten());
    let ports = ports.filter_map(|port| {
        let host = port.host_port.filter(|port| *port > 0)?;
        let protocol = port.protocol.clone().unwrap_or_else(|| "TCP".to_owned());
        Some((host, protocol, port.host_ip.clone().unwrap_or_default()))
    });
    ports.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::from_yaml;

    fn check(spec: &str, wanted: &str) {
        let pod = from_yaml(&format!("spec: {{{spec}}}"));
        let other = from_yaml(
            "spec: {containers: [{name: o, resources: {requests: {cpu: 500m}}, ports: [{containerPort: 1, hostPort: 80}]}]}",
        );
        let node: NodeObject = serde_saphyr::from_str(
            "{metadata: {name: n1, labels: {disk: ssd, size: '5'}}, spec: {taints: [{key: k, value: v, effect: NoExecute}]}}",
        )
        .unwrap();
        let allocatable = Amounts { cpu_milli: 1000, memory_bytes: 1 << 20, ephemeral_storage_bytes: 0 };
        let node = Node { object: Some(&node), allocatable, max_pods: 2 };
        let refusal = super::check(&pod, &[(&other, pod_requests(&other))], &node);
        assert_eq!(refusal.map(|refusal| refusal.reason).unwrap_or_default(), wanted, "{spec}");
    }

    #[test]
    fn what_cannot_run_here_is_refused() {
        const OK: &str = "tolerations: [{operator: Exists}]";
        let plain = "containers: [{name: a}]";
        check(&format!("{OK}, {plain}"), "");
        check(plain, "TaintToleration");
        check(&format!("tolerations: [{{key: k, value: v, effect: NoExecute}}], {plain}"), "");
        check(&format!("{OK}, nodeSelector: {{disk: hdd}}, {plain}"), "NodeAffinity");
        let affinity = |key: &str, operator: &str, value: &str| {
            let term = format!("{{matchExpressions: [{{key: {key}, operator: {operator}, values: ['{value}']}}]}}");
            let required = format!("requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: [{term}]}}");
            format!("{OK}, affinity: {{nodeAffinity: {{{required}}}}}, {plain}")
        };
        check(&affinity("disk", "In", "ssd"), "");
        check(&affinity("disk", "NotIn", "ssd"), "NodeAffinity");
        check(&affinity("size", "Gt", "4"), "");
        check(&affinity("size", "Lt", "4"), "NodeAffinity");
        check(&format!("{OK}, containers: [{{name: a, resources: {{requests: {{cpu: 600m}}}}}}]"), "OutOfcpu");
        check(&format!("{OK}, containers: [{{name: a, resources: {{requests: {{memory: 2Mi}}}}}}]"), "OutOfmemory");
        check(&format!("{OK}, containers: [{{name: a, ports: [{{containerPort: 9, hostPort: 80}}]}}]"), "NodePorts");
        check(
            &format!("{OK}, securityContext: {{sysctls: [{{name: kernel.msgmax, value: '1'}}]}}, {plain}"),
            "SysctlForbidden",
        );
    }

    #[test]
    fn the_message_is_upstreams() {
        let pod = from_yaml("spec: {containers: [{name: a, resources: {requests: {cpu: 2}}}]}");
        let allocatable = Amounts { cpu_milli: 1000, ..Amounts::default() };
        let refusal = super::check(&pod, &[], &Node { object: None, allocatable, max_pods: 1 }).unwrap();
        let text = "Pod was rejected: Node didn't have enough resource: cpu, requested: 2000, used: 0, capacity: 1000";
        assert_eq!((refusal.reason.as_str(), refusal.message.as_str()), ("OutOfcpu", text));
    }
}

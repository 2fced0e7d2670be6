//! A pod's own fields, as variables and downward API files show them.

use crate::pod;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;

/// What is known of a pod beside its object, before the API has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses {
    pub(crate) host_ips: Vec<String>,
    pub(crate) pod_ips: Vec<String>,
}

/// The field's value; the error is upstream's.
pub(crate) fn value(pod: &Pod, path: &str, addresses: &Addresses) -> Result<String, String> {
    let meta = &pod.metadata;
    if let Some((map, key)) = subscript(path) {
        let map = match map {
            "metadata.labels" => &meta.labels,
            "metadata.annotations" => &meta.annotations,
            _ => return Err(format!("fieldPath {path:?} does not support subscript")),
        };
        return Ok(map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default());
    }
    let spec = pod::spec(pod);
    let first = |ips: &[String]| ips.first().cloned().unwrap_or_default();
    Ok(match path {
        "metadata.name" => pod::name(pod).to_owned(),
        "metadata.namespace" => pod::namespace(pod).to_owned(),
        "metadata.uid" => pod::uid(pod).to_owned(),
        "metadata.labels" => listing(meta.labels.as_ref()),
        "metadata.annotations" => listing(meta.annotations.as_ref()),
        "spec.nodeName" => spec.node_name.clone().unwrap_or_default(),
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.hostIP" => first(&addresses.host_ips),
        "status.hostIPs" => addresses.host_ips.join(","),
        "status.podIP" => first(&addresses.pod_ips),
        "status.podIPs" => addresses.pod_ips.join(","),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}

/// `metadata.labels['key']` as its two parts.
fn subscript(path: &str) -> Option<(&str, &str)> {
    let (map, rest) = path.strip_suffix("']")?.split_once("['")?;
    Some((map, rest))
}

/// One `key="value"` a line, sorted by key.
fn listing(map: Option<&BTreeMap<String, String>>) -> String {
    let lines: Vec<String> = map.into_iter().flatten().map(|(key, value)| format!("{key}={}", quoted(value))).collect();
    lines.join("\n")
}

/// As Go's `%q` writes a text.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            control if (control as u32) < 0x20 || control as u32 == 0x7f => {
                quoted.push_str(&format!("\\x{:02x}", control as u32));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_their_values() {
        let pod = pod::tests::from_yaml(
            "{metadata: {labels: {a: x, 'b.c/d': \"y\\n\\\"z\"}}, spec: {nodeName: n1, serviceAccountName: sa, containers: []}}",
        );
        let addresses =
            Addresses { host_ips: vec!["192.0.2.1".into()], pod_ips: vec!["10.0.0.1".into(), "fd00::1".into()] };
        let check = |path: &str, wanted: &str| assert_eq!(value(&pod, path, &addresses).unwrap(), wanted, "{path}");
        check("metadata.name", "web");
        check("metadata.labels['b.c/d']", "y\n\"z");
        check("metadata.labels['none']", "");
        check("metadata.labels", "a=\"x\"\nb.c/d=\"y\\n\\\"z\"");
        check("spec.nodeName", "n1");
        check("status.podIP", "10.0.0.1");
        check("status.podIPs", "10.0.0.1,fd00::1");
        check("status.hostIP", "192.0.2.1");
        assert_eq!(value(&pod, "spec.x", &addresses), Err("unsupported fieldPath: spec.x".into()));
    }
}

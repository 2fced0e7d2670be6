//! What services get, in the order in which they come.

use super::*;
use serde_json::{Value, json};

fn services(ranges: &[&str]) -> Services {
    Services::new(ServiceRanges::new(ranges.iter().map(|range| range.parse().unwrap()).collect()))
}

fn service(name: &str, spec: Value) -> Service {
    let mut service: Service =
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "d"}, "spec": spec})).unwrap();
    Kind::defaults(&mut service);
    Kind::prepare_create(&mut service);
    service
}

/// Writes a service as the registry would: claim, apply, forget the claim.
fn create(hook: &Services, name: &str, spec: Value) -> Result<Service, String> {
    let mut service = service(name, spec);
    let claim = hook.claim(&mut service, None, false).map_err(|status| status.message)?;
    hook.taken.lock().hold(&owner(&service), &addresses_of(&service), &ports_of(&service));
    drop(claim);
    Ok(service)
}

fn ip(service: &Service) -> String {
    service.spec.as_ref().unwrap().cluster_ip.clone().unwrap_or_default()
}

fn node_ports(service: &Service) -> Vec<i32> {
    service.spec.as_ref().unwrap().ports.iter().flatten().map(|port| port.node_port.unwrap_or_default()).collect()
}

#[test]
fn chosen_addresses_come_from_the_upper_band() {
    let hook = services(&["10.43.0.0/16"]);
    assert_eq!(ip(&create(&hook, "a", json!({})).unwrap()), "10.43.1.0");
    assert_eq!(ip(&create(&hook, "b", json!({})).unwrap()), "10.43.1.1");
    assert_eq!(ip(&create(&hook, "c", json!({"clusterIP": "10.43.0.10"})).unwrap()), "10.43.0.10");
}

#[test]
fn an_address_has_one_owner() {
    let hook = services(&["10.43.0.0/16"]);
    let first = create(&hook, "a", json!({"clusterIP": "10.43.0.10"})).unwrap();
    let refused = create(&hook, "b", json!({"clusterIP": "10.43.0.10"})).unwrap_err();
    assert!(refused.ends_with("failed to allocate IP 10.43.0.10: provided IP is already allocated"), "{refused}");
    hook.taken.lock().release(&owner(&first), &addresses_of(&first), &[]);
    assert!(create(&hook, "b", json!({"clusterIP": "10.43.0.10"})).is_ok());
    let outside = create(&hook, "c", json!({"clusterIP": "10.44.0.1"})).unwrap_err();
    assert!(outside.contains("is not in the valid range. The range of valid IPs is 10.43.0.0/16"), "{outside}");
}

#[test]
fn a_claim_that_is_given_up_is_free_again() {
    let hook = services(&["10.43.0.0/16"]);
    let mut first = service("a", json!({"clusterIP": "10.43.0.9"}));
    let claim = hook.claim(&mut first, None, false).unwrap();
    assert!(create(&hook, "b", json!({"clusterIP": "10.43.0.9"})).is_err());
    drop(claim);
    assert!(create(&hook, "b", json!({"clusterIP": "10.43.0.9"})).is_ok());
}

#[test]
fn a_full_range_refuses() {
    let hook = services(&["10.0.0.0/29"]);
    for name in ["a", "b", "c", "d", "e", "f"] {
        create(&hook, name, json!({})).unwrap();
    }
    assert!(create(&hook, "g", json!({})).unwrap_err().contains("range is full"));
}

#[test]
fn headless_and_named_services_have_no_address() {
    let hook = services(&["10.43.0.0/16"]);
    let headless = create(&hook, "a", json!({"clusterIP": "None", "selector": {"a": "b"}})).unwrap();
    let spec = headless.spec.unwrap();
    assert_eq!(spec.cluster_ips.unwrap(), ["None"]);
    assert_eq!(spec.ip_families.unwrap(), ["IPv4"]);
    let named = create(&hook, "b", json!({"type": "ExternalName", "externalName": "x.y"})).unwrap();
    assert_eq!(named.spec.unwrap().cluster_ip, None);
}

#[test]
fn families_follow_the_policy() {
    let dual = services(&["10.43.0.0/16", "fd00::/112"]);
    let spec = create(&dual, "a", json!({"ipFamilyPolicy": "PreferDualStack"})).unwrap().spec.unwrap();
    assert_eq!(spec.ip_families.unwrap(), ["IPv4", "IPv6"]);
    assert_eq!(spec.cluster_ips.unwrap(), ["10.43.1.0", "fd00::100"]);
    let single = services(&["10.43.0.0/16"]);
    let refused = create(&single, "a", json!({"ipFamilyPolicy": "RequireDualStack"})).unwrap_err();
    assert!(refused.contains("this cluster is not configured for dual-stack services"), "{refused}");
    let refused = create(&single, "a", json!({"ipFamilies": ["IPv6"]})).unwrap_err();
    assert!(
        refused.contains("spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"),
        "{refused}"
    );
}

#[test]
fn node_ports_are_given_and_kept_apart() {
    let hook = services(&["10.43.0.0/16"]);
    let ports = json!({"type": "NodePort", "ports": [{"port": 53, "protocol": "UDP", "name": "u"},
        {"port": 53, "protocol": "TCP", "name": "t"}, {"port": 80, "name": "h", "nodePort": 30001}]});
    let first = create(&hook, "a", ports).unwrap();
    assert_eq!(node_ports(&first), [30086, 30086, 30001]);
    let asked = |port: i32| json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    let refused = create(&hook, "b", asked(30001)).unwrap_err();
    let words = "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated";
    assert!(refused.ends_with(words), "{refused}");
    let refused = create(&hook, "b", asked(80)).unwrap_err();
    assert!(refused.contains("The range of valid ports is 30000-32767"), "{refused}");
}

#[test]
fn an_update_keeps_what_the_service_has() {
    let hook = services(&["10.43.0.0/16"]);
    let spec = json!({"type": "NodePort", "ports": [{"port": 80}]});
    let old = create(&hook, "a", spec).unwrap();
    let mut new = old.clone();
    hook.claim(&mut new, Some(&old), false).unwrap();
    assert_eq!(new.spec, old.spec);
}

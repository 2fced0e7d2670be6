//! The order and sources of variables, and what is said when one is missing.

use super::*;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};

fn objects() -> Objects {
    let map: ConfigMap =
        serde_saphyr::from_str("{metadata: {name: cfg}, data: {KEY: from-map, 'dotted.key': d}}").unwrap();
    let secret: Secret = serde_saphyr::from_str("{metadata: {name: sec}, data: {PASS: c2VjcmV0}}").unwrap();
    let mut objects = Objects::default();
    objects.config_maps.insert("cfg".into(), Some(Arc::new(map)));
    objects.config_maps.insert("none".into(), None);
    objects.secrets.insert("sec".into(), Some(Arc::new(secret)));
    objects.secrets.insert("none".into(), None);
    objects
}

fn services() -> Vec<Arc<Service>> {
    let service = |namespace: &str, name: &str, ip: &str| {
        let yaml = format!(
            "{{metadata: {{namespace: {namespace}, name: {name}}}, spec: {{clusterIP: {ip}, ports: [{{port: 443}}]}}}}"
        );
        Arc::new(serde_saphyr::from_str(&yaml).unwrap())
    };
    vec![
        service("default", "kubernetes", "10.43.0.1"),
        service("shop", "db", "10.43.0.2"),
        service("other", "x", "10.43.0.3"),
    ]
}

fn built(spec: &str, container: &str) -> Result<Vec<String>, String> {
    let pod = pod::tests::from_yaml(&format!(
        "{{metadata: {{namespace: shop}}, spec: {{{spec} containers: [{{name: a, {container}}}]}}}}"
    ));
    let sources = Sources {
        pod: &pod,
        objects: &objects(),
        services: &services(),
        addresses: &Addresses { host_ips: vec![], pod_ips: vec!["10.0.0.7".into()] },
        node: &Amounts::default(),
    };
    let environment = build(&sources, &pod::spec(&pod).containers[0])?;
    Ok(environment.variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect())
}

#[test]
fn values_come_from_their_sources_in_order() {
    let check = |container: &str, wanted: &[&str]| {
        let all = built("enableServiceLinks: false,", container).unwrap();
        let own: Vec<&str> = all.iter().map(String::as_str).filter(|line| !line.starts_with("KUBERNETES_")).collect();
        assert_eq!(own, wanted, "{container}");
    };
    check(
        "env: [{name: A, value: x}, {name: B, value: '$(A)/$(C)'}, {name: C, value: z}]",
        &["A=x", "B=x/$(C)", "C=z"],
    );
    check("envFrom: [{configMapRef: {name: cfg}, prefix: P_}]", &["P_KEY=from-map", "P_dotted.key=d"]);
    check("envFrom: [{configMapRef: {name: cfg}}], env: [{name: KEY, value: own}]", &["KEY=own", "dotted.key=d"]);
    check("envFrom: [{secretRef: {name: sec}}]", &["PASS=secret"]);
    check("env: [{name: A, valueFrom: {secretKeyRef: {name: sec, key: PASS}}}]", &["A=secret"]);
    check("env: [{name: A, valueFrom: {configMapKeyRef: {name: cfg, key: gone, optional: true}}}]", &[]);
    check("env: [{name: A, valueFrom: {configMapKeyRef: {name: none, key: k, optional: true}}}]", &[]);
    check("env: [{name: A, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]", &["A=10.0.0.7"]);
    check("env: [{name: A}]", &["A="]);
}

#[test]
fn what_is_missing_is_named() {
    let check = |container: &str, wanted: &str| assert_eq!(built("", container).unwrap_err(), wanted, "{container}");
    check("envFrom: [{configMapRef: {name: none}}]", "configmap \"none\" not found");
    check("envFrom: [{secretRef: {name: none}}]", "secret \"none\" not found");
    check(
        "env: [{name: A, valueFrom: {configMapKeyRef: {name: cfg, key: gone}}}]",
        "couldn't find key gone in ConfigMap shop/cfg",
    );
    check(
        "env: [{name: A, valueFrom: {secretKeyRef: {name: sec, key: gone}}}]",
        "couldn't find key gone in Secret shop/sec",
    );
}

#[test]
fn links_are_the_namespaces_services_and_always_the_api() {
    let with: Vec<String> = built("", "").unwrap();
    assert!(
        with.contains(&"KUBERNETES_SERVICE_HOST=10.43.0.1".into())
            && with.contains(&"DB_SERVICE_HOST=10.43.0.2".into())
    );
    assert!(!with.iter().any(|line| line.starts_with("X_")), "other namespaces' services are not linked");
    let without = built("enableServiceLinks: false,", "").unwrap();
    assert!(
        without.contains(&"KUBERNETES_SERVICE_PORT=443".into()) && !without.iter().any(|line| line.starts_with("DB_"))
    );
}

//! Ways in: classes of ingresses, balancers, endpoints; and what a namespace's bounds and a pod's runtime may say.

use super::*;

const NETWORK: &str = "networking.k8s.io";

#[test]
fn classes_of_ingresses() {
    let of = |spec: Value, expected: &[&str]| check(NETWORK, "ingressclasses", json!({"spec": spec}), expected);
    of(
        json!({"controller": "front"}),
        &["spec.controller: Invalid value: \"front\": must be a domain-prefixed path (such as \"acme.io/foo\")"],
    );
    of(
        json!({"parameters": {"kind": "", "name": "a/b", "scope": "Namespace"}}),
        &[
            "spec.parameters.kind: Required value: kind is required",
            "spec.parameters.name: Invalid value: \"a/b\": may not contain '/'",
            "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
        ],
    );
    of(
        json!({"parameters": {"namespace": "n"}}),
        &["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"],
    );
    of(
        json!({"parameters": {"scope": "Planet"}}),
        &["spec.parameters.scope: Unsupported value: \"Planet\": supported values: \"Cluster\", \"Namespace\""],
    );
    check(
        NETWORK,
        "ingresses",
        json!({"metadata": {"annotations": {"kubernetes.io/ingress.class": "x"}}, "spec": {"ingressClassName": "y"}}),
        &[
            "annotations.kubernetes.io/ingress.class: Invalid value: \"x\": can not be set when the class field is also \
           set",
        ],
    );
}

#[test]
fn where_balancers_are() {
    let at = |point: Value| json!({"status": {"loadBalancer": {"ingress": [point]}}});
    let path = "status.loadBalancer.ingress[0]";
    check_update(
        NETWORK,
        "ingresses",
        json!({}),
        at(json!({"ip": "x", "hostname": "192.0.2.1"})),
        &[
            &format!("{path}.ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
            &format!("{path}.hostname: Invalid value: \"192.0.2.1\": must be a DNS name, not an IP address"),
        ],
    );
    let service = |kind: &str, point: Value, expected: &[&str]| {
        let spec = json!({"spec": {"type": kind, "clusterIP": "10.43.0.9", "clusterIPs": ["10.43.0.9"]}});
        check_update("", "services", spec, at(point), expected);
    };
    service("LoadBalancer", json!({"ip": "192.0.2.1", "ipMode": "VIP"}), &[]);
    service(
        "ClusterIP",
        json!({"ip": "192.0.2.1"}),
        &["status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'"],
    );
    service(
        "LoadBalancer",
        json!({"hostname": "lb.example.com", "ipMode": "VIP"}),
        &[&format!("{path}.ipMode: Forbidden: may not be specified when `ip` is not set")],
    );
}

#[test]
fn for_whom_endpoints_are() {
    let endpoint = json!({"addresses": ["10.42.0.5"], "nodeName": "N_1",
        "hints": {"forZones": [{"name": "a"}, {"name": "a"}]}});
    check(
        "discovery.k8s.io",
        "endpointslices",
        json!({"endpoints": [endpoint]}),
        &[
            "endpoints[0].nodeName: Invalid value: \"N_1\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "endpoints[0].hints.forZones[1].name: Duplicate value: \"a\"",
        ],
    );
}

#[test]
fn topology_of_an_older_version_stays_only_with_its_endpoints() {
    let row = row("discovery.k8s.io", "endpointslices");
    let slice = |address: &str| {
        let endpoint = json!({"addresses": [address], "deprecatedTopology": {"kubernetes.io/hostname": "n"}});
        object(row, &json!({"endpoints": [endpoint]}))
    };
    let topology = |object: &dyn Object| {
        let value = object.to_value().expect("an object becomes JSON");
        value.pointer("/endpoints/0/deprecatedTopology").cloned()
    };
    let mut new = slice("10.0.0.1");
    new.prepare_create();
    assert_eq!(topology(&*new), None);
    let old = slice("10.0.0.1");
    let mut same = slice("10.0.0.1");
    same.prepare_update(&*old);
    assert_eq!(topology(&*same), Some(json!({"kubernetes.io/hostname": "n"})));
    let mut other = slice("10.0.0.2");
    other.prepare_update(&*old);
    assert_eq!(topology(&*other), None);
}

#[test]
fn what_a_signer_issues() {
    let of = |certificate: &str, detail: &str| {
        let status = json!({"status": {"certificate": certificate}});
        let expected = format!("status.certificate: Invalid value: \"<certificate data>\": {detail}");
        check_update("certificates.k8s.io", "certificatesigningrequests", json!({}), status, &[&expected]);
    };
    of("eA==", "must contain at least one CERTIFICATE PEM block");
    // -----BEGIN X-----
    of("LS0tLS1CRUdJTiBYLS0tLS0=", "only CERTIFICATE PEM blocks are allowed, found \"X\"");
}

#[test]
fn bounds_of_a_namespace() {
    let limits = |limit: Value, expected: &[&str]| {
        check("", "limitranges", json!({"spec": {"limits": [limit]}}), expected);
    };
    limits(
        json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}}),
        &["spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1"],
    );
    limits(
        json!({"type": "PersistentVolumeClaim"}),
        &[
            "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was \
           provided",
        ],
    );
    let quotas = |spec: Value, expected: &[&str]| check("", "resourcequotas", json!({"spec": spec}), expected);
    quotas(json!({"scopes": ["NotTerminating"]}), &[]);
    quotas(
        json!({"scopes": ["BestEffort"]}),
        &["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"],
    );
    let selector = json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": "Exists"}]});
    quotas(
        json!({"hard": {"secrets": "1"}, "scopeSelector": selector}),
        &["spec.scopeSelector.matchExpressions[0].scopeName: Invalid value: \"PriorityClass\": unsupported scope \
           applied to resource"],
    );
}

#[test]
fn runtimes_of_pods() {
    let toleration = json!({"key": "a", "operator": "Exists"});
    check(
        "node.k8s.io",
        "runtimeclasses",
        json!({"overhead": {"podFixed": {"cpu": "-1"}},
            "scheduling": {"nodeSelector": {"a": "b c"}, "tolerations": [toleration, toleration]}}),
        &[
            "overhead.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
            "scheduling.nodeSelector: Invalid value: \"b c\": a valid label must be an empty string or consist of \
             alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
             'MyValue',  or 'my_value',  or '12345', regex used for validation is \
             '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            "scheduling.tolerations[1]: Duplicate value: {\"key\":\"a\",\"operator\":\"Exists\"}",
        ],
    );
}

#[test]
fn selectors_in_questions_of_access() {
    let asks = |attributes: Value, expected: &[&str]| {
        let mut whole = json!({"verb": "list", "resource": "pods"});
        merge(&mut whole, &attributes);
        let spec = json!({"user": "a", "groups": null, "nonResourceAttributes": null, "resourceAttributes": whole});
        let metadata = json!(null);
        check("authorization.k8s.io", "subjectaccessreviews", json!({"metadata": metadata, "spec": spec}), expected);
    };
    let path = "spec.resourceAttributes";
    asks(json!({"fieldSelector": {"rawSelector": "a=b"}, "labelSelector": {"rawSelector": "a=b"}}), &[]);
    asks(json!({"fieldSelector": {"requirements": [{"key": "spec.x", "operator": "Newer", "values": ["1"]}]}}), &[]);
    asks(
        json!({"fieldSelector": {}, "labelSelector": {"rawSelector": "a=b", "requirements": [
            {"key": "", "operator": "Exists", "values": ["b"]}]}}),
        &[
            &format!(
                "{path}.fieldSelector.requirements: Required value: when {path}.fieldSelector is specified, \
                 requirements or rawSelector is required"
            ),
            &format!(
                "{path}.labelSelector.rawSelector: Invalid value: \"a=b\": may not specified at the same time as \
                 requirements"
            ),
            &format!(
                "{path}.labelSelector.requirements[0].values: Forbidden: may not be specified when `operator` is \
                 'Exists' or 'DoesNotExist'"
            ),
            &format!("{path}.labelSelector.requirements[0].key: Invalid value: \"\": name part must be non-empty"),
            &format!(
                "{path}.labelSelector.requirements[0].key: Invalid value: \"\": name part must consist of \
                 alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
                 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                 '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            ),
        ],
    );
    asks(
        json!({"fieldSelector": {"requirements": [{"key": "", "operator": "In", "values": []}]}}),
        &[
            &format!("{path}.fieldSelector.requirements[0].key: Required value: must be specified"),
            &format!(
                "{path}.fieldSelector.requirements[0].values: Required value: must be specified when `operator` is \
                 'In' or 'NotIn'"
            ),
        ],
    );
}

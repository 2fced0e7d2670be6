//! What is refused, and in which words: the samples of `testdata/kinds` with one thing changed, and in
//! `smallest` objects that are made here.

mod entrances;
mod fields;
mod smallest;
mod storage;
mod work;

use api::object::{Object, Registered, find};
use serde_json::{Value, json};

/// A JSON merge patch.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let object = target.as_object_mut().expect("made one above");
    for (key, value) in fields {
        if value.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key).or_insert(Value::Null), value);
        }
    }
}

fn sample(row: &dyn Registered) -> Value {
    let def = row.def();
    let group = if def.group.is_empty() { "core" } else { def.group.split('.').next().unwrap_or_default() };
    let name = format!("testdata/kinds/{group}-{}.json", def.singular);
    let text = std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a sample");
    serde_json::from_slice(&text).expect("JSON")
}

fn row(group: &str, plural: &str) -> &'static dyn Registered {
    let version = if group == "autoscaling" { "v2" } else { "v1" };
    find(group, version, plural).unwrap_or_else(|| panic!("{group}/{plural} is in the table"))
}

fn object(row: &dyn Registered, patch: &Value) -> Box<dyn Object> {
    let mut value = sample(row);
    merge(&mut value, patch);
    row.from_value(value).unwrap_or_else(|error| panic!("{} {patch}: {error}", row.def().plural))
}

/// Errors of a new object that is the sample but for `patch`.
#[track_caller]
fn check(group: &str, plural: &str, patch: Value, expected: &[&str]) {
    let row = row(group, plural);
    let mut object = object(row, &patch);
    object.prepare_create();
    object.defaults();
    let mut errors = object.validate();
    errors.extend(object.validate_create());
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected, "{plural} {patch}");
}

/// Errors of changing the sample (with `before`) by `patch`, its status too.
#[track_caller]
fn check_update(group: &str, plural: &str, before: Value, patch: Value, expected: &[&str]) {
    let row = row(group, plural);
    let mut old = object(row, &before);
    old.defaults();
    let mut value = old.to_value().expect("objects are JSON");
    merge(&mut value, &patch);
    let mut new = row.from_value(value).expect("still of the kind");
    new.defaults();
    let mut errors = new.validate();
    errors.extend(new.validate_update(old.as_ref()));
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(errors, expected, "{plural} {before} changed by {patch}");
}

#[test]
fn autoscalers() {
    let of = |patch: Value, expected: &[&str]| check("autoscaling", "horizontalpodautoscalers", patch, expected);
    of(
        json!({"spec": {"minReplicas": 6}}),
        &["spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"],
    );
    of(
        json!({"spec": {"minReplicas": 0, "maxReplicas": 0}}),
        &["spec.maxReplicas: Invalid value: 0: must be greater than 0"],
    );
    let percent = json!({"type": "Utilization", "averageUtilization": 50});
    let processor = json!([{"type": "Resource", "resource": {"name": "cpu", "target": percent}}]);
    of(
        json!({"spec": {"minReplicas": 0, "metrics": processor}}),
        &["spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero \
           replicas"],
    );
    of(
        json!({"spec": {"minReplicas": -1}}),
        &["spec.minReplicas: Invalid value: -1: must be greater than or equal to 0"],
    );
    of(json!({"spec": {"scaleTargetRef": {"name": ""}}}), &["spec.scaleTargetRef.name: Required value"]);
    let metric = |metric: Value| json!({"spec": {"metrics": [metric]}});
    of(
        metric(json!({"type": "Other"})),
        &[
            "spec.metrics[0].type: Unsupported value: \"Other\": supported values: \"ContainerResource\", \"External\", \
           \"Object\", \"Pods\", \"Resource\"",
        ],
    );
    of(
        metric(json!({"type": "Resource"})),
        &["spec.metrics[0].resource: Required value: must populate information for the given metric source"],
    );
    of(
        metric(json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization"}}})),
        &["spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or \
           a target utilization"],
    );
    of(
        metric(
            json!({"type": "Pods", "pods": {"metric": {"name": ""}, "target": {"type": "AverageValue", "averageValue": "0"}}}),
        ),
        &[
            "spec.metrics[0].pods.metric.name: Required value: must specify a metric name",
            "spec.metrics[0].pods.target.averageValue: Invalid value: \"0\": must be positive",
            "spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue",
        ],
    );
    of(
        json!({"spec": {"behavior": {"scaleUp": {"policies": [], "stabilizationWindowSeconds": 3601}}}}),
        &[
            "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600",
            "spec.behavior.scaleUp.policies: Required value: must specify at least one Policy",
        ],
    );
}

#[test]
fn addresses_and_ranges() {
    let group = "networking.k8s.io";
    check(
        group,
        "ipaddresses",
        json!({"spec": {"parentRef": {"resource": ""}}}),
        &["spec.parentRef.resource: Required value"],
    );
    let row = row(group, "ipaddresses");
    assert_eq!(row.validate_name("2001:db8::1", false), Vec::<String>::new());
    assert_eq!(row.validate_name("2001:DB8::1", false), ["must be in canonical form (\"2001:db8::1\")"]);
    assert_eq!(row.validate_name("x", false).len(), 1);
    let of = |cidrs: Value, expected: &[&str]| {
        check(group, "servicecidrs", json!({"spec": {"cidrs": cidrs}}), expected);
    };
    of(json!([]), &["spec.cidrs: Required value: at least one CIDR required"]);
    of(
        json!(["192.0.2.0/24", "198.51.100.0/24"]),
        &[
            "spec.cidrs: Invalid value: [\"192.0.2.0/24\",\"198.51.100.0/24\"]: may specify no more than one IP for each \
           IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
        ],
    );
    check_update(
        group,
        "servicecidrs",
        json!({}),
        json!({"spec": {"cidrs": ["198.51.100.0/24", "2001:db8::/64"]}}),
        &["spec.cidrs[0]: Invalid value: \"198.51.100.0/24\": field is immutable"],
    );
    check_update(
        group,
        "servicecidrs",
        json!({"spec": {"cidrs": ["192.0.2.0/24"]}}),
        json!({"spec": {"cidrs": ["192.0.2.0/24", "2001:db8::/64"]}}),
        &[],
    );
}

#[test]
fn webhooks() {
    let of = |change: Value, expected: &[&str]| {
        let plural = "validatingwebhookconfigurations";
        let mut hook = sample(row("admissionregistration.k8s.io", plural))["webhooks"][0].clone();
        merge(&mut hook, &change);
        check("admissionregistration.k8s.io", plural, json!({"webhooks": [hook]}), expected);
    };
    of(
        json!({"name": "short.com"}),
        &["webhooks[0].name: Invalid value: \"short.com\": should be a domain with at least three segments separated \
           by dots"],
    );
    of(
        json!({"clientConfig": {"url": "https://a.b/c"}}),
        &["webhooks[0].clientConfig: Required value: exactly one of url or service is required"],
    );
    of(
        json!({"clientConfig": {"service": null, "url": "http://u@a.b/c?d#e"}}),
        &[
            "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired \
             format: https://host[/path]",
            "webhooks[0].clientConfig.url: Invalid value: \"u\": user information is not permitted in the URL",
            "webhooks[0].clientConfig.url: Invalid value: \"e\": fragments are not permitted in the URL",
            "webhooks[0].clientConfig.url: Invalid value: \"d\": query parameters are not permitted in the URL",
        ],
    );
    of(
        json!({"clientConfig": {"service": {"path": "a//b", "port": 0}}}),
        &[
            "webhooks[0].clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, \
             inclusive",
            "webhooks[0].clientConfig.service.path: Invalid value: \"a//b\": must start with a '/'",
        ],
    );
    of(
        json!({"sideEffects": "Some", "timeoutSeconds": 31, "admissionReviewVersions": ["v2"]}),
        &[
            "webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\"",
            "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
            "webhooks[0].admissionReviewVersions: Invalid value: [\"v2\"]: must include at least one of v1, v1beta1",
        ],
    );
    of(
        json!({"rules": [{"operations": ["*", "CREATE"], "apiGroups": [""], "apiVersions": [""], "resources": ["a/*", "a/b"]}]}),
        &[
            "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"CREATE\"]: if '*' is present, must not specify \
             other operations",
            "webhooks[0].rules[0].apiVersions[0]: Required value",
            "webhooks[0].rules[0].resources[1]: Invalid value: \"a/b\": if 'a/*' is present, must not specify a/b",
        ],
    );
    of(
        json!({"matchConditions": [{"name": "a", "expression": "true"}, {"name": "a", "expression": " "}]}),
        &[
            "webhooks[0].matchConditions[1].expression: Required value",
            "webhooks[0].matchConditions[1].name: Duplicate value: \"a\"",
        ],
    );
}

#[test]
fn admission_policies() {
    let group = "admissionregistration.k8s.io";
    let of = |patch: Value, expected: &[&str]| check(group, "validatingadmissionpolicies", patch, expected);
    of(
        json!({"spec": {"validations": null, "auditAnnotations": null}}),
        &[
            "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
            "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
        ],
    );
    of(json!({"spec": {"matchConstraints": null}}), &["spec.matchConstraints: Required value"]);
    of(
        json!({"spec": {"variables": [{"name": "in", "expression": ""}]}}),
        &[
            "spec.variables[0].name: Invalid value: \"in\": name is not a valid CEL identifier",
            "spec.variables[0].expression: Required value: expression is not specified",
        ],
    );
    of(
        json!({"spec": {"validations": [{"expression": "", "message": "a\nb", "reason": "Odd"}]}}),
        &[
            "spec.validations[0].expression: Required value: expression is not specified",
            "spec.validations[0].message: Invalid value: \"a\\nb\": message must not contain line breaks",
            "spec.validations[0].reason: Unsupported value: \"Odd\": supported values: \"Forbidden\", \"Invalid\", \
             \"RequestEntityTooLarge\", \"Unauthorized\"",
        ],
    );
    let of = |patch: Value, expected: &[&str]| check(group, "validatingadmissionpolicybindings", patch, expected);
    of(
        json!({"spec": {"validationActions": ["Deny", "Warn"]}}),
        &[
            "spec.validationActions: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn (repeating \
           the same validation failure information in the API response and headers serves no purpose)",
        ],
    );
    of(
        json!({"spec": {"policyName": "", "paramRef": {"name": null, "parameterNotFoundAction": null}}}),
        &[
            "spec.policyName: Required value",
            "spec.paramRef: Required value: one of name or selector must be specified",
            "spec.paramRef.parameterNotFoundAction: Required value",
        ],
    );
    check(
        group,
        "mutatingadmissionpolicies",
        json!({"spec": {"reinvocationPolicy": null, "mutations": [{"patchType": "ApplyConfiguration"}]}}),
        &[
            "spec.mutations[0].applyConfiguration: Required value: must be specified when patchType is \
             ApplyConfiguration",
            "spec.reinvocationPolicy: Required value",
        ],
    );
}

#[test]
fn flow_control() {
    let group = "flowcontrol.apiserver.k8s.io";
    let of = |patch: Value, expected: &[&str]| check(group, "flowschemas", patch, expected);
    of(
        json!({"spec": {"matchingPrecedence": 1}}),
        &["spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"],
    );
    of(
        json!({"spec": {"priorityLevelConfiguration": {"name": ""}, "rules": [{"subjects": []}]}}),
        &[
            "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
            "spec.rules[0].subjects: Required value: subjects must contain at least one value",
            "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
        ],
    );
    of(
        json!({"spec": {"rules": [{"subjects": [{"kind": "User", "group": {"name": "g"}}],
            "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["metrics"]}]}]}}),
        &[
            "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
            "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
            "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"metrics\": must start with slash",
        ],
    );
    let of = |patch: Value, expected: &[&str]| check(group, "prioritylevelconfigurations", patch, expected);
    of(
        json!({"spec": {"type": "Exempt"}}),
        &[
            "spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'",
            "spec.limited: Forbidden: must be nil if the type is not Limited",
        ],
    );
    of(
        json!({"spec": {"limited": {"limitResponse": {"queuing": {"queues": 2, "handSize": 3}}}}}),
        &["spec.limited.limitResponse.queuing.handSize: Invalid value: 3: should not be greater than queues (2)"],
    );
    of(
        json!({"spec": {"limited": {"lendablePercent": 101, "limitResponse": {"queuing": {"queues": 1024, "handSize": 7}}}}}),
        &[
            "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
            "spec.limited.limitResponse.queuing.handSize: Invalid value: 7: required entropy bits of deckSize 1024 and \
             handSize 7 should not be greater than 60",
        ],
    );
}

#[test]
fn devices() {
    let group = "resource.k8s.io";
    let requests =
        |requests: Value| json!({"spec": {"devices": {"requests": requests, "constraints": null, "config": null}}});
    let of = |patch: Value, expected: &[&str]| check(group, "resourceclaims", patch, expected);
    of(
        requests(json!([{"name": "a"}])),
        &["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"],
    );
    of(
        requests(json!([{"name": "a", "exactly": {"deviceClassName": "", "allocationMode": "All", "count": 2}}])),
        &[
            "spec.devices.requests[0].exactly.deviceClassName: Required value",
            "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is \
             'All'",
        ],
    );
    of(
        json!({"spec": {"devices": {"constraints": [{"requests": ["none"], "matchAttribute": "bare"}], "config": null}}}),
        &[
            "spec.devices.constraints[0].requests[0]: Invalid value: \"none\": must be the name of a request in the \
             claim or the name of a request and a subrequest separated by '/'",
            "spec.devices.constraints[0].matchAttribute: Invalid value: \"bare\": must include a domain",
        ],
    );
    let reserved = json!({"status": {"reservedFor": [{"resource": "pods", "name": "p", "uid": "u"}]}});
    check_update(
        group,
        "resourceclaims",
        json!({}),
        reserved,
        &["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"],
    );
    let of = |patch: Value, expected: &[&str]| check(group, "resourceslices", patch, expected);
    of(
        json!({"spec": {"nodeName": null}}),
        &["spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is \
           required"],
    );
    of(
        json!({"spec": {"allNodes": true}}),
        &["spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, `allNodes`, \
           `perDeviceNodeSelection` is required, but multiple fields are set"],
    );
    of(
        json!({"spec": {"devices": [{"name": "a"}, {"name": "a", "attributes": {"x": {}}}]}}),
        &[
            "spec.devices[1]: Duplicate value: \"a\"",
            "spec.devices[1].attributes[x]: Required value: exactly one value must be specified",
        ],
    );
    check_update(
        group,
        "resourceslices",
        json!({}),
        json!({"spec": {"driver": "other.example.com"}}),
        &["spec.driver: Invalid value: \"other.example.com\": field is immutable"],
    );
}

#[test]
fn api_services() {
    let of = |patch: Value, expected: &[&str]| check("apiregistration.k8s.io", "apiservices", patch, expected);
    of(
        json!({"metadata": {"name": "x"}}),
        &[
            "metadata.name: Invalid value: \"x\": must be `spec.version+\".\"+spec.group`: \"v1.aggregated.example.com\"",
        ],
    );
    of(
        json!({"spec": {"groupPriorityMinimum": 0, "versionPriority": 1001}}),
        &[
            "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
            "spec.versionPriority: Invalid value: 1001: must be positive and less than 1000",
        ],
    );
    of(
        json!({"spec": {"service": null, "insecureSkipTLSVerify": true}}),
        &["spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify"],
    );
}

#[test]
fn storage_and_certificates() {
    check_update(
        "storage.k8s.io",
        "volumeattributesclasses",
        json!({}),
        json!({"driverName": "other.example.com", "parameters": {"iops": "2"}}),
        &[
            "driverName: Forbidden: updates to driverName are forbidden.",
            "parameters: Forbidden: updates to parameters are forbidden.",
        ],
    );
    check(
        "storage.k8s.io",
        "csistoragecapacities",
        json!({"capacity": "-1"}),
        &["capacity: Invalid value: \"-1\": must be greater than or equal to 0"],
    );
    check(
        "certificates.k8s.io",
        "clustertrustbundles",
        json!({"metadata": {"name": "one"}, "spec": {"trustBundle": ""}}),
        &[
            "metadata.name: Invalid value: \"one\": ClusterTrustBundle for signerName example.com/signer must be named \
             with prefix example.com:signer:",
            "spec.trustBundle: Invalid value: \"<value omitted>\": at least one trust anchor must be provided",
        ],
    );
    check(
        "certificates.k8s.io",
        "podcertificaterequests",
        json!({"spec": {"podUID": "", "maxExpirationSeconds": 60}}),
        &[
            "spec.podUID: Invalid value: \"\": must not be empty",
            "spec.maxExpirationSeconds: Invalid value: 60: must be in the range [3600, 7862400]",
        ],
    );
    check(
        "storagemigration.k8s.io",
        "storageversionmigrations",
        json!({"spec": {"resource": {"resource": ""}}}),
        &["spec.resource.resource: Required value: resource is required to be set"],
    );
    let holds = |kind: &str| {
        json!({"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z",
        "reason": "R", "message": ""})
    };
    check_update(
        "storagemigration.k8s.io",
        "storageversionmigrations",
        json!({"status": {"conditions": [holds("Succeeded")]}}),
        json!({"status": {"conditions": []}}),
        &["status.conditions: Invalid value: []: Success condition cannot be set to false once it is true"],
    );
}

mod definitions {
    use super::*;

    const GROUP: &str = "apiextensions.k8s.io";
    const PLURAL: &str = "customresourcedefinitions";

    #[track_caller]
    fn of(patch: Value, expected: &[&str]) {
        check(GROUP, PLURAL, patch, expected);
    }

    /// One version with this schema at the root, without subresources.
    fn schema(schema: Value) -> Value {
        let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
        json!({"spec": {"versions": [version]}})
    }

    /// A root whose only property is `p`.
    fn property(property: Value) -> Value {
        schema(json!({"type": "object", "properties": {"p": property}}))
    }

    const P: &str = "spec.validation.openAPIV3Schema.properties[p]";

    #[test]
    fn names_and_versions() {
        of(
            json!({"metadata": {"name": "x"}}),
            &["metadata.name: Invalid value: \"x\": must be spec.names.plural+\".\"+spec.group"],
        );
        of(
            json!({"metadata": {"name": "crontabs.example"}, "spec": {"group": "example", "scope": "Odd"}}),
            &[
                "spec.group: Invalid value: \"example\": should be a domain with at least one dot",
                "spec.scope: Unsupported value: \"Odd\": supported values: \"Cluster\", \"Namespaced\"",
            ],
        );
        of(
            json!({"spec": {"names": {"listKind": "CronTab", "shortNames": ["A"]}}}),
            &[
                "spec.names.shortNames[0]: Invalid value: \"A\": a DNS-1035 label must consist of lower case \
                 alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric \
                 character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
                "spec.names.listKind: Invalid value: \"CronTab\": kind and listKind may not be the same",
            ],
        );
        of(
            json!({"spec": {"conversion": {"strategy": "Webhook"}}}),
            &[
                "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
                "spec.conversion.conversionReviewVersions: Required value",
            ],
        );
        of(
            json!({"metadata": {"name": "crontabs.x.k8s.io"}, "spec": {"group": "x.k8s.io"}}),
            &["metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval \
               annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111"],
        );
        let version = |name: &str| json!({"name": name, "served": true, "storage": false});
        let patch = json!({"spec": {"versions": [version("v1")]}});
        let row = row(GROUP, PLURAL);
        let mut object = object(row, &patch);
        object.prepare_create();
        object.defaults();
        let errors: Vec<String> = object.validate().iter().map(ToString::to_string).collect();
        assert_eq!(errors[0], "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required");
        assert!(errors[1].ends_with("must have exactly one version marked as storage version"), "{errors:?}");
        assert_eq!(errors[2], "status.storedVersions: Invalid value: []: must have at least one stored version");
    }

    #[test]
    fn schemas_are_structural() {
        of(schema(json!({})), &["spec.validation.openAPIV3Schema.type: Required value: must not be empty at the root"]);
        of(property(json!({})), &[&format!("{P}.type: Required value: must not be empty for specified object fields")]);
        of(property(json!({"type": "array"})), &[&format!("{P}.items: Required value: must be specified")]);
        of(
            property(json!({"type": "object", "anyOf": [{"properties": {"a": {"type": "string"}}}]})),
            &[
                &format!("{P}.anyOf[0].properties[a].type: Forbidden: must be empty to be structural"),
                &format!("{P}.properties[a]: Required value: because it is defined in {P}.anyOf[0].properties[a]"),
            ],
        );
        of(
            schema(json!({"type": "object", "properties": {"metadata": {"type": "object", "required": ["name"]}}})),
            &["spec.validation.openAPIV3Schema.properties[metadata]: Forbidden: must not specify anything other than \
               name and generateName, but metadata is implicitly specified"],
        );
        of(
            property(json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]})),
            &[],
        );
        of(property(json!({"x-kubernetes-preserve-unknown-fields": true})), &[]);
        of(
            property(json!({"type": "object", "x-kubernetes-embedded-resource": true})),
            &[&format!(
                "{P}.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without \
                 x-kubernetes-preserve-unknown-fields"
            )],
        );
    }

    #[test]
    fn extensions_suit_each_other() {
        of(
            property(json!({"type": "string", "$ref": "#/x", "uniqueItems": true})),
            &[
                &format!("{P}.$ref: Forbidden: $ref is not supported"),
                &format!(
                    "{P}.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity \
                     becomes quadratic"
                ),
            ],
        );
        of(
            property(json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "map"})),
            &[
                &format!(
                    "{P}.x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"
                ),
                &format!(
                    "{P}.items.type: Invalid value: \"string\": must be object if parent array's \
                     x-kubernetes-list-type is map"
                ),
            ],
        );
        let items = json!({"type": "object", "properties": {"k": {"type": "string"}}});
        of(
            property(json!({"type": "array", "items": items, "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["k"]})),
            &[&format!(
                "{P}.items.properties[k].default: Required value: this property is in x-kubernetes-list-map-keys, so \
                 it must have a default or be a required property"
            )],
        );
        of(
            property(json!({"type": "object", "x-kubernetes-validations": [{"rule": " "}]})),
            &[&format!("{P}.x-kubernetes-validations[0].rule: Required value: rule is not specified")],
        );
        of(
            schema(json!({"type": "object", "properties": {"kind": {"type": "string", "default": "x"}}})),
            &["spec.validation.openAPIV3Schema.properties[kind].default: Forbidden: must not be set in top-level kind"],
        );
    }

    #[test]
    fn what_an_established_definition_keeps() {
        let established = json!({"status": {"storedVersions": ["v1"],
            "conditions": [{"type": "Established", "status": "True"}]}});
        check_update(
            GROUP,
            PLURAL,
            established,
            json!({"spec": {"scope": "Cluster", "names": {"kind": "Other"}}}),
            &[
                "spec.scope: Invalid value: \"Cluster\": field is immutable",
                "spec.names.kind: Invalid value: \"Other\": field is immutable",
            ],
        );
        check_update(
            GROUP,
            PLURAL,
            json!({"status": {"storedVersions": ["v1", "v0"]}}),
            json!({}),
            &[
                "status.storedVersions[1]: Invalid value: \"v0\": missing from spec.versions; v0 was previously a storage \
               version, and must remain in spec.versions until a storage migration ensures no data remains persisted \
               in v0 and removes v0 from status.storedVersions",
            ],
        );
    }

    #[test]
    fn whole_numbers_of_schemas_stay_whole() {
        let json = String::from_utf8(object(row(GROUP, PLURAL), &json!({})).encode().unwrap()).unwrap();
        assert!(json.contains("\"minimum\":1,"), "{json}");
    }
}

//! Admission policies over the wire: what they refuse, warn of, annotate and change, and what is refused of them.

use super::cluster::{Answer, Cluster};
use super::custom::{definition, establish};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) fn path(kind: &str) -> String {
    let plural = kind.to_lowercase().replace("policy", "policies").replace("policiesbinding", "policybindings");
    format!("{GROUP}/{plural}")
}

/// About config maps, unless `spec` says otherwise.
fn policy(kind: &str, name: &str, spec: Value) -> Value {
    let mut whole = json!({"matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["configmaps"]}]}});
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": whole})
}

fn binding(kind: &str, policy: &str, spec: Value) -> Value {
    let mut whole = json!({"policyName": policy});
    if kind.starts_with("Validating") {
        whole["validationActions"] = json!(["Deny"]);
    }
    for (field, value) in spec.as_object().unwrap() {
        whole[field] = value.clone();
    }
    json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": format!("{kind}Binding"),
        "metadata": {"name": format!("{policy}-binding")}, "spec": whole})
}

pub(crate) fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

const VALIDATING: &str = "ValidatingAdmissionPolicy";
pub(crate) const MUTATING: &str = "MutatingAdmissionPolicy";

/// A policy in force. Whether it is, is asked of writes that it is known to refuse or to change.
pub(crate) async fn enforce(cluster: &Cluster, kind: &str, name: &str, spec: Value, bound: Value) {
    let policy = cluster.post(&path(kind), policy(kind, name, spec)).await.expect(201);
    let binding = cluster.post(&path(&format!("{kind}Binding")), binding(kind, name, bound)).await.expect(201);
    assert_eq!((policy.header("warning"), binding.header("warning")), ("", ""), "they are acted on");
}

/// Creates on trial until the answer suits.
pub(crate) async fn until(cluster: &Cluster, what: &str, object: Value, suits: impl Fn(&Answer) -> bool) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = cluster.post(&format!("{MAPS}?dryRun=All"), object.clone()).await;
        if suits(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < DEADLINE, "{what} did not come about: {}", String::from_utf8_lossy(&answer.body));
        tokio::task::yield_now().await;
    }
}

async fn until_refused(cluster: &Cluster, object: Value) -> Answer {
    until(cluster, "a refusal", object, |answer| answer.code >= 400).await
}

/// A validation of config maps, one object that breaks it and one that does not.
struct Case {
    name: &'static str,
    spec: Value,
    bound: Value,
    refused: Value,
    code: u16,
    why: &'static str,
    allowed: Value,
}

/// Refuses nine and allows three.
fn case(name: &'static str, spec: Value, why: &'static str) -> Case {
    let (refused, allowed) = (json!({"size": "9"}), json!({"size": "3"}));
    Case { name, spec, bound: json!({}), refused, code: 422, why, allowed }
}

fn single(expression: &str) -> Value {
    json!({"validations": [{"expression": expression}]})
}

fn with(mut spec: Value, field: &str, value: Value) -> Value {
    spec[field] = value;
    spec
}

/// What a validation says.
fn validations() -> Vec<Case> {
    vec![
        case("plain", single("int(object.data.size) < 5"), "failed expression: int(object.data.size) < 5"),
        case(
            "message",
            json!({"validations": [{"expression": "object.data.size == '3'", "message": " must be three "}]}),
            "must be three",
        ),
        case(
            "made-message",
            json!({"validations": [{"expression": "object.data.size == '3'", "message": "no",
                "messageExpression": "'not ' + object.data.size"}]}),
            "not 9",
        ),
        case(
            "no-message",
            json!({"validations": [{"expression": "object.data.size == '3'", "message": "no",
                "messageExpression": "string(object.data.other)"}]}),
            "no",
        ),
        Case {
            code: 403,
            ..case(
                "reason",
                json!({"validations": [{"expression": "object.data.size == '3'", "reason": "Forbidden"}]}),
                "failed expression: object.data.size == '3'",
            )
        },
        case(
            "variables",
            with(
                single("variables.size < variables.most"),
                "variables",
                json!([
                {"name": "size", "expression": "int(object.data.size)"}, {"name": "most", "expression": "variables.size > 100 ? 0 : 5"}]),
            ),
            "failed expression: variables.size < variables.most",
        ),
        case(
            "bad-variable",
            with(
                single("object.data.size == '3' || variables.broken"),
                "variables",
                json!([
                {"name": "broken", "expression": "object.data.none == ''"}]),
            ),
            "expression 'object.data.size == '3' || variables.broken' resulted in error: composited variable \"broken\" \
             fails to evaluate: no such key: none",
        ),
        case(
            "error",
            single("object.data.none == 'x' || object.data.size == '3'"),
            "expression 'object.data.none == 'x' || object.data.size == '3'' resulted in error: no such key: none",
        ),
        case(
            "conditions",
            with(
                single("false"),
                "matchConditions",
                json!([{"name": "big", "expression": "int(object.data.size) > 5"}]),
            ),
            "failed expression: false",
        ),
        case(
            "failing-condition",
            with(
                single("true"),
                "matchConditions",
                json!([{"name": "none", "expression": "object.data.size == '9' ? object.data.none == '' : false"}]),
            ),
            "expression 'object.data.size == '9' ? object.data.none == '' : false' resulted in error: no such key: none",
        ),
    ]
}

/// What a validation may ask, and how much.
fn askings() -> Vec<Case> {
    vec![
        case(
            "request",
            single(
                "object.data.size == '3' || request.userInfo.username != 'kubernetes-admin' || request.operation != 'CREATE' \
                   || request.resource.resource != 'configmaps' || !request.dryRun",
            ),
            "",
        ),
        case("namespace", single("object.data.size == '3' || namespaceObject.metadata.name != 'default'"), ""),
        case(
            "authorizer",
            single(
                "object.data.size == '3' || !authorizer.group('').resource('pods').namespace('default').check('create').allowed() \
                   || !authorizer.requestResource.check('create').allowed() \
                   || authorizer.serviceAccount('default', 'default').group('').resource('pods').check('create').allowed()",
            ),
            "",
        ),
        case(
            "dear",
            single(
                "object.data.size == '3' || 'x'.matches('x') && [1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, \
                   [1,2,3,4,5,6,7,8,9,10].all(c, [1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, \
                   [1,2,3,4,5,6,7,8,9,10].all(f, a + b + c + d + e + f > 0))))))",
            ),
            "resulted in error: operation cancelled: actual cost limit exceeded",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn validations_refuse_what_breaks_them() {
    let cluster = Cluster::start().await;
    for case in validations().into_iter().chain(askings()) {
        let Case { name, spec, bound, refused, code, why, allowed } = case;
        enforce(&cluster, VALIDATING, name, spec, bound).await;
        let answer = until_refused(&cluster, map("m", refused)).await;
        assert_eq!(answer.code, code, "{name}: {}", answer.message());
        let begin = format!(
            "configmaps \"m\" is forbidden: ValidatingAdmissionPolicy '{name}' with binding '{name}-binding' denied request: "
        );
        assert!(answer.message().starts_with(&begin), "{name}: {}", answer.message());
        assert!(answer.message().ends_with(why), "{name}: {}", answer.message());
        let cause = answer.json()["details"]["causes"][0]["message"].as_str().unwrap().to_owned();
        assert_eq!(answer.message(), format!("configmaps \"m\" is forbidden: {cause}"));
        cluster.post(&format!("{MAPS}?dryRun=All"), map("m", allowed.clone())).await.expect(201);
        cluster.delete(&format!("{}/{name}-binding", path("ValidatingAdmissionPolicyBinding"))).await.expect(200);
        cluster.delete(&format!("{}/{name}", path(VALIDATING))).await.expect(200);
        // The next one must not be refused by this.
        until(&cluster, "the end of a policy", map("m", json!({"size": "9"})), |answer| answer.code == 201).await;
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_let_through_where_the_policy_says_so() {
    let cluster = Cluster::start().await;
    let spec = json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.data.none == ''"},
        {"expression": "object.data.size == '3'", "message": "three"}]});
    enforce(&cluster, VALIDATING, "lenient", spec, json!({})).await;
    let answer = until_refused(&cluster, map("m", json!({"size": "9"}))).await;
    assert!(answer.message().ends_with("denied request: three"), "{}", answer.message());
    cluster.post(MAPS, map("m", json!({"size": "3"}))).await.expect(201);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_and_deletes_are_judged_by_what_was() {
    let cluster = Cluster::start().await;
    cluster.post(MAPS, map("kept", json!({"size": "3"}))).await.expect(201);
    let spec = json!({"validations": [
        {"expression": "oldObject == null || object == null || object.data.size == oldObject.data.size", "message": "grows"},
        {"expression": "request.operation != 'DELETE' || oldObject.metadata.name != 'kept'", "message": "stays"},
        {"expression": "request.operation != 'CREATE' || oldObject == null && object.data.size != '9'", "message": "new"}]});
    enforce(&cluster, VALIDATING, "old", spec, json!({})).await;
    until_refused(&cluster, map("m", json!({"size": "9"}))).await;
    let kept = format!("{MAPS}/kept");
    for (answer, why) in [
        (cluster.patch("merge", &kept, json!({"data": {"size": "4"}})).await, "grows"),
        (cluster.delete(&kept).await, "stays"),
    ] {
        let answer = answer.expect(422);
        assert!(answer.message().ends_with(why), "{}", answer.message());
    }
    cluster.patch("merge", &kept, json!({"data": {"more": "x"}})).await.expect(200);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_warn_and_annotate_instead() {
    let cluster = Cluster::start().await;
    let spec = json!({"validations": [{"expression": "object.data.size == '3'", "message": "three"}],
        "auditAnnotations": [{"key": "size", "valueExpression": "string(object.data.size)"},
            {"key": "none", "valueExpression": "null"}]});
    enforce(&cluster, VALIDATING, "soft", spec, json!({"validationActions": ["Warn", "Audit"]})).await;
    let answer =
        until(&cluster, "a warning", map("m", json!({"size": "9"})), |answer| !answer.header("warning").is_empty());
    let answer = answer.await.expect(201);
    assert_eq!(
        answer.header("warning"),
        "299 - \"Validation failed for ValidatingAdmissionPolicy 'soft' with binding 'soft-binding': three\""
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_come_from_objects_of_any_kind() {
    let cluster = Cluster::start().await;
    establish(&cluster, definition()).await;
    let limit = |name: &str, most: &str, labels: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}, "data": {"most": most}});
    cluster.post(MAPS, limit("limit", "5", json!({"tier": "a"}))).await.expect(201);
    cluster.post(MAPS, limit("tight", "4", json!({"tier": "a"}))).await.expect(201);
    let widget =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "limit"}, "spec": {"size": 5}});
    cluster.post("/apis/example.com/v1/namespaces/default/widgets", widget).await.expect(201);
    let built_in = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    let custom = json!({"apiVersion": "example.com/v1", "kind": "Widget"});
    let validations = json!([{"expression": "!has(object.data.size) || int(object.data.size) < int(params.data.most)",
        "messageExpression": "'less than ' + params.data.most"}]);
    let deny = |name: Value| {
        let mut reference = json!({"parameterNotFoundAction": "Deny"});
        for (field, value) in name.as_object().unwrap() {
            reference[field] = value.clone();
        }
        json!({"paramRef": reference})
    };
    let denied = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    for (name, kind, validations, bound, why) in [
        ("by-name", &built_in, &validations, deny(json!({"name": "limit", "namespace": "default"})), "less than 5"),
        ("own-namespace", &built_in, &validations, deny(json!({"name": "limit"})), "less than 5"),
        ("by-label", &built_in, &validations, deny(json!({"selector": {"matchLabels": {"tier": "a"}}})), "less than 5"),
        (
            "custom",
            &custom,
            &json!([{"expression": "!has(object.data.size) || int(object.data.size) < params.spec.size"}]),
            deny(json!({"name": "limit"})),
            "failed expression: !has(object.data.size) || int(object.data.size) < params.spec.size",
        ),
        ("none", &built_in, &validations, deny(json!({"name": "absent"})), denied),
        (
            "unknown",
            &json!({"apiVersion": "example.com/v1", "kind": "Gadget"}),
            &json!([{"expression": "true"}]),
            deny(json!({"name": "absent"})),
            "failed to configure policy: failed to find resource referenced by paramKind: 'example.com/v1, Kind=Gadget'",
        ),
    ] {
        enforce(&cluster, VALIDATING, name, json!({"paramKind": kind, "validations": validations}), bound).await;
        let answer = until_refused(&cluster, map("m", json!({"size": "9"}))).await;
        assert!(answer.message().ends_with(&format!("denied request: {why}")), "{name}: {}", answer.message());
        cluster.delete(&format!("{}/{name}-binding", path("ValidatingAdmissionPolicyBinding"))).await.expect(200);
        until(&cluster, "the end of a policy", map("m", json!({"size": "9"})), |answer| answer.code == 201).await;
    }
    // Without the parameter the write is allowed where the binding says so.
    let bound = json!({"paramRef": {"name": "late", "parameterNotFoundAction": "Allow"}});
    enforce(&cluster, VALIDATING, "late", json!({"paramKind": built_in, "validations": validations}), bound).await;
    cluster.post(&format!("{MAPS}?dryRun=All"), map("m", json!({"size": "9"}))).await.expect(201);
    cluster.post(MAPS, limit("late", "2", json!({}))).await.expect(201);
    let answer = until_refused(&cluster, map("m", json!({"size": "9"}))).await;
    assert!(answer.message().ends_with("less than 2"), "{}", answer.message());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_that_do_not_compile_are_refused() {
    let cluster = Cluster::start().await;
    let refused = |kind: &'static str, spec: Value| {
        let cluster = &cluster;
        async move { cluster.post(&path(kind), policy(kind, "p", spec)).await.expect(422).message() }
    };
    let expression = |source: &str| json!({"validations": [{"expression": source}]});
    for (spec, why) in [
        (
            expression("object.a =="),
            "spec.validations[0].expression: Invalid value: \"object.a ==\": compilation failed: ERROR: <input>:1:12: Syntax error",
        ),
        (
            expression("object.a"),
            "spec.validations[0].expression: Invalid value: \"object.a\": must evaluate to bool but got dyn",
        ),
        (expression("variables.a == 1"), "undeclared reference to 'variables' (in container '')"),
        (expression("params.a == 1"), "undeclared reference to 'params' (in container '')"),
        (expression("request.none == 1"), "undefined field 'none'"),
        (
            json!({"validations": [{"expression": "true", "messageExpression": "1"}]}),
            "spec.validations[0].messageExpression: Invalid value: \"1\": must evaluate to string but got int",
        ),
        (
            json!({"auditAnnotations": [{"key": "k", "valueExpression": "true"}]}),
            "spec.auditAnnotations[0].valueExpression: Invalid value: \"true\": must evaluate to one of [string null_type] but got bool",
        ),
        (
            json!({"validations": [{"expression": "true"}], "variables": [{"name": "a", "expression": "variables.b"}]}),
            "spec.variables[0].expression: Invalid value: \"variables.b\": compilation failed: ",
        ),
        (
            json!({"validations": [{"expression": "true"}], "matchConditions": [{"name": "c", "expression": "1"}]}),
            "spec.matchConditions[0].expression: Invalid value: \"1\": must evaluate to bool but got int",
        ),
    ] {
        let message = refused(VALIDATING, spec).await;
        assert!(
            message.starts_with("ValidatingAdmissionPolicy.admissionregistration.k8s.io \"p\" is invalid: "),
            "{message}"
        );
        assert!(message.contains(why), "{message}");
    }
    for (mutation, why) in [
        (
            json!({"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object.spec{a: 1}"}}),
            "spec.mutations[0].applyConfiguration.expression: Invalid value: \"Object.spec{a: 1}\": must evaluate to Object but got Object.spec",
        ),
        (
            json!({"patchType": "JSONPatch", "jsonPatch": {"expression": "Object{a: 1}"}}),
            "spec.mutations[0].jsonPatch.expression: Invalid value: \"Object{a: 1}\": must evaluate to list(JSONPatch) but got Object",
        ),
    ] {
        let message = refused(MUTATING, json!({"mutations": [mutation], "reinvocationPolicy": "Never"})).await;
        assert!(message.contains(why), "{message}");
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_that_do_not_suit_their_kinds_are_warned_of() {
    let cluster = Cluster::start().await;
    let rule =
        json!({"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]});
    let spec = json!({"matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "object.spec.replicas > 1 && object.metadata.labels['a'] == 'b'"},
            {"expression": "object.spec.replica > 1"}]});
    let created = cluster.post(&path(VALIDATING), policy(VALIDATING, "typed", spec)).await.expect(201).json();
    let own = format!("{}/typed", path(VALIDATING));
    let checked = super::custom::until(&cluster, &own, "a type check", |_, own| {
        own["status"]["observedGeneration"] == created["metadata"]["generation"]
    });
    assert_eq!(
        checked.await["status"]["typeChecking"]["expressionWarnings"],
        json!([{"fieldRef": "spec.validations[1].expression", "warning": "apps/v1, Kind=Deployment: ERROR: <input>:1:12: \
            undefined field 'replica'\n | object.spec.replica > 1\n | ...........^\n"}])
    );
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_the_refusal() {
    let cluster = Cluster::start().await;
    let spec = json!({"validations": [{"expression": "object.data.size == '3'"}]});
    enforce(&cluster, VALIDATING, "shown", spec, json!({})).await;
    until_refused(&cluster, map("m", json!({"size": "9"}))).await;
    let arguments = ["create", "-f", "-"];
    let object = map("m", json!({"size": "9"})).to_string();
    let Some((succeeded, text)) = cluster.kubectl(&arguments, &object).await else { return };
    assert!(!succeeded);
    let why = "ValidatingAdmissionPolicy 'shown' with binding 'shown-binding' denied request: failed expression: \
               object.data.size == '3'";
    assert!(text.contains("The configmaps \"m\" is invalid") && text.contains(why), "{text}");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_policies_did_is_counted() {
    let cluster = Cluster::start().await;
    let spec = json!({
        "matchConditions": [{"name": "mine", "expression": "!object.metadata.name.startsWith('theirs')"}],
        "validations": [{"expression": "!has(object.data)"}],
    });
    enforce(&cluster, VALIDATING, "counted", spec, json!({})).await;
    until_refused(&cluster, map("a", json!({"k": "v"}))).await;
    cluster.post(MAPS, map("theirs", json!({"k": "v"}))).await.expect(201);
    let metrics = cluster.get("/metrics").await.expect(200);
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let own = "policy=\"counted\",policy_binding=\"counted-binding\"";
    for begins in [
        format!(
            "apiserver_validating_admission_policy_check_total{{enforcement_action=\"deny\",error_type=\"no_error\",{own}}} "
        ),
        "apiserver_admission_match_condition_exclusions_total{kind=\"policy\",name=\"counted\",operation=\"CREATE\",type=\"validating\"} 1"
            .to_owned(),
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(&begins)), "{begins} in {metrics}");
    }
    cluster.shutdown().await;
}

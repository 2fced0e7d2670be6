//! What is malformed, illegal, stale or missing is refused in upstream's words, and nothing of it is stored.

use crate::harness::{Cluster, Machine, possible};
use crate::https::{Https, Who};
use serde_json::json;

const JSON: &str = "application/json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn with_server(test: impl Fn(&Machine, &Https<'_>, &Who)) {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    machine.until("the namespace has its root certificate", |machine| {
        let listed = machine.kubectl("get configmaps,services -o name");
        if listed == "configmap/kube-root-ca.crt\nservice/kubernetes\n" { Ok(()) } else { Err(listed) }
    });
    test(machine, &Https::api(machine), &Who::admin(machine));
    cluster.finish();
}

/// That the namespace holds what it held before.
fn assert_nothing_stored(machine: &Machine) {
    assert_eq!(
        machine.kubectl("get configmaps,secrets,pods,services -o name"),
        "configmap/kube-root-ca.crt\nservice/kubernetes\n"
    );
}

#[test]
fn bodies_that_cannot_be_decoded_are_refused_and_not_stored() {
    with_server(|machine, api, admin| {
        let unrecognized = "the object provided is unrecognized (must be of type ConfigMap): \
                            couldn't get version/kind; json parse error: ";
        let cannot = "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: ";
        let cases: &[(&str, String)] = &[
            ("", format!("{unrecognized}unexpected end of JSON input (<empty>)")),
            (r#"{"kind":"#, format!("{unrecognized}unexpected end of JSON input ({{\"kind\":)")),
            (
                "kind: ConfigMap",
                format!(
                    "{unrecognized}invalid character 'k' looking for beginning of value (6b696e643a20436f6e6669674d6170)"
                ),
            ),
            (
                r#"{"kind":"ConfigMap","metadata":{"name":"a"},}"#,
                format!(
                    "{unrecognized}invalid character '}}' looking for beginning of object key string ({{\"kind\":\"ConfigMap\",\"metadata\" ...)"
                ),
            ),
            (
                r#"{"metadata":{"name":"a"},"data":{"k":1}}"#,
                format!("{cannot}json: cannot unmarshal number into Go struct field ConfigMap.data of type string"),
            ),
            (
                r#"{"metadata":{"name":["a"]}}"#,
                format!(
                    "{cannot}json: cannot unmarshal array into Go struct field ObjectMeta.metadata.name of type string"
                ),
            ),
            (
                r#"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"a"}}"#,
                "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to \
                 (core.ConfigMap): unknown conversion"
                    .to_owned(),
            ),
        ];
        for (body, message) in cases {
            api.write(admin, "POST", MAPS, JSON, body.as_bytes()).refuses(400, "BadRequest", message);
        }
        let odd = r#"{"metadata":{"name":"a","nome":"b"},"datta":{},"data":{"k":"1","k":"2"}}"#;
        api.write(admin, "POST", &format!("{MAPS}?fieldValidation=Strict"), JSON, odd.as_bytes()).refuses(
            400,
            "BadRequest",
            &format!("{cannot}strict decoding error: unknown field \"metadata.nome\", unknown field \"datta\", duplicate field \"data.k\""),
        );
        let body = br#"{"metadata":{"name":"a"}}"#;
        api.write(admin, "POST", MAPS, "text/plain", body).refuses(
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: application/json, \
             application/yaml, application/vnd.kubernetes.protobuf",
        );
        assert_nothing_stored(machine);
    });
}

#[test]
fn bodies_that_are_too_large_are_refused_and_not_stored() {
    with_server(|machine, api, admin| {
        let large = json!({"metadata": {"name": "a"}, "data": {"k": "a".repeat(4 << 20)}}).to_string();
        let message = "Request entity too large: limit is 3145728";
        api.write(admin, "POST", MAPS, JSON, large.as_bytes()).refuses(413, "RequestEntityTooLarge", message);
        std::fs::write(machine.data_dir.join("large.json"), large).unwrap();
        let file = machine.data_dir.join("large.json");
        let output = machine.try_kubectl(&["create", "--raw", MAPS, "-f", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, format!("Error from server (RequestEntityTooLarge): {message}\n"), "over HTTP/2");
        let map = json!({"metadata": {"name": "a"}, "data": {"k": "a".repeat((1 << 20) + 1)}}).to_string();
        api.write(admin, "POST", MAPS, JSON, map.as_bytes()).refuses(
            422,
            "Invalid",
            "ConfigMap \"a\" is invalid: []: Too long: may not be more than 1048576 bytes",
        );
        let deep = format!("{{\"metadata\":{{\"name\":\"a\"}},\"x\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
        let reply = api.write(admin, "POST", MAPS, JSON, deep.as_bytes());
        assert_eq!((reply.code, reply.json()["reason"].as_str()), (400, Some("BadRequest")), "{}", reply.body);
        assert!(reply.body.contains("exceeded max depth"), "{}", reply.body);
        assert_nothing_stored(machine);
    });
}

#[test]
fn illegal_objects_are_refused_and_not_stored() {
    const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                             must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
                             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
                         with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
                         '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    with_server(|machine, api, admin| {
        let pods = "/api/v1/namespaces/default/pods";
        let cases = [
            (MAPS, json!({"metadata": {}}), "ConfigMap \"\" is invalid: metadata.name: Required value: name or generateName is required".to_owned()),
            (
                MAPS,
                json!({"metadata": {"name": "Bad_Name"}}),
                format!("ConfigMap \"Bad_Name\" is invalid: metadata.name: Invalid value: \"Bad_Name\": {SUBDOMAIN}"),
            ),
            (
                MAPS,
                json!({"metadata": {"name": "../a"}}),
                format!("ConfigMap \"../a\" is invalid: metadata.name: Invalid value: \"../a\": {SUBDOMAIN}"),
            ),
            (
                MAPS,
                json!({"metadata": {"name": "a"}, "data": {"k/y": ""}}),
                "ConfigMap \"a\" is invalid: data[k/y]: Invalid value: \"k/y\": a valid config key must consist of alphanumeric \
                 characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is \
                 '[-._a-zA-Z0-9]+')"
                    .to_owned(),
            ),
            (
                pods,
                json!({"metadata": {"name": "a"}, "spec": {"containers": []}}),
                "Pod \"a\" is invalid: spec.containers: Required value".to_owned(),
            ),
            (
                pods,
                json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "A", "image": "i"}]}}),
                format!("Pod \"a\" is invalid: spec.containers[0].name: Invalid value: \"A\": {LABEL}"),
            ),
            (
                pods,
                json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": "i",
                    "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}]}}),
                "Pod \"a\" is invalid: spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal \
                 to cpu limit of 1"
                    .to_owned(),
            ),
        ];
        for (path, body, message) in cases {
            api.write(admin, "POST", path, JSON, body.to_string().as_bytes()).refuses(422, "Invalid", &message);
        }
        let long = json!({"metadata": {"name": "a".repeat(254)}}).to_string();
        let reply = api.write(admin, "POST", MAPS, JSON, long.as_bytes());
        assert_eq!((reply.code, reply.json()["reason"].as_str()), (422, Some("Invalid")), "{}", reply.body);
        assert!(reply.body.contains("must be no more than 253 "), "{}", reply.body);
        let elsewhere = json!({"metadata": {"name": "a", "namespace": "other"}}).to_string();
        api.write(admin, "POST", MAPS, JSON, elsewhere.as_bytes()).refuses(
            400,
            "BadRequest",
            "the namespace of the provided object does not match the namespace sent on the request",
        );
        let nowhere = MAPS.replace("default", "nowhere");
        let body = br#"{"metadata":{"name":"a"}}"#;
        api.write(admin, "POST", &nowhere, JSON, body).refuses(404, "NotFound", "namespaces \"nowhere\" not found");
        assert_nothing_stored(machine);
    });
}

#[test]
fn stale_and_misdirected_writes_change_nothing() {
    with_server(|machine, api, admin| {
        machine.kubectl("create configmap kept --from-literal=k=v");
        let before = machine.kubectl("get configmap kept -o json");
        let kept = format!("{MAPS}/kept");
        let modified = "Operation cannot be fulfilled on configmaps \"kept\": the object has been modified; please apply your \
                        changes to the latest version and try again";
        let stale = br#"{"metadata":{"name":"kept","resourceVersion":"1"},"data":{"k":"stale"}}"#;
        api.write(admin, "PUT", &kept, JSON, stale).refuses(409, "Conflict", modified);
        let merge = "application/merge-patch+json";
        api.write(admin, "PATCH", &kept, merge, stale).refuses(409, "Conflict", modified);
        let other = br#"{"metadata":{"name":"other"},"data":{"k":"stale"}}"#;
        let message = "the name of the object (other) does not match the name on the URL (kept)";
        api.write(admin, "PUT", &kept, JSON, other).refuses(400, "BadRequest", message);
        let missing = br#"{"metadata":{"name":"gone","resourceVersion":"1"}}"#;
        let reply = api.write(admin, "PUT", &format!("{MAPS}/gone"), JSON, missing);
        reply.refuses(404, "NotFound", "configmaps \"gone\" not found");
        let precondition = br#"{"preconditions":{"uid":"nope"}}"#;
        let reply = api.write(admin, "DELETE", &kept, JSON, precondition);
        assert_eq!((reply.code, reply.json()["reason"].as_str()), (409, Some("Conflict")), "{}", reply.body);
        assert!(
            reply.body.contains("the UID in the precondition (nope) does not match the UID in record ("),
            "{}",
            reply.body
        );
        let again = br#"{"metadata":{"name":"kept"}}"#;
        api.write(admin, "POST", MAPS, JSON, again).refuses(409, "AlreadyExists", "configmaps \"kept\" already exists");
        assert_eq!(machine.kubectl("get configmap kept -o json"), before, "nothing of it was stored");
    });
}

#[test]
fn questions_that_make_no_sense_are_refused() {
    with_server(|_, api, admin| {
        let refused = |path: &str, code, reason, message: &str| api.get(admin, path).refuses(code, reason, message);
        refused(&format!("{MAPS}/gone"), 404, "NotFound", "configmaps \"gone\" not found");
        refused(
            &format!("{MAPS}?fieldSelector=spec.x=1"),
            400,
            "BadRequest",
            "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        );
        let selector = format!("{MAPS}?labelSelector=a%20in");
        assert_eq!(api.get(admin, &selector).code, 400);
        assert_eq!(api.get(admin, &format!("{MAPS}?resourceVersion=abc")).json()["reason"], "Invalid");
        let reply = api.get(admin, &format!("{MAPS}?resourceVersion=999999999&resourceVersionMatch=Exact"));
        assert!(matches!(reply.code, 400 | 410 | 504), "a revision that is not yet: {}", reply.body);
        assert_eq!(api.get(admin, "/api/v1/namespaces/default/nonsense").code, 404);
        let reply = api.write(admin, "PUT", MAPS, JSON, b"{}");
        reply.refuses(405, "MethodNotAllowed", "the server does not allow this method on the requested resource");
        let apply = api.write(admin, "PATCH", &format!("{MAPS}/gone"), "application/nonsense", b"{}");
        assert_eq!(apply.code, 415, "{}", apply.body);
    });
}

/// `kubectl run` would refuse the image's name itself.
const ILLEGAL: &str = "
apiVersion: v1
kind: Pod
metadata: {name: illegal}
spec:
  containers:
  - {name: illegal, image: 'UPPER:v1'}
";

#[test]
fn a_missing_image_is_reported_and_retried() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    // Nobody listens there, so that the answer comes at once.
    machine.kubectl("run lost --image=127.0.0.1:1/nowhere:v1");
    machine.kubectl("run never --image=user-center:v9 --image-pull-policy=Never");
    machine.apply(ILLEGAL);
    let reasons = |pod: &str, reasons: &'static [&'static str]| {
        machine.until(&format!("{pod} is {reasons:?}"), |machine| {
            let path = "-o=jsonpath={.status.containerStatuses[0].state.waiting.reason}";
            let seen = machine.kubectl(&format!("get pod {pod} {path}"));
            if reasons.contains(&seen.as_str()) { Ok(()) } else { Err(seen) }
        });
    };
    reasons("lost", &["ErrImagePull"]);
    reasons("lost", &["ImagePullBackOff"]);
    reasons("never", &["ErrImageNeverPull"]);
    reasons("illegal", &["InvalidImageName"]);
    let message = |pod: &str| {
        machine.kubectl(&format!("get pod {pod} -o=jsonpath={{.status.containerStatuses[0].state.waiting.message}}"))
    };
    assert!(message("lost").starts_with("Back-off pulling image \"127.0.0.1:1/nowhere:v1\""), "{}", message("lost"));
    assert_eq!(message("never"), "Container image \"user-center:v9\" is not present with pull policy of Never");
    assert!(
        message("illegal").starts_with("Failed to apply default image tag \"UPPER:v1\": "),
        "{}",
        message("illegal")
    );
    assert_eq!(machine.kubectl("get pods -o jsonpath={.items[*].status.phase}"), "Pending Pending Pending");
    let events = machine.kubectl("get events --field-selector involvedObject.name=lost -o jsonpath={.items[*].reason}");
    for reason in ["Pulling", "Failed", "BackOff"] {
        assert!(events.split(' ').any(|seen| seen == reason), "{reason} is not in {events}");
    }
    cluster.finish();
}

//! Who may: whoever is nobody, a pod, a node, a limited user or late is refused what upstream refuses.

mod inside;

use crate::harness::{Cluster, Machine, possible};
use crate::https::{Https, Who};
use crate::image;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};
use std::process::Command;

const JSON: &str = "application/json";
const PODS: &str = "/api/v1/namespaces/default/pods";

/// What is refused and why, in upstream's words.
fn forbidden(user: &str, verb: &str, resource: &str, wher: &str) -> String {
    format!("{resource} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"\" {wher}")
}

#[test]
fn nobody_sees_health_and_version_only() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    cluster.first().up_server();
    let api = Https::api(cluster.first());
    for path in ["/version", "/healthz", "/livez", "/readyz"] {
        assert_eq!(api.get(&Who::Nobody, path).code, 200, "{path}");
    }
    for path in ["/", "/api", "/apis", "/openapi/v2", "/metrics", "/nonsense"] {
        let message = format!("forbidden: User \"system:anonymous\" cannot get path \"{path}\"");
        api.get(&Who::Nobody, path).refuses(403, "Forbidden", &message);
    }
    let here = "in the namespace \"default\"";
    api.get(&Who::Nobody, PODS).refuses(403, "Forbidden", &forbidden("system:anonymous", "list", "pods", here));
    let body = br#"{"metadata":{"name":"a"}}"#;
    let created = api.write(&Who::Nobody, "POST", PODS, JSON, body);
    created.refuses(403, "Forbidden", &forbidden("system:anonymous", "create", "pods", here));
    // Credentials that are wrong are not nobody's.
    api.get(&Who::Token("nonsense".into()), "/version").refuses(401, "Unauthorized", "Unauthorized");
    cluster.finish();
}

#[test]
fn a_service_account_may_what_it_is_given() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    machine.until("the default account is there", |machine| {
        let output = machine.try_kubectl(&["get", "serviceaccount", "default"]);
        if output.status.success() { Ok(()) } else { Err(crate::harness::said(&output)) }
    });
    let api = Https::api(machine);
    let token = |arguments: &str| Who::Token(machine.kubectl(&format!("create token {arguments}")).trim().to_owned());
    let default = token("default");
    let user = "system:serviceaccount:default:default";
    let refused = |path: &str, message: String| api.get(&default, path).refuses(403, "Forbidden", &message);
    refused(PODS, forbidden(user, "list", "pods", "in the namespace \"default\""));
    refused("/api/v1/nodes", forbidden(user, "list", "nodes", "at the cluster scope"));
    refused(
        "/apis/apps/v1/namespaces/default/deployments/web",
        format!(
            "deployments.apps \"web\" is forbidden: User \"{user}\" cannot get resource \"deployments\" in API group \
             \"apps\" in the namespace \"default\""
        ),
    );
    refused("/metrics", format!("forbidden: User \"{user}\" cannot get path \"/metrics\""));
    assert_eq!(api.get(&default, "/apis").code, 200, "who is known may discover");

    machine.kubectl("create serviceaccount reader");
    machine.kubectl("create role reader --verb=get,list --resource=pods");
    machine.kubectl("create rolebinding reader --role=reader --serviceaccount=default:reader");
    let reader = token("reader");
    machine.until("the role holds", |_| {
        let reply = api.get(&reader, PODS);
        if reply.code == 200 { Ok(()) } else { Err(reply.body) }
    });
    for (path, resource, verb) in
        [(PODS, "pods", "create"), ("/api/v1/namespaces/default/secrets", "secrets", "create")]
    {
        let message = forbidden("system:serviceaccount:default:reader", verb, resource, "in the namespace \"default\"");
        api.write(&reader, "POST", path, JSON, b"{}").refuses(403, "Forbidden", &message);
    }
    assert_eq!(api.get(&reader, "/api/v1/namespaces/kube-system/pods").code, 403, "of its own namespace only");

    let unauthorized = |who: &Who| api.get(who, PODS).refuses(401, "Unauthorized", "Unauthorized");
    unauthorized(&token("default --audience=others"));
    machine.kubectl("delete serviceaccount reader");
    machine.until("the token ends with its account", |_| {
        let reply = api.get(&reader, PODS);
        if reply.code == 401 { Ok(()) } else { Err(reply.body) }
    });
    cluster.finish();
}

#[test]
fn tokens_that_are_late_or_forged_are_refused() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    let api = Https::api(machine);
    let good = machine.kubectl("create token default").trim().to_owned();
    let parts: Vec<&str> = good.split('.').collect();
    let [head, claims, signature] = parts[..] else { panic!("{good} is no token") };
    let decoded: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let now = decoded["iat"].as_i64().unwrap();
    let signed = |changes: Value| {
        let mut claims = decoded.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let signed = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = sign(machine, signed.as_bytes());
        Who::Token(format!("{signed}.{signature}"))
    };
    let code = |who: &Who| api.get(who, PODS).code;
    assert_eq!(code(&signed(json!({"exp": now + 3600}))), 403, "a token that the server's key signed is known");
    let unauthorized = |who: &Who| api.get(who, PODS).refuses(401, "Unauthorized", "Unauthorized");
    unauthorized(&signed(json!({"iat": now - 7200, "nbf": now - 7200, "exp": now - 3600})));
    unauthorized(&signed(json!({"nbf": now + 3600, "exp": now + 7200})));
    unauthorized(&signed(json!({"iss": "https://elsewhere"})));
    unauthorized(&signed(json!({"aud": ["elsewhere"]})));
    // The claims of another, the signature kept; no signature; another algorithm.
    let mut other = decoded.clone();
    other["sub"] = "system:serviceaccount:kube-system:default".into();
    let other = URL_SAFE_NO_PAD.encode(other.to_string());
    unauthorized(&Who::Token(format!("{head}.{other}.{signature}")));
    unauthorized(&Who::Token(format!("{head}.{claims}.")));
    let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    unauthorized(&Who::Token(format!("{none}.{claims}.")));
    let short = machine.try_kubectl(&["create", "token", "default", "--duration=1m"]);
    let said = String::from_utf8_lossy(&short.stderr);
    assert!(said.contains("may not specify a duration less than 10 minutes"), "{said}");
    cluster.finish();
}

/// As the server signs its own tokens: ES256 with the key of service accounts.
fn sign(machine: &Machine, text: &[u8]) -> String {
    let pem = std::fs::read_to_string(machine.data_dir.join("pki/service-account.pem")).unwrap();
    let encoded: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let key = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    let random = SystemRandom::new();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random).unwrap();
    URL_SAFE_NO_PAD.encode(pair.sign(&random, text).unwrap())
}

#[test]
fn a_node_may_its_own_and_what_its_pods_refer_to() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&[]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    let api = Https::api(machine);
    let node = Who::Certificate(machine.data_dir.join("kubelet/pki/kubelet-client.pem"));
    machine.kubectl("create secret generic own --from-literal=k=v");
    machine.kubectl("create secret generic other --from-literal=k=v");
    machine.kubectl("create serviceaccount other");
    let overrides =
        r#"{"spec":{"terminationGracePeriodSeconds":0,"volumes":[{"name":"v","secret":{"secretName":"own"}}]}}"#;
    let overrides = format!("--overrides={overrides}");
    machine.kubectl_args(&["run", "user", "--image=user-center:v1.0", &overrides]);
    machine.kubectl("wait --for=condition=Ready pod/user --timeout=30s");
    let secrets = "/api/v1/namespaces/default/secrets";
    assert_eq!(api.get(&node, "/api/v1/nodes/n0").code, 200);
    assert_eq!(api.get(&node, &format!("{secrets}/own")).code, 200, "a pod of the node refers to it");
    let cannot = |verb: &str, name: &str, why: &str| {
        format!(
            "secrets{name} is forbidden: User \"system:node:n0\" cannot {verb} resource \"secrets\" in API group \"\" \
             in the namespace \"default\": {why}"
        )
    };
    let unrelated = "no relationship found between node 'n0' and this object";
    api.get(&node, &format!("{secrets}/other")).refuses(403, "Forbidden", &cannot("get", " \"other\"", unrelated));
    api.get(&node, secrets).refuses(403, "Forbidden", &cannot("list", "", "No Object name found"));
    assert_eq!(api.get(&node, "/apis/apps/v1/deployments").code, 403);
    let write = |method: &str, path: &str, body: Value| {
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { JSON };
        let reply = api.write(&node, method, path, kind, body.to_string().as_bytes());
        (reply.code, reply.json()["message"].as_str().unwrap_or_default().to_owned())
    };
    let restricted =
        write("PATCH", "/api/v1/nodes/n0", json!({"metadata": {"labels": {"node-restriction.kubernetes.io/a": "b"}}}));
    assert_eq!(restricted.0, 403, "{restricted:?}");
    assert!(
        restricted.1.contains("is not allowed to modify labels: node-restriction.kubernetes.io/a"),
        "{restricted:?}"
    );
    let pod =
        json!({"metadata": {"name": "x"}, "spec": {"nodeName": "n0", "containers": [{"name": "a", "image": "b"}]}});
    let refused = write("POST", PODS, pod);
    assert_eq!(refused.0, 403, "{refused:?}");
    assert!(refused.1.ends_with("node \"n0\" can only create mirror pods"), "{refused:?}");
    let token = |account: &str| {
        write("POST", &format!("/api/v1/namespaces/default/serviceaccounts/{account}/token"), json!({}))
    };
    assert_eq!(token("other").0, 403, "no pod of the node uses this account");
    assert_eq!(token("default").0, 403, "a node's tokens are bound to its pods");
    cluster.finish();
}

#[test]
fn a_user_by_certificate_may_what_it_is_given() {
    if !possible() {
        return;
    }
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    machine.up_server();
    let api = Https::api(machine);
    let jane = certificate(machine, "jane");
    let here = "in the namespace \"default\"";
    api.get(&jane, PODS).refuses(403, "Forbidden", &forbidden("jane", "list", "pods", here));
    machine.kubectl("create role reader --verb=get,list,watch --resource=pods");
    machine.kubectl("create rolebinding readers --role=reader --group=readers");
    machine.until("the role holds for the group", |_| {
        let reply = api.get(&jane, PODS);
        if reply.code == 200 { Ok(()) } else { Err(reply.body) }
    });
    api.get(&jane, "/api/v1/namespaces/default/secrets").refuses(
        403,
        "Forbidden",
        &forbidden("jane", "list", "secrets", here),
    );
    api.get(&jane, "/api/v1/pods").refuses(
        403,
        "Forbidden",
        &forbidden("jane", "list", "pods", "at the cluster scope"),
    );
    let deleted = api.write(&jane, "DELETE", &format!("{PODS}/x"), JSON, b"");
    let message = "pods \"x\" is forbidden: User \"jane\" cannot delete resource \"pods\" in API group \"\" in the namespace \"default\"";
    deleted.refuses(403, "Forbidden", message);

    // Who may write roles still gives nobody more than they have.
    machine.kubectl("create role granter --verb=create --resource=roles,rolebindings");
    machine.kubectl("create rolebinding granter --role=granter --user=jane");
    let roles = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles";
    let role = |verb: &str| json!({"metadata": {"name": format!("by-jane-{verb}")}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]});
    machine.until("the second role holds", |_| {
        let reply = api.write(&jane, "POST", roles, JSON, role("get").to_string().as_bytes());
        if reply.code == 201 || reply.code == 409 { Ok(()) } else { Err(reply.body) }
    });
    let escalated = api.write(&jane, "POST", roles, JSON, role("delete").to_string().as_bytes());
    assert_eq!(escalated.code, 403, "{}", escalated.body);
    assert!(escalated.body.contains("user \\\"jane\\\" (groups=[\\\"readers\\\" \\\"system:authenticated\\\"]) is attempting to grant RBAC permissions not currently held"), "{}", escalated.body);
    cluster.finish();
}

/// A client certificate for a user in the group `readers`, as an administrator gets one.
fn certificate(machine: &Machine, user: &str) -> Who {
    let path = |suffix: &str| machine.data_dir.join(format!("{user}.{suffix}"));
    let (key, request) = (path("key"), path("csr"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj"]);
    openssl.arg(format!("/CN={user}/O=readers")).arg("-keyout").arg(&key).arg("-out").arg(&request);
    assert!(crate::harness::run(&mut openssl).status.success(), "{openssl:?}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(std::fs::read(request).unwrap());
    machine.apply(&format!(
        "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {{name: {user}}}\nspec:\n  \
         request: {encoded}\n  signerName: kubernetes.io/kube-apiserver-client\n  usages: [client auth]\n"
    ));
    let signed = || machine.kubectl(&format!("get csr {user} -o jsonpath={{.status.certificate}}"));
    assert_eq!(signed(), "", "nothing is signed before it is approved");
    assert_eq!(
        machine.kubectl(&format!("certificate approve {user}")),
        format!("certificatesigningrequest.certificates.k8s.io/{user} approved\n")
    );
    machine.until(
        "the certificate is signed",
        |_| if signed().is_empty() { Err("no certificate".into()) } else { Ok(()) },
    );
    let mut pem = base64::engine::general_purpose::STANDARD.decode(signed()).unwrap();
    pem.extend(std::fs::read(key).unwrap());
    std::fs::write(path("pem"), pem).unwrap();
    Who::Certificate(path("pem"))
}

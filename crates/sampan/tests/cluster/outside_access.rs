//! Users and permissions that others look after: issuers of tokens and webhooks, named by flags or by files.

mod others;

use crate::harness::{Cluster, Machine, possible, run, said};
use crate::https::{Https, Who};
use others::{KNOWN_TOKEN, Others, now};
use serde_json::json;
use std::process::Output;

/// `kubectl` of one who has a token and nothing else.
fn kubectl_with(machine: &Machine, token: &str, arguments: &str) -> Output {
    let mut command = machine.inside("kubectl");
    command.env("KUBECONFIG", "/dev/null").args(["--server", "https://127.0.0.1:6443", "--token", token]);
    command.arg("--certificate-authority").arg(machine.data_dir.join("pki/server-ca.pem"));
    run(command.args(arguments.split(' ')))
}

fn whoami(machine: &Machine, token: &str) -> String {
    let who = "auth whoami -o=jsonpath={.status.userInfo.username}:{.status.userInfo.groups}";
    let output = kubectl_with(machine, token, who);
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(machine: &Machine, token: &str, arguments: &str, why: &str) {
    let output = kubectl_with(machine, token, arguments);
    assert!(!output.status.success() && said(&output).contains(why), "{arguments}: {}", said(&output));
}

fn allowed(machine: &Machine, token: &str, arguments: &str) {
    machine.until(arguments, |machine| {
        let output = kubectl_with(machine, token, arguments);
        if output.status.success() { Ok(()) } else { Err(said(&output)) }
    });
}

#[test]
fn flags_name_an_issuer_and_webhooks() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    let others = Others::on(machine, folder.path());
    let (tokens, access) = (others.kubeconfig(folder.path(), "tokens"), others.kubeconfig(folder.path(), "access"));
    let files = [&others.authority, &tokens, &access].map(|file| file.to_str().unwrap());
    let flags = format!(
        "--oidc-issuer-url {} --oidc-client-id sampan --oidc-username-prefix oidc: --oidc-groups-claim groups \
         --oidc-groups-prefix team: --oidc-required-claim org=acme --oidc-ca-file {} --oidc-signing-algs ES256 \
         --authentication-token-webhook-config-file {} --authentication-token-webhook-version v1 \
         --authorization-mode Node,Webhook,RBAC --authorization-webhook-config-file {} \
         --authorization-webhook-version v1 --authorization-webhook-cache-unauthorized-ttl 0s",
        others.url, files[0], files[1], files[2]
    );
    machine.up_server_with(&flags.split(' ').collect::<Vec<_>>());
    machine.kubectl("create rolebinding red --clusterrole=view --group=team:red");

    let ann = others.token(json!({"sub": "ann", "groups": ["red"], "org": "acme"}));
    assert_eq!(whoami(machine, &ann), r#"oidc:ann:["team:red","system:authenticated"]"#);
    allowed(machine, &ann, "get pods");
    refused(machine, &ann, "get secrets", "User \"oidc:ann\" cannot list resource \"secrets\"");
    refused(machine, &ann, "get endpoints", "endpoints are nobody's business");
    let gone = "You must be logged in to the server";
    for claims in [
        json!({"sub": "ann", "org": "acme", "exp": now() - 1}),
        json!({"sub": "ann", "org": "other"}),
        json!({"sub": "ann", "org": "acme", "aud": "others"}),
    ] {
        refused(machine, &others.token(claims), "get pods", gone);
    }
    refused(machine, &format!("{ann}x"), "get pods", gone);

    assert_eq!(whoami(machine, KNOWN_TOKEN), r#"hook:bob:["hooked","system:authenticated"]"#);
    allowed(machine, KNOWN_TOKEN, "get configmaps");
    refused(machine, KNOWN_TOKEN, "get pods", "User \"hook:bob\" cannot list resource \"pods\"");
    refused(machine, "unknown-to-anybody", "get pods", gone);
    assert_eq!(machine.kubectl("auth can-i list configmaps --as hook:bob").trim(), "yes");
    // A webhook may allow to hand out what one has not: who admits roles asks it too.
    allowed(machine, &ann, "create role all --verb=* --resource=secrets");
    // What was started with the flags goes on with them.
    machine.stop();
    machine.up_again();
    assert_eq!(whoami(machine, &ann), r#"oidc:ann:["team:red","system:authenticated"]"#);
    cluster.finish();
}

#[test]
fn files_name_issuers_and_authorizers() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    let others = Others::on(machine, folder.path());
    let authority = std::fs::read_to_string(&others.authority).unwrap();
    let authority: String = authority.lines().map(|line| format!("      {line}\n")).collect();
    let who = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {{enabled: true, \
         conditions: [{{path: /livez}}]}}\njwt:\n- issuer:\n    url: {}\n    audiences: [sampan]\n    \
         certificateAuthority: |\n{authority}  claimMappings:\n    username: {{expression: \"'oidc:' + claims.sub\"}}\n    \
         groups: {{expression: \"claims.teams.map(team, 'team:' + team)\"}}\n",
        others.url
    );
    let may = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n- type: Webhook\n  name: \
         access\n  webhook:\n    authorizedTTL: 10s\n    unauthorizedTTL: 10s\n    timeout: 3s\n    \
         subjectAccessReviewVersion: v1\n    matchConditionSubjectAccessReviewVersion: v1\n    failurePolicy: Deny\n    \
         connectionInfo: {{type: KubeConfigFile, kubeConfigFile: {}}}\n    matchConditions:\n    - expression: \
         request.user.startsWith('oidc:')\n- {{type: Node, name: node}}\n- {{type: RBAC, name: rbac}}\n",
        others.kubeconfig(folder.path(), "access").display()
    );
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let who_later = who.replace("'oidc:' + claims.sub", "'later:' + claims.sub");
    let may_later = may.replace("startsWith('oidc:')", "startsWith('later:')");
    let (who, may) = (file("who.yaml", &who), file("may.yaml", &may));
    machine.up_server_with(&["--authentication-config", &who, "--authorization-config", &may]);
    machine.kubectl("create rolebinding red --clusterrole=view --group=team:red");
    let ann = others.token(json!({"sub": "ann", "teams": ["red"]}));
    assert_eq!(whoami(machine, &ann), r#"oidc:ann:["team:red","system:authenticated"]"#);
    allowed(machine, &ann, "get pods");
    allowed(machine, &ann, "get roles");
    refused(machine, &ann, "get endpoints", "endpoints are nobody's business");
    let api = Https::api(machine);
    assert_eq!(api.get(&Who::Nobody, "/livez").code, 200);
    assert_eq!(api.get(&Who::Nobody, "/version").code, 401, "nobody is let in elsewhere");
    // One that makes no sense changes nothing; one that does is in force at once.
    for (name, text) in [("who.yaml", "kind: Nonsense\n"), ("may.yaml", "kind: Nonsense\n")] {
        file(name, text);
    }
    for stays in ["the authentication configuration stays as it was", "the authorization configuration stays as it was"]
    {
        machine.until(stays, |machine| {
            let log = machine.whole_log();
            if log.contains(stays) { Ok(()) } else { Err(log) }
        });
    }
    assert_eq!(whoami(machine, &ann), r#"oidc:ann:["team:red","system:authenticated"]"#);
    file("who.yaml", &who_later);
    file("may.yaml", &may_later);
    for again in ["the authentication configuration was read again", "the authorization configuration was read again"] {
        machine.until(again, |machine| {
            let log = machine.whole_log();
            if log.contains(again) { Ok(()) } else { Err(log) }
        });
    }
    assert_eq!(whoami(machine, &ann), r#"later:ann:["team:red","system:authenticated"]"#);
    refused(machine, &ann, "get endpoints", "endpoints are nobody's business");
    cluster.finish();
}

#[test]
fn flags_that_make_no_sense_are_told_at_the_start() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::machines(1);
    let file = |name: &str, text: &str| -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let bad =
        file("bad.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers: []\n");
    let none = folder.path().join("none").to_str().unwrap().to_owned();
    for (flags, why) in [
        ("--authorization-mode Nonsense".to_owned(), "\"Nonsense\" is not a valid mode"),
        (
            "--authorization-mode Webhook,RBAC".to_owned(),
            "authorization-mode Webhook's authorization config file not passed",
        ),
        (
            format!("--authorization-mode RBAC --authorization-config {bad}"),
            "--authorization-config can not be specified when",
        ),
        (
            format!("--authorization-config {bad}"),
            "authorizers: Required value: at least one authorization mode must be defined",
        ),
        (format!("--authorization-config {none}"), "No such file or directory"),
        (format!("--authentication-config {bad}"), "no kind \"AuthorizationConfiguration\" is registered"),
        (
            "--oidc-issuer-url https://id.acme.io".to_owned(),
            "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set",
        ),
        ("--oidc-issuer-url http://id.acme.io --oidc-client-id a".to_owned(), "URL scheme must be https"),
        (
            format!("--oidc-issuer-url https://a.io --oidc-client-id a --oidc-ca-file {none}"),
            "No such file or directory",
        ),
        (
            "--authentication-token-webhook-cache-ttl soon".to_owned(),
            "--authentication-token-webhook-cache-ttl: \"soon\" is no duration as 30s or 5m",
        ),
        (format!("--authentication-token-webhook-config-file {none}"), "No such file or directory"),
    ] {
        not_started(cluster.first(), &flags, why);
    }
    let joined = cluster.first().join("https://192.168.77.9:6443", "x", &["--authorization-mode", "RBAC"]);
    assert!(said(&joined).contains("are for servers: a joined node asks its server"), "{}", said(&joined));
    cluster.finish();
}

fn not_started(machine: &Machine, flags: &str, why: &str) {
    let output = machine.try_server(&flags.split(' ').collect::<Vec<_>>());
    assert!(!output.status.success() && said(&output).contains(why), "{flags}: {}", said(&output));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!told.contains("panicked") && told.lines().count() < 12, "{flags}: {told}");
}

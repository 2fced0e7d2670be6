//! Objects made, shown, compared, changed and deleted.

use super::{Client, WEB, with_each_client};
use crate::harness::said;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn objects_are_made_shown_and_deleted() {
    with_each_client(|client| {
        create_and_delete(client);
        get_in_every_form(client);
        get_watches(client);
        describe(client);
    });
}

#[test]
fn objects_are_applied_compared_and_changed() {
    with_each_client(|client| {
        apply_and_diff(client);
        edit(client);
        patch(client);
        label_and_annotate(client);
    });
}

#[test]
fn the_server_explains_itself() {
    with_each_client(|client| {
        let resources = client.ok("api-resources --no-headers -o wide");
        let row = |name: &str| {
            let row = resources.lines().find(|line| line.split_whitespace().next() == Some(name));
            row.unwrap_or_else(|| panic!("{name} is not in\n{resources}"))
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
        };
        let verbs = "create,delete,deletecollection,get,list,patch,update,watch";
        assert_eq!(row("pods"), format!("pods po v1 true Pod {verbs} all"));
        assert_eq!(row("deployments"), format!("deployments deploy apps/v1 true Deployment {verbs} all"));
        assert_eq!(row("nodes"), format!("nodes no v1 false Node {verbs}"));
        let groups = client.ok("api-resources --api-group=batch -o name");
        assert_eq!(groups, "cronjobs.batch\njobs.batch\n");
        let versions = client.ok("api-versions");
        assert!(versions.lines().any(|line| line == "policy/v1"), "{versions}");

        let explained = client.ok("explain deployment.spec.strategy.type");
        assert!(explained.starts_with("GROUP:      apps\nKIND:       Deployment\nVERSION:    v1\n"), "{explained}");
        assert!(explained.contains("FIELD: type <string>"), "{explained}");
        assert!(explained.contains("\"Recreate\""), "{explained}");
        assert_eq!(client.fails(1, "explain pod.spec.nonsense"), "error: field \"nonsense\" does not exist\n");

        let info = client.ok("cluster-info");
        assert!(info.contains("Kubernetes control plane") && info.contains("https://127.0.0.1:6443"), "{info}");
        let version: Value = serde_json::from_str(&client.ok("version -o json")).unwrap();
        assert_eq!(version["serverVersion"]["minor"], "37");
        assert_eq!(client.ok("get --raw /readyz"), "ok");

        assert_eq!(client.ok("auth can-i create deployments.apps"), "yes\n");
        let refused =
            client.try_args(&["auth", "can-i", "list", "secrets", "--as=system:serviceaccount:default:default"]);
        assert_eq!((refused.status.code(), &refused.stdout[..]), (Some(1), &b"no\n"[..]), "{}", said(&refused));
        let me: Value = serde_json::from_str(&client.ok("auth whoami -o json")).unwrap();
        assert_eq!(me["status"]["userInfo"]["groups"], serde_json::json!(["system:masters", "system:authenticated"]));
    });
}

fn create_and_delete(client: &Client<'_>) {
    assert_eq!(client.ok("create configmap a --from-literal=k=v"), "configmap/a created\n");
    assert_eq!(
        client.fails(1, "create configmap a --from-literal=k=v"),
        "error: failed to create configmap: configmaps \"a\" already exists\n"
    );
    assert_eq!(client.ok("create secret generic s --from-literal=k=v"), "secret/s created\n");
    assert_eq!(client.ok("get secret s -o jsonpath={.data.k}"), "dg==");
    assert_eq!(client.ok("create serviceaccount who"), "serviceaccount/who created\n");
    assert_eq!(client.ok("create configmap dry --dry-run=server -o name"), "configmap/dry\n");
    let missing = "Error from server (NotFound): configmaps \"dry\" not found\n";
    assert_eq!(client.fails(1, "get configmap dry"), missing);
    assert_eq!(client.fails(1, "delete configmap dry"), missing);
    let deleted = client.ok("delete configmap,secret a s --ignore-not-found");
    for line in ["configmap \"a\" deleted", "secret \"s\" deleted"] {
        assert!(deleted.contains(line), "{deleted}");
    }
    client.file("three.yaml", &["u", "v", "x"].map(config_map).join("---\n"));
    client.ok("create -f three.yaml");
    let named = |names: &str| client.ok("get configmaps -l made=three -o name") == names;
    assert!(named("configmap/u\nconfigmap/v\nconfigmap/x\n"));
    client.ok("delete configmaps -l made=three");
    assert!(named(""));
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{made: three}}}}\n")
}

fn get_in_every_form(client: &Client<'_>) {
    client.file("web.yaml", WEB);
    assert_eq!(client.ok("create -f web.yaml"), "deployment.apps/web created\n");
    client.ok("wait --for=condition=Available deployment/web --timeout=120s");
    let table = client.ok("get deployment web");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]);
    assert_eq!(rows[1][..4], ["web", "2/2", "2", "2"]);
    let wide = client.ok("get pods -o wide");
    let header: Vec<&str> =
        wide.lines().next().unwrap().split("  ").filter(|word| !word.is_empty()).map(str::trim).collect();
    let expected = ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", "NOMINATED NODE", "READINESS GATES"];
    assert_eq!(header, expected);
    assert_eq!(wide.lines().filter(|line| line.contains(" Running ") && line.contains(" n0 ")).count(), 2, "{wide}");

    let json: Value = serde_json::from_str(&client.ok("get deployment web -o json")).unwrap();
    assert_eq!((&json["kind"], &json["spec"]["replicas"]), (&"Deployment".into(), &2.into()));
    let yaml = client.ok("get deployment web -o yaml");
    assert!(yaml.starts_with("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n"), "{yaml}");
    assert_eq!(client.ok("get pods -o jsonpath={.items[*].status.phase}"), "Running Running");
    let columns =
        "get deployment web -o custom-columns=WHO:.metadata.name,IMAGE:.spec.template.spec.containers[*].image";
    assert_eq!(client.ok(columns), "WHO   IMAGE\nweb   user-center:v1.0\n");
    assert_eq!(client.ok("get deployment,service -o name"), "deployment.apps/web\n");
    assert_eq!(client.ok("get pods --field-selector=status.phase=Failed -o name"), "");
    assert_eq!(client.ok("get pods -l app=web,app!=web -o name"), "");
    assert_eq!(client.ok("get pods --chunk-size=1 --no-headers").lines().count(), 2);
    assert_eq!(client.fails(1, "get nonsense"), "error: the server doesn't have a resource type \"nonsense\"\n");
}

fn get_watches(client: &Client<'_>) {
    client.ok("create configmap w");
    let arguments =
        ["get", "configmap", "w", "--watch", "--output-watch-events", "--no-headers", "--request-timeout=30s"];
    let mut watch = client.command(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || lines.next().expect("the watch ended too early").unwrap();
    let mut expect = |kind: &str, data: &str| {
        let line = next();
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(words[..3], [kind, "w", data], "{line}");
    };
    expect("ADDED", "0");
    client.ok_args(&["patch", "configmap", "w", "-p", r#"{"data":{"k":"v"}}"#]);
    expect("MODIFIED", "1");
    client.ok("delete configmap w");
    expect("DELETED", "1");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

fn describe(client: &Client<'_>) {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let deployment = words(&client.ok("describe deployment web"));
    for part in [
        "Replicas: 2 desired | 2 updated | 2 total | 2 available | 0 unavailable",
        "Available True MinimumReplicasAvailable",
        "NewReplicaSet: web-",
        "Normal ScalingReplicaSet",
    ] {
        assert!(deployment.contains(part), "{part} is not in\n{deployment}");
    }
    let pod = client.ok("get pods -o jsonpath={.items[0].metadata.name}");
    let pods = words(&client.ok(&format!("describe pod {pod}")));
    for part in [
        "Controlled By: ReplicaSet/web-",
        "State: Running",
        "Ready True",
        "Successfully assigned",
        "QoS Class: BestEffort",
    ] {
        assert!(pods.contains(part), "{part} is not in\n{pods}");
    }
    let node = words(&client.ok("describe node n0"));
    for part in ["Ready True", "InternalIP: 192.168.77.1", "PodCIDR: 10.42.0.0/22", "Kubelet Version: v1.37."] {
        assert!(node.contains(part), "{part} is not in\n{node}");
    }
    client.ok("delete deployment web --cascade=foreground --timeout=120s");
    assert_eq!(client.ok("get pods,replicasets -o name"), "", "foreground deletion waits for what is below");
}

fn apply_and_diff(client: &Client<'_>) {
    client.file("web.yaml", WEB);
    client.file("more.yaml", &WEB.replace("replicas: 2", "replicas: 3"));
    assert_eq!(client.try_args(&["diff", "-f", "web.yaml"]).status.code(), Some(1), "what is not there differs");
    assert_eq!(client.ok("apply -f web.yaml"), "deployment.apps/web created\n");
    assert_eq!(client.ok("apply -f web.yaml"), "deployment.apps/web unchanged\n");
    assert_eq!(client.ok("diff -f web.yaml"), "");
    let differs = client.try_args(&["diff", "-f", "more.yaml"]);
    let text = String::from_utf8_lossy(&differs.stdout);
    assert_eq!(differs.status.code(), Some(1), "{}", said(&differs));
    assert!(text.contains("\n-  replicas: 2\n+  replicas: 3\n"), "{text}");
    assert_eq!(client.ok("get deployment web -o jsonpath={.spec.replicas}"), "2", "diff changes nothing");
    assert_eq!(client.ok("apply -f more.yaml"), "deployment.apps/web configured\n");
    assert_eq!(client.ok("get deployment web -o jsonpath={.spec.replicas}"), "3");

    // What the manifest no longer has is taken away; what others set stays.
    client.ok("label deployment web others=stay");
    client.file("less.yaml", &WEB.replace("  labels: {app: web}\nspec", "  labels: {}\nspec"));
    client.ok("apply -f less.yaml");
    assert_eq!(client.ok("get deployment web -o jsonpath={.metadata.labels}"), r#"{"others":"stay"}"#);
    client.file("gone.yaml", &config_map("gone"));
    client.file("kept.yaml", &config_map("kept"));
    client.ok("apply -f gone.yaml -f kept.yaml");
    let pruned = client.ok("apply -f kept.yaml --prune -l made=three --prune-allowlist=core/v1/ConfigMap");
    assert!(pruned.contains("configmap/gone pruned"), "{pruned}");
    client.file("strict.yaml", &config_map("strict").replace("kind:", "datta: {}\nkind:"));
    let refused = client.fails(1, "apply -f strict.yaml");
    assert!(refused.contains("strict decoding error: unknown field \"datta\""), "{refused}");
}

fn edit(client: &Client<'_>) {
    let edited = |script: &str| {
        let mut command = client.command(&["edit", "deployment", "web"]);
        crate::harness::run(command.env("KUBE_EDITOR", script))
    };
    let output = edited("sed -i 's/^  replicas: .*/  replicas: 1/'");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "deployment.apps/web edited\n", "{}", said(&output));
    assert_eq!(client.ok("get deployment web -o jsonpath={.spec.replicas}"), "1");
    let output = edited("true");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "Edit cancelled, no changes made.\n", "{}", said(&output));
}

fn patch(client: &Client<'_>) {
    let patch = |kind: &str, text: &str| client.ok_args(&["patch", "deployment", "web", "--type", kind, "-p", text]);
    // Strategic: the container is found by its name, and keeps its image.
    let strategic =
        r#"{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"A","value":"1"}]}]}}}}"#;
    assert_eq!(patch("strategic", strategic), "deployment.apps/web patched\n");
    let generation = || client.ok("get deployment web -o jsonpath={.metadata.generation}");
    // The controller's annotation of the revision counts too; it stands when the rollout is over.
    client.ok("rollout status deployment web --timeout=120s");
    let before = generation();
    // Whether it says "(no change)" is the controller's matter too: kubectl compares the whole object, with its status.
    assert!(patch("strategic", strategic).starts_with("deployment.apps/web patched"));
    assert_eq!(generation(), before, "the same patch changes nothing");
    client.ok("create configmap p --from-literal=a=1");
    let nothing = client.ok_args(&["patch", "configmap", "p", "--type", "strategic", "-p", r#"{"data":{"a":"1"}}"#]);
    assert_eq!(nothing, "configmap/p patched (no change)\n");
    let container = "get deployment web -o jsonpath={.spec.template.spec.containers[*]['image','env']}";
    assert_eq!(client.ok(container), r#"user-center:v1.0 [{"name":"A","value":"1"}]"#);
    assert_eq!(patch("merge", r#"{"metadata":{"labels":{"a":"1","others":null}}}"#), "deployment.apps/web patched\n");
    assert_eq!(client.ok("get deployment web -o jsonpath={.metadata.labels}"), r#"{"a":"1"}"#);
    let operations = r#"[{"op":"test","path":"/metadata/labels/a","value":"1"},{"op":"replace","path":"/metadata/labels/a","value":"2"}]"#;
    assert_eq!(patch("json", operations), "deployment.apps/web patched\n");
    let again = client.try_args(&["patch", "deployment", "web", "--type=json", "-p", operations]);
    assert_eq!(again.status.code(), Some(1), "the test of the patch no longer holds: {}", said(&again));
    assert_eq!(client.ok("get deployment web -o jsonpath={.metadata.labels.a}"), "2");
}

fn label_and_annotate(client: &Client<'_>) {
    client.ok("create configmap l");
    assert_eq!(client.ok("label configmap l a=b"), "configmap/l labeled\n");
    assert_eq!(client.ok("label configmap l a=b"), "configmap/l not labeled\n");
    assert_eq!(
        client.fails(1, "label configmap l a=c"),
        "error: 'a' already has a value (b), and --overwrite is false\n"
    );
    client.ok("label configmap l a=c --overwrite");
    assert_eq!(client.ok("get configmap -l a=c -L a --no-headers").split_whitespace().nth(3), Some("c"));
    assert_eq!(client.ok("label configmap l a-"), "configmap/l unlabeled\n");
    assert_eq!(client.ok("annotate configmap l who=me"), "configmap/l annotated\n");
    assert_eq!(client.ok("get configmap l -o jsonpath={.metadata.annotations}"), r#"{"who":"me"}"#);
    let illegal = client.fails(1, "label configmap l a=b/c");
    assert!(
        illegal.contains("a valid label must be an empty string or consist of alphanumeric characters"),
        "{illegal}"
    );
}

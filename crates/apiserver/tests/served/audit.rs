//! The audit log of real requests: each stage's event, with what its level has.

use crate::cluster::{Cluster, http, now};
use crate::streams;
use api::Kind;
use apiserver::audit::AuditOptions;
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

struct Audited {
    cluster: Cluster,
    log: PathBuf,
    _folder: tempfile::TempDir,
}

/// A cluster whose policy has these rules, which are about others than the server's own components.
async fn start(policy: &str) -> Audited {
    let own = "{level: None, users: [\"system:apiserver\"]}";
    let policy = policy.replace("rules:\n", &format!("rules:\n- {own}\n"));
    start_with(&policy.replace("rules: [", &format!("rules: [{own}, "))).await
}

async fn start_with(policy: &str) -> Audited {
    let folder = tempfile::tempdir().unwrap();
    let (file, log) = (folder.path().join("policy.yaml"), folder.path().join("logs/audit.log"));
    std::fs::write(&file, format!("apiVersion: audit.k8s.io/v1\nkind: Policy\n{policy}\n")).unwrap();
    let options = AuditOptions { policy_file: Some(file), log_path: Some(log.clone()), ..AuditOptions::default() };
    Audited { cluster: Cluster::audited(&options).await, log, _folder: folder }
}

impl Audited {
    /// Every event that was ever made.
    fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.log).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// `stage verb uri code` of each.
    fn told(&self) -> Vec<String> {
        let events = self.events();
        let short = events.iter().map(|event| {
            let text = |key: &str| event[key].as_str().unwrap().to_owned();
            let code = &event["responseStatus"]["code"];
            format!("{} {} {} {code}", text("stage"), text("verb"), text("requestURI"))
        });
        short.collect()
    }

    /// Until an event of that stage is there: a stream's end is told of behind the client's back.
    async fn wait_for(&self, stage: &str) {
        let waited = async {
            while !self.told().iter().any(|event| event.starts_with(stage)) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waited).await.expect("the event comes");
    }
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"a": "b"}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_told_of_with_what_its_level_has() {
    let audited = start(
        "omitStages: [RequestReceived]\n\
         rules:\n\
         - {level: None, verbs: [get]}\n\
         - {level: RequestResponse, omitManagedFields: true, resources: [{resources: [configmaps], resourceNames: [told]}]}\n\
         - {level: Request, verbs: [create, patch], resources: [{resources: [configmaps]}]}\n\
         - {level: Metadata, resources: [{resources: [configmaps]}]}",
    );
    let audited = audited.await;
    let cluster = &audited.cluster;
    let created = cluster.post(MAPS, map("told")).await.expect(201);
    cluster.get(&format!("{MAPS}/told")).await.expect(200);
    cluster.patch("merge", &format!("{MAPS}/told"), json!({"data": {"a": "c"}})).await.expect(200);
    cluster.put(&format!("{MAPS}/other"), map("other")).await.expect(404);
    cluster.delete(&format!("{MAPS}/told?gracePeriodSeconds=0")).await.expect(200);
    let told = audited.told();
    assert_eq!(
        told,
        [
            format!("ResponseComplete create {MAPS} 201"),
            format!("ResponseComplete patch {MAPS}/told 200"),
            format!("ResponseComplete update {MAPS}/other 404"),
            format!("ResponseComplete delete {MAPS}/told?gracePeriodSeconds=0 200"),
        ]
    );
    let [create, patch, update, delete] = audited.events().try_into().unwrap();
    assert_eq!(create["kind"], "Event");
    assert_eq!(create["apiVersion"], "audit.k8s.io/v1");
    assert_eq!(create["level"], "Request", "the name was not in the path");
    assert_eq!(create["auditID"], created.header("audit-id"));
    assert_eq!(create["user"]["groups"], json!(["system:masters", "system:authenticated"]));
    assert_eq!(create["sourceIPs"], json!(["127.0.0.1"]));
    let reference = json!({"resource": "configmaps", "namespace": "default", "name": "told", "apiVersion": "v1"});
    assert_eq!(create["objectRef"], reference);
    assert_eq!(create["responseStatus"], json!({"metadata": {}, "code": 201}));
    assert_eq!(create["requestObject"], map("told"));
    assert_eq!(create["responseObject"], Value::Null);
    assert_eq!(create["annotations"]["authorization.k8s.io/decision"], "allow");
    assert_eq!(create["annotations"]["authorization.k8s.io/reason"], "");
    let stamps = ["requestReceivedTimestamp", "stageTimestamp"].map(|key| create[key].as_str().unwrap().to_owned());
    assert!(
        stamps[0] <= stamps[1] && stamps.iter().all(|stamp| stamp.len() == 27 && stamp.ends_with('Z')),
        "{stamps:?}"
    );
    assert_eq!(patch["level"], "RequestResponse");
    assert_eq!(patch["requestObject"], json!({"data": {"a": "c"}}));
    assert_eq!(patch["responseObject"]["data"], json!({"a": "c"}));
    assert_eq!(patch["responseObject"]["metadata"]["managedFields"], Value::Null);
    assert_eq!(update["level"], "Metadata");
    assert_eq!(update["requestObject"], Value::Null);
    assert_eq!(update["responseStatus"]["reason"], "NotFound");
    assert_eq!(update["responseStatus"]["message"], "configmaps \"other\" not found");
    assert_eq!(delete["responseStatus"]["status"], "Success");
    let metrics = String::from_utf8(cluster.get("/metrics").await.expect(200).body.to_vec()).unwrap();
    assert!(metrics.contains("apiserver_audit_event_total 4\n"), "{metrics}");
    assert!(metrics.contains("apiserver_audit_level_total{level=\"RequestResponse\"} 2\n"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_refused_is_told_of() {
    let audited = start("rules: [{level: Metadata}]").await;
    let cluster = &audited.cluster;
    let ann = http(&cluster.pki, Some(&cluster.pki.issue_client("ann", &["devs"], now()).unwrap()));
    let nobody = http(&cluster.pki, None);
    let headers = [("audit-id", "mine"), ("x-forwarded-for", "192.0.2.7"), ("user-agent", "probe/1")];
    let refused = cluster.open(&ann, "GET", "/api/v1/secrets?limit=5", &headers, "").await;
    assert_eq!((refused.status().as_u16(), refused.headers()["audit-id"].to_str().unwrap()), (403, "mine"));
    let unknown = cluster.open(&nobody, "GET", MAPS, &[("authorization", "Bearer nonsense")], "").await;
    assert_eq!(unknown.status(), 401);
    cluster.send("GET", MAPS, &[("impersonate-user", "eve")], "").await.expect(403);
    assert_eq!(
        audited.told(),
        [
            "RequestReceived list /api/v1/secrets?limit=5 null".to_owned(),
            "ResponseComplete list /api/v1/secrets?limit=5 403".to_owned(),
            format!("ResponseStarted list {MAPS} 401"),
            format!("RequestReceived list {MAPS} null"),
            format!("ResponseComplete list {MAPS} 403"),
        ]
    );
    let [received, forbidden, unknown, _, impersonated] = audited.events().try_into().unwrap();
    assert_eq!(received["requestReceivedTimestamp"], received["stageTimestamp"]);
    assert_eq!(received["annotations"], Value::Null, "nobody was asked yet");
    assert_eq!(forbidden["auditID"], "mine");
    assert_eq!(forbidden["userAgent"], "probe/1");
    assert_eq!(forbidden["sourceIPs"], json!(["192.0.2.7", "127.0.0.1"]));
    assert_eq!(forbidden["user"]["username"], "ann");
    assert_eq!(forbidden["user"]["groups"], json!(["devs", "system:authenticated"]));
    assert_eq!(forbidden["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(forbidden["responseStatus"]["status"], "Failure");
    assert_eq!(forbidden["responseStatus"]["reason"], "Forbidden");
    assert_eq!(unknown["user"], json!({}));
    assert_eq!(unknown["responseStatus"]["message"], "Authentication failed, attempted: bearer");
    assert_eq!(impersonated["impersonatedUser"]["username"], "eve");
    assert!(impersonated["user"]["groups"].to_string().contains("system:masters"), "{impersonated}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_told_of_when_it_begins_and_when_it_ends() {
    let audited = start("omitStages: [RequestReceived]\nrules: [{level: Request, verbs: [watch]}]").await;
    let path = format!("{MAPS}?watch=1");
    let watch = audited.cluster.open(&audited.cluster.http, "GET", &path, &[], "").await;
    assert_eq!(audited.told(), [format!("ResponseStarted watch {path} 200")]);
    let mut body = watch.into_body();
    audited.cluster.post(MAPS, map("a")).await.expect(201);
    assert!(body.frame().await.is_some());
    drop(body);
    audited.wait_for("ResponseComplete").await;
    assert_eq!(audited.told().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_a_container_is_told_of() {
    let audited = start(
        "omitStages: [RequestReceived]\nrules: [{level: Metadata, resources: [{resources: [pods/exec, pods/log]}]}]",
    );
    let audited = audited.await;
    streams::add_pod(&audited.cluster).await;
    let log = "/api/v1/namespaces/default/pods/p/log?container=a";
    audited.cluster.get(log).await.expect(200);
    audited.wait_for("ResponseComplete").await;
    assert_eq!(audited.told(), [format!("ResponseStarted get {log} 200"), format!("ResponseComplete get {log} 200")]);
    let path = "/api/v1/namespaces/default/pods/p/exec?container=a&stdout=1&command=ls";
    streams::echo(&audited.cluster, path).await;
    audited.wait_for("ResponseComplete create").await;
    let told = audited.told();
    assert_eq!(
        told[2..],
        [format!("ResponseStarted create {path} 101"), format!("ResponseComplete create {path} 101")]
    );
    assert_eq!(audited.events()[2]["objectRef"]["subresource"], "exec");
}

#[tokio::test(flavor = "multi_thread")]
async fn components_inside_the_server_are_told_of() {
    let audited = start_with(
        "omitStages: [RequestReceived]\n\
         rules:\n\
         - {level: Request, users: [\"system:apiserver\"], namespaces: [inside], resources: [{resources: [configmaps]}]}\n\
         - {level: None}",
    )
    .await;
    let cluster = &audited.cluster;
    cluster.post("/api/v1/namespaces", json!({"metadata": {"name": "inside"}})).await.expect(201);
    let object: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "told", "namespace": "inside"}})).unwrap();
    cluster.client.create(&object).await.unwrap();
    cluster.client.create(&object).await.unwrap_err();
    cluster.client.get::<ConfigMap>("inside", "none").await.unwrap_err();
    let watch = client::WatchRequest {
        def: &ConfigMap::DEF,
        namespace: "inside".to_owned(),
        label_selector: "a=b".to_owned(),
        field_selector: String::new(),
        resource_version: String::new(),
    };
    drop(cluster.client.transport().watch(watch).await.unwrap());
    audited.wait_for("ResponseComplete watch").await;
    let maps = "/api/v1/namespaces/inside/configmaps";
    assert_eq!(
        audited.told(),
        [
            format!("ResponseComplete create {maps} 201"),
            format!("ResponseComplete create {maps} 409"),
            format!("ResponseComplete get {maps}/none 404"),
            format!("ResponseStarted watch {maps}?labelSelector=a%3Db&watch=true 200"),
            format!("ResponseComplete watch {maps}?labelSelector=a%3Db&watch=true 200"),
        ]
    );
    let create = &audited.events()[0];
    assert_eq!(create["user"]["username"], "system:apiserver");
    assert_eq!((&create["userAgent"], &create["sourceIPs"]), (&json!("apiserver"), &json!(["127.0.0.1"])));
    assert_eq!(create["requestObject"]["metadata"]["name"], "told");
    assert_eq!(create["annotations"]["authorization.k8s.io/decision"], "allow");
    audited.cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_and_pages_in_front_of_the_api_are_told_of_without_their_secrets() {
    let audited = start("omitStages: [RequestReceived]\nrules:\n- {level: RequestResponse}").await;
    let cluster = &audited.cluster;
    let login = cluster.send("POST", "/pages/login", &[("authorization", "Bearer not.a.token")], "anna").await;
    assert_eq!((login.code, login.header("x-protected")), (201, "yes"));
    assert_eq!(cluster.send("GET", "/pages/refused", &[], "").await.expect(401).header("x-protected"), "yes");
    cluster.send("POST", "/pages/login", &[], "a".repeat(101)).await.expect(413);
    cluster.get("/pages/stuck?timeout=1s").await.expect(504);
    let metrics = String::from_utf8(cluster.get("/metrics").await.expect(200).body.to_vec()).unwrap();
    assert!(metrics.lines().any(|line| line.starts_with("apiserver_request_total{") && line.contains("code=\"413\"")));
    let told: Vec<String> = audited.told().into_iter().filter(|event| event.contains("/pages/")).collect();
    assert_eq!(
        told,
        [
            "ResponseComplete post /pages/login 201",
            "ResponseComplete get /pages/refused 401",
            "ResponseComplete post /pages/login 413",
            "ResponseComplete get /pages/stuck?timeout=1s 504",
        ]
    );
    let events = audited.events();
    let event = events.iter().find(|event| event["requestURI"] == "/pages/login").unwrap();
    assert_eq!(event["annotations"]["dashboard.sampan.dev/user"], "anna");
    assert_eq!((&event["requestObject"], &event["responseObject"]), (&Value::Null, &Value::Null));
    assert_eq!(event["auditID"], login.header("audit-id"));
    audited.cluster.shutdown().await;
}

//! Queues over a log and a webhook: what waits, what is tried again, and what is lost.

use super::event::Event;
use super::*;
use crate::authz::memory;
use crate::test_server::{self, Answers};
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use policy::Stage;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::sync::Notify;

fn event(id: &str) -> Event {
    let then = MicroTime("2026-01-02T03:04:05.000006Z".parse::<Timestamp>().unwrap());
    Event {
        level: Level::Request,
        audit_id: id.to_owned(),
        stage: Stage::ResponseComplete,
        request_uri: "/api/v1/nodes?a=\"b\"".to_owned(),
        verb: "list".to_owned(),
        user: UserInfo { username: Some("ann".to_owned()), ..UserInfo::default() },
        impersonated_user: None,
        authentication_metadata: None,
        source_ips: vec!["192.0.2.1".to_owned()],
        user_agent: "probe".to_owned(),
        object_ref: None,
        response_status: Some(event::ResponseStatus::of(200)),
        request_object: objects::line(format!("{{\"text\":{:?}}}", "x".repeat(500)).as_bytes(), false),
        response_object: None,
        request_received_timestamp: then.clone(),
        stage_timestamp: then,
        annotations: Default::default(),
    }
}

/// A server that keeps the lists that it is sent, after as many refusals as are asked for.
struct Collector {
    folder: tempfile::TempDir,
    lists: Arc<Mutex<Vec<Value>>>,
    changed: Arc<Notify>,
    server: test_server::TestServer,
}

impl Collector {
    async fn start(refusals: usize) -> Collector {
        let (lists, changed) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (kept, told, left) = (lists.clone(), changed.clone(), Mutex::new(refusals));
        let answers: Answers = Arc::new(move |_, list| {
            let mut left = left.lock();
            if *left > 0 {
                *left -= 1;
                return (403, json!({}));
            }
            kept.lock().push(list);
            told.notify_one();
            (200, json!({}))
        });
        Collector { folder: tempfile::tempdir().unwrap(), lists, changed, server: test_server::start(answers).await }
    }

    fn options(&self) -> AuditOptions {
        let policy = self.folder.path().join("policy.yaml");
        std::fs::write(&policy, "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Request}]\n").unwrap();
        AuditOptions {
            policy_file: Some(policy),
            webhook_config_file: Some(self.server.kubeconfig(self.folder.path())),
            webhook_initial_backoff: Some(Duration::from_millis(1)),
            webhook_batch_max_wait: Some(Duration::from_millis(200)),
            ..AuditOptions::default()
        }
    }

    fn open(&self, options: &AuditOptions) -> Arc<Audit> {
        Audit::open(options, &Callout::new(&memory::client().0)).unwrap().unwrap()
    }

    /// The events of each list.
    fn batches(&self) -> Vec<Vec<String>> {
        let id = |event: &Value| event["auditID"].as_str().unwrap().to_owned();
        self.lists.lock().iter().map(|list| list["items"].as_array().unwrap().iter().map(id).collect()).collect()
    }

    async fn heard(&self) {
        tokio::time::timeout(Duration::from_secs(60), self.changed.notified()).await.expect("a list comes");
    }
}

fn blocking() -> SinkOptions {
    SinkOptions { mode: Some("blocking".to_owned()), ..SinkOptions::default() }
}

#[tokio::test]
async fn a_webhook_is_sent_lists_and_tried_again() {
    let collector = Collector::start(2).await;
    let options = AuditOptions { webhook_batch_max_size: Some(2), ..collector.options() };
    let audit = collector.open(&options);
    for id in ["a", "b", "c"] {
        assert!(audit.put(&event(id)).await);
    }
    collector.heard().await;
    audit.end().await;
    assert_eq!(collector.batches().concat(), ["a", "b", "c"], "in order, the rest when the server ends");
    assert_eq!(collector.batches()[0].len(), 2);
    let lists = collector.lists.lock();
    assert_eq!((&lists[0]["kind"], &lists[0]["apiVersion"]), (&json!("EventList"), &json!("audit.k8s.io/v1")));
    let item = &lists[0]["items"][0];
    assert_eq!((&item["kind"], &item["stage"]), (&Value::Null, &json!("ResponseComplete")));
    assert_eq!(item["stageTimestamp"], "2026-01-02T03:04:05.000006Z");
}

#[tokio::test]
async fn a_batch_does_not_wait_for_ever() {
    let collector = Collector::start(0).await;
    let audit = collector.open(&collector.options());
    audit.put(&event("a")).await;
    collector.heard().await;
    assert_eq!(collector.batches(), [["a"]]);
    audit.end().await;
}

#[tokio::test]
async fn who_blocks_waits_until_the_webhook_has_the_event() {
    let collector = Collector::start(1).await;
    let options = AuditOptions { webhook: blocking(), ..collector.options() };
    let audit = collector.open(&options);
    assert!(audit.put(&event("a")).await);
    assert_eq!(collector.batches(), [["a"]], "it is there when the wait is over");
    audit.end().await;
}

#[tokio::test]
async fn what_no_try_delivers_is_counted_and_refuses_only_where_it_is_a_condition() {
    for (mode, goes_on) in [("blocking", true), ("blocking-strict", false), ("batch", true)] {
        let collector = Collector::start(100).await;
        let webhook = SinkOptions { mode: Some(mode.to_owned()), ..SinkOptions::default() };
        let audit = collector.open(&AuditOptions { webhook, ..collector.options() });
        assert_eq!(audit.put(&event("a")).await, goes_on, "{mode}");
        audit.end().await;
        let mut text = String::new();
        audit.metrics(&mut text);
        assert!(text.contains("apiserver_audit_error_total{plugin=\"webhook\"} 1\n"), "{mode}: {text}");
        assert!(text.contains("apiserver_audit_event_total 1\n"), "{mode}: {text}");
    }
}

#[tokio::test]
async fn a_full_buffer_drops_what_comes() {
    let collector = Collector::start(0).await;
    let webhook = SinkOptions { batch_buffer_size: Some(3), ..SinkOptions::default() };
    let audit = collector.open(&AuditOptions { webhook, ..collector.options() });
    // On this one thread the task that empties the buffer does not run in between.
    for id in ["a", "b", "c", "d", "e"] {
        assert!(audit.put(&event(id)).await, "nobody is refused");
    }
    audit.end().await;
    assert_eq!(collector.batches().concat(), ["a", "b", "c"]);
    assert_eq!(audit.queues[0].lost(), 2);
}

#[tokio::test]
async fn a_big_event_loses_its_objects_and_only_then_itself() {
    let collector = Collector::start(0).await;
    let path = collector.folder.path().join("audit.log");
    let log = |bytes| SinkOptions { truncate_enabled: true, truncate_max_event_size: Some(bytes), ..blocking() };
    for (bytes, objects) in [(2000, Some(true)), (700, Some(false)), (100, None)] {
        let options = AuditOptions {
            log_path: Some(path.clone()),
            log: log(bytes),
            webhook_config_file: None,
            webhook_initial_backoff: None,
            webhook_batch_max_wait: None,
            ..collector.options()
        };
        let audit = collector.open(&options);
        audit.put(&event("a")).await;
        audit.end().await;
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let told: Option<Value> = text.lines().next().map(|line| serde_json::from_str(line).unwrap());
        let marked = |told: &Value| told["annotations"]["audit.k8s.io/truncated"] == "true";
        assert_eq!(told.as_ref().map(|told| told["requestObject"].is_object()), objects, "{bytes}");
        assert_eq!(told.as_ref().map(marked), objects.map(|has| !has), "{bytes}");
        assert_eq!(audit.queues[0].lost(), u64::from(objects.is_none()));
    }
}

#[test]
fn the_legacy_line_is_upstreams() {
    let mut event = event("a");
    event.user.groups = Some(vec!["devs".to_owned(), "ops".to_owned()]);
    assert_eq!(
        event.legacy(),
        "2026-01-02T03:04:05.000006Z AUDIT: id=\"a\" stage=\"ResponseComplete\" ip=\"192.0.2.1\" method=\"list\" \
         user=\"ann\" groups=\"\\\"devs\\\",\\\"ops\\\"\" as=\"<self>\" asgroups=\"<lookup>\" user-agent=\"probe\" \
         namespace=\"<none>\" uri=\"/api/v1/nodes?a=\\\"b\\\"\" response=\"200\""
    );
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let collector = Collector::start(0).await;
    let callout = Callout::new(&memory::client().0);
    let said = |options: &AuditOptions| Audit::open(options, &callout).err().unwrap().to_string();
    let options = collector.options();
    let none = Some(Path::new("/nonexistent/file").to_owned());
    let no_policy = said(&AuditOptions { policy_file: none.clone(), ..options.clone() });
    assert_eq!(no_policy, "reading /nonexistent/file: No such file or directory (os error 2)");
    let no_webhook = said(&AuditOptions { webhook_config_file: none, ..options.clone() });
    assert!(no_webhook.contains("/nonexistent/file"), "{no_webhook}");
    let no_log = said(&AuditOptions { log_path: Some("/proc/audit.log".into()), ..options });
    assert!(no_log.starts_with("opening the audit log /proc/audit.log: "), "{no_log}");
    assert!(Audit::open(&AuditOptions::default(), &callout).unwrap().is_none());
}

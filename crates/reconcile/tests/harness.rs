//! The harness against an in-memory server: read-your-writes, retries, delays, and its end.
#![expect(clippy::unwrap_used, reason = "a test's helpers fail as the test does")]

use api::k8s_openapi::api::core::v1::ConfigMap;
use api::{Kind, Reason, Status};
use async_trait::async_trait;
use client::testing::Fake;
use client::{Cache, Client};
use reconcile::{
    Action, Clock, Context, Controller, Error, Key, Reconcile, Recorder, Setup, each, owned_by, owner, split,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn setup(fake: &Fake, client: &Client) -> Setup {
    let server = fake.clone();
    let clock = Clock::new(move || server.now());
    Setup { client: client.clone(), clock: clock.clone(), events: Recorder::start(client.clone(), clock, "test", "") }
}

fn map(name: &str, want: usize) -> ConfigMap {
    serde_json::from_value(serde_json::json!({
        "metadata": {"namespace": "default", "name": name}, "data": {"want": want.to_string()},
    }))
    .unwrap()
}

fn want(map: &ConfigMap) -> Option<usize> {
    map.data.as_ref()?.get("want")?.parse().ok()
}

/// Keeps as many children as a map's `want` says, the simplest controller that can make duplicates.
struct Children {
    maps: Cache<ConfigMap>,
}

#[async_trait]
impl Reconcile for Children {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(parent) = self.maps.get_key(key) else { return Ok(Action::Done) };
        let Some(want) = want(&parent) else { return Ok(Action::Done) };
        let (namespace, _) = split(key);
        let uid = parent.metadata.uid.as_deref().unwrap_or_default();
        let children = self.maps.list_namespace(namespace);
        let children: Vec<_> = children.into_iter().filter(|map| owner::is_controlled_by(&map.metadata, uid)).collect();
        for _ in children.len()..want {
            let mut child = ConfigMap::default();
            child.metadata.namespace = Some(namespace.to_owned());
            child.metadata.generate_name = Some("child-".to_owned());
            child.metadata.owner_references = Some(vec![owner::reference(&*parent)]);
            ctx.create(&child).await?;
        }
        for child in children.iter().skip(want) {
            ctx.delete(&**child, None).await?;
        }
        Ok(Action::Done)
    }
}

fn children(fake: &Fake) -> usize {
    fake.all::<ConfigMap>().iter().filter(|map| map.metadata.owner_references.is_some()).count()
}

fn start(client: &Client, setup: &Setup) -> reconcile::Running {
    let maps = client.cache::<ConfigMap>();
    Controller::new("children", Children { maps: maps.clone() })
        .watches(maps.clone(), each)
        .watches(maps, owned_by::<ConfigMap, _>)
        .start(setup)
}

/// Advances tokio's time until nothing is left to do.
async fn settle() {
    tokio::time::sleep(Duration::from_secs(120)).await;
}

#[tokio::test(start_paused = true)]
async fn a_lagging_cache_makes_no_duplicates() {
    let (fake, client) = Fake::start();
    fake.set_lag(|_, revision| Duration::from_millis(revision * 7919 % 900));
    let running = start(&client, &setup(&fake, &client));
    client.create(&map("parent", 100)).await.unwrap();
    settle().await;
    assert_eq!(children(&fake), 100);
    for want in [40, 90, 0, 7] {
        let mut parent: ConfigMap = fake.get("default", "parent").unwrap();
        parent.data = map("", want).data;
        client.update(&parent).await.unwrap();
        settle().await;
        assert_eq!(children(&fake), want);
    }
    assert_eq!(fake.calls("create configmaps"), 1 + 100 + 50 + 7, "nothing was created in vain");
    assert!(running.metrics().deferred() > 0, "the lag was felt");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_makes_no_duplicate() {
    let (fake, client) = Fake::start();
    fake.set_lag(|_, _| Duration::from_secs(3));
    let running = start(&client, &setup(&fake, &client));
    // The server carries out every third create, and the answer is lost.
    let (count, behind) = (AtomicUsize::new(0), client.clone());
    let server = fake.clone();
    fake.set_fault(move |request| {
        let child = request.body.windows(6).any(|part| part == b"child-");
        if request.verb != client::Verb::Create || !child || count.fetch_add(1, Ordering::SeqCst) % 3 != 0 {
            return None;
        }
        let (behind, server, request) = (behind.clone(), server.clone(), request.clone());
        tokio::spawn(async move {
            let object: ConfigMap = serde_json::from_slice(&request.body).unwrap();
            server.clear_fault();
            behind.create(&object).await.unwrap();
        });
        Some(Status::new(Reason::Timeout, "the answer was lost"))
    });
    client.create(&map("parent", 10)).await.unwrap();
    settle().await;
    assert_eq!(children(&fake), 10);
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_object_that_came_and_went_unseen_does_not_block_its_key() {
    let (fake, client) = Fake::start();
    fake.set_lag(|_, _| Duration::from_secs(2));
    let running = start(&client, &setup(&fake, &client));
    client.create(&map("parent", 1)).await.unwrap();
    fake.until("the child", |fake| children(fake) == 1).await;
    let all = fake.all::<ConfigMap>();
    let child = all.iter().find(|map| map.metadata.name.as_deref() != Some("parent")).unwrap();
    let name = child.metadata.name.as_deref().unwrap();
    client.delete::<ConfigMap>("default", name, &client::DeleteOptions::default()).await.unwrap();
    settle().await;
    assert_eq!(children(&fake), 1, "the deleted child was replaced");
    running.stop().await;
}

struct Failing {
    runs: Arc<AtomicUsize>,
}

#[async_trait]
impl Reconcile for Failing {
    async fn reconcile(&self, ctx: &Context, _key: &Key) -> Result<Action, Error> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        assert_eq!(ctx.failures() as usize, run.min(4) % 4, "failures are counted until a success");
        match run {
            0..3 => Err(Error::Invalid("not yet".to_owned())),
            3 => Ok(Action::after(Duration::from_secs(10))),
            _ => Ok(Action::Done),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_backoff_and_delays_are_kept() {
    let (fake, client) = Fake::start();
    let runs = Arc::new(AtomicUsize::new(0));
    let controller =
        Controller::new("failing", Failing { runs: runs.clone() }).watches(client.cache::<ConfigMap>(), each);
    let running = controller.start(&setup(&fake, &client));
    client.create(&map("a", 0)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 4);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 5);
    assert_eq!(running.metrics().errors(), 3);
    let mut text = String::new();
    reconcile::write_metrics(&[running.gauge().read()], &mut text).unwrap();
    assert!(text.contains("sampan_reconcile_errors_total{name=\"failing\"} 3\n"), "{text}");
    running.stop().await;
    client.create(&map("b", 0)).await.unwrap();
    settle().await;
    assert_eq!(runs.load(Ordering::SeqCst), 5, "a stopped controller does nothing");
    assert_eq!(ConfigMap::DEF.kind, "ConfigMap");
}

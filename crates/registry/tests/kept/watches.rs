//! Watching: what each watcher is told, from where, and when it must begin anew.

use crate::open::{Kept, pod};
use api::Reason;
use api::selector::{FieldSelector, Selector};
use registry::{EventType, Resource, Revision, Selection, Start, Step, Watcher};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

fn labelled(label: &str) -> Selection {
    Selection { labels: Selector::parse(label).unwrap(), ..Selection::all("ns") }
}

fn with_field(path: &str, value: &str) -> Selection {
    Selection::new("", "", Selector::everything(), FieldSelector::equal(path, value))
}

async fn watch(kept: &Kept, resource: &Arc<Resource>, selection: Selection, start: Start) -> Watcher {
    kept.registry.watch(resource, selection, start).await.unwrap()
}

fn line(line: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(line).unwrap();
    let sign = match event["type"].as_str().unwrap() {
        "ADDED" => '+',
        "MODIFIED" => '~',
        _ => '-',
    };
    format!("{sign}{}", event["object"]["metadata"]["name"].as_str().unwrap())
}

/// Everything up to a revision, as `+a ~a -a`, `=N` for the end of the initial state.
async fn told(watcher: &mut Watcher, until: Revision) -> String {
    let mut told = Vec::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while watcher.position() < until {
        assert!(tokio::time::Instant::now() < deadline, "{told:?} at {}", watcher.position());
        match watcher.try_next().unwrap() {
            Some(Step::State(entries)) => told.extend(entries.iter().map(|entry| format!("+{}", entry.name()))),
            Some(Step::StateEnd(revision)) => told.push(format!("={revision}")),
            Some(Step::Events(events)) => told.extend(events.iter().map(|(kind, event)| {
                let sign = match kind {
                    EventType::Added => '+',
                    EventType::Modified => '~',
                    EventType::Deleted => '-',
                };
                format!("{sign}{}", event.entry(*kind).name())
            })),
            Some(Step::Lines { lines, .. }) => told.extend(lines.split_inclusive(|byte| *byte == b'\n').map(line)),
            None if watcher.position() < until => {
                tokio::time::timeout(Duration::from_secs(60), watcher.changed()).await.unwrap();
            }
            None => {}
        }
    }
    told.join(" ")
}

#[tokio::test]
async fn each_watcher_hears_what_concerns_it() {
    let kept = Kept::new().await;
    let everything = Selection::all("");
    let named = Selection { name: "b".to_owned(), ..Selection::all("ns") };
    let mut watchers = Vec::new();
    for selection in [everything, Selection::all("ns"), Selection::all("other"), named, labelled("app=x")] {
        watchers.push(watch(&kept, &kept.maps, selection, Start::Now).await);
    }
    kept.map("a", "x").await;
    kept.map("b", "y").await;
    kept.relabel("b", "x").await;
    kept.relabel("a", "y").await;
    kept.delete(&kept.maps, "a").await.unwrap();
    kept.delete(&kept.maps, "b").await.unwrap();
    let until = kept.registry.revision();
    let mut all = Vec::new();
    for watcher in &mut watchers[..2] {
        all.push(told(watcher, until).await);
    }
    assert_eq!(all, ["+a +b ~b ~a -a -b", "+a +b ~b ~a -a -b"]);
    assert_eq!(told(&mut watchers[3], until).await, "+b ~b -b");
    assert_eq!(told(&mut watchers[4], until).await, "+a +b -a -b");
    assert!(watchers[2].try_next().unwrap().is_none());
    assert_eq!(watchers[2].position(), until, "a bookmark may say so");
}

#[tokio::test]
async fn lines_say_what_events_do_and_are_shared() {
    let kept = Kept::new().await;
    let named = Selection { name: "b".to_owned(), ..Selection::all("ns") };
    let mut watchers = Vec::new();
    for selection in [Selection::all(""), Selection::all("ns"), named, labelled("app=x")] {
        watchers.push(watch(&kept, &kept.maps, selection, Start::Now).await.in_lines());
    }
    let mut others = [watch(&kept, &kept.maps, Selection::all(""), Start::Now).await.in_lines()];
    kept.map("a", "x").await;
    kept.map("b", "y").await;
    kept.relabel("a", "y").await;
    kept.delete(&kept.maps, "b").await.unwrap();
    let until = kept.registry.revision();
    let mut all = Vec::new();
    for watcher in &mut watchers[1..] {
        all.push(told(watcher, until).await);
    }
    assert_eq!(all, ["+a +b ~a -b", "+b -b", "+a -a"]);
    let (
        Some(Step::Lines { lines: one, events: 4, more: false }),
        Some(Step::Lines { lines: two, events: 4, more: false }),
    ) = (watchers[0].try_next().unwrap(), others[0].try_next().unwrap())
    else {
        panic!("no lines")
    };
    assert_eq!(one.as_ptr(), two.as_ptr(), "made once");
    assert_eq!(one.iter().filter(|byte| **byte == b'\n').count(), 4);
    kept.map("c", "x").await;
    let until = kept.registry.revision();
    assert_eq!(
        (told(&mut watchers[0], until).await, told(&mut others[0], until).await),
        ("+c".to_owned(), "+c".to_owned())
    );
}

#[tokio::test]
async fn a_long_backlog_comes_in_pieces() {
    let kept = Kept::new().await;
    let mut watchers = [
        watch(&kept, &kept.maps, Selection::all("ns"), Start::Now).await.in_lines(),
        watch(&kept, &kept.maps, Selection::all("ns"), Start::Now).await.in_lines(),
    ];
    let mut want = Vec::new();
    for index in 0..300 {
        let name = format!("{index:0>200}");
        kept.map(&name, "x").await;
        want.push(format!("+{name}"));
    }
    let Some(Step::Lines { lines: first, more: true, .. }) = watchers[0].try_next().unwrap() else {
        panic!("not a first piece of several")
    };
    assert!((32 << 10..=64 << 10).contains(&first.len()), "{}", first.len());
    let until = kept.registry.revision();
    assert_eq!(told(&mut watchers[1], until).await, want.join(" "));
}

#[tokio::test]
async fn a_node_hears_of_its_pods_only() {
    let kept = Kept::new().await;
    let mut mine = watch(&kept, &kept.pods, with_field("spec.nodeName", "n1"), Start::State).await;
    let mut free = watch(&kept, &kept.pods, with_field("spec.nodeName", ""), Start::State).await;
    kept.create(&kept.pods, pod("p", None)).await.unwrap();
    kept.create(&kept.pods, pod("q", Some("n2"))).await.unwrap();
    let node = "n1".to_owned();
    let mut bind = |current: &registry::Current<'_>| {
        let mut object = current.object.boxed();
        let pod = object.downcast_mut::<k8s_openapi::api::core::v1::Pod>().unwrap();
        pod.spec.as_mut().unwrap().node_name = Some(node.clone());
        Ok(object)
    };
    let part = registry::Part::Given;
    kept.registry.update(&kept.pods, &kept.write(), part, "ns", "p", &mut bind).await.unwrap();
    let until = kept.registry.revision();
    assert_eq!(told(&mut mine, until).await, "=0 +p");
    assert_eq!(told(&mut free, until).await, "=0 +p -p");
}

#[tokio::test]
async fn a_watch_begins_where_it_is_told() {
    let kept = Kept::new().await;
    let first = kept.map("a", "x").await.entry.revision;
    kept.map("b", "x").await;
    let starts = [Start::State, Start::AnyState, Start::StateSince(first), Start::Now, Start::After(first)];
    let mut watchers = Vec::new();
    for start in starts {
        watchers.push(watch(&kept, &kept.maps, Selection::all("ns"), start).await);
    }
    kept.map("c", "x").await;
    let until = kept.registry.revision();
    let mut all = Vec::new();
    for watcher in &mut watchers {
        all.push(told(watcher, until).await);
    }
    assert_eq!(all, ["+a +b =2 +c", "+a +b =2 +c", "+a +b =2 +c", "+c", "+b +c"]);
}

#[tokio::test]
async fn a_deleted_object_carries_the_revision_of_its_deletion() {
    let kept = Kept::new().await;
    kept.map("a", "x").await;
    let mut watcher = watch(&kept, &kept.maps, Selection::all("ns"), Start::Now).await;
    kept.delete(&kept.maps, "a").await.unwrap();
    let Some(Step::Events(events)) = watcher.try_next().unwrap() else { panic!("nothing was told") };
    let (kind, event) = &events[0];
    let object: serde_json::Value = serde_json::from_slice(&event.object(*kind)).unwrap();
    assert_eq!(object["metadata"]["resourceVersion"], "2");
    assert_eq!(object["metadata"]["labels"], json!({"app": "x"}));
    let mut frame = Vec::new();
    event.write_frame(*kind, &mut frame);
    assert!(frame.starts_with(br#"{"type":"DELETED","object":{"apiVersion":"v1","#));
}

#[tokio::test]
async fn a_watch_resumes_across_a_restart() {
    let kept = Kept::new().await;
    let first = kept.map("a", "x").await.entry.revision;
    kept.map("b", "x").await;
    kept.relabel("a", "y").await;
    kept.delete(&kept.maps, "b").await.unwrap();
    let kept = kept.restart().await;
    let mut resumed = watch(&kept, &kept.maps, Selection::all("ns"), Start::After(first)).await;
    let mut selected = watch(&kept, &kept.maps, labelled("app=x"), Start::After(first)).await;
    kept.map("c", "x").await;
    let until = kept.registry.revision();
    assert_eq!(told(&mut resumed, until).await, "+b ~a -b +c");
    assert_eq!(told(&mut selected, until).await, "+b -a -b +c");
}

#[tokio::test]
async fn history_that_is_gone_is_said_to_be_gone() {
    let kept = Kept::new().await;
    let first = kept.map("a", "x").await.entry.revision;
    kept.map("b", "x").await;
    let last = kept.map("c", "x").await.entry.revision;
    let kept = kept.restart().await;
    kept.store.compact(last).await.unwrap();
    let refused = kept.registry.watch(&kept.maps, Selection::all("ns"), Start::After(first)).await;
    let Err(status) = refused else { panic!("the watch began") };
    assert_eq!((status.code, status.reason), (410, Reason::Expired));
    assert!(status.message.starts_with("too old resource version: 1 ("), "{status}");
}

#[tokio::test]
async fn a_watcher_that_falls_behind_is_ended() {
    let kept = Kept::new().await;
    let named = Selection { name: "a".to_owned(), ..Selection::all("ns") };
    let mut slow = watch(&kept, &kept.maps, named, Start::Now).await;
    kept.map("a", "0").await;
    // More than the log of one object holds by its bytes.
    for round in 0..90 {
        let data = json!({"data": {"k": format!("{round}{}", "x".repeat(100_000))}});
        kept.patch(&kept.maps, "a", data).await.unwrap();
    }
    let status = slow.try_next().unwrap_err();
    assert_eq!(status.reason, Reason::Expired);
}

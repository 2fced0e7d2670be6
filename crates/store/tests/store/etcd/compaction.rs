//! History that goes while somebody reads it.

use super::member::{Member, installed, open};
use crate::suite::{commit, put};
use std::time::{Duration, Instant};
use store::{EtcdOptions, Revision, Store, StoreError};

#[tokio::test]
async fn a_watch_under_compaction_has_no_gap_or_says_so() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let store = open(member.options()).await;
    let mut watch = store.watch("", Revision(0)).await.unwrap();
    let large = "x".repeat(20_000);
    for n in 1..=400 {
        commit(&store, vec![put(&format!("k{}", n % 7), &large)]).await;
        if n % 100 == 0 {
            store.compact(Revision(n)).await.unwrap();
        }
    }
    let mut reached = 0;
    while reached < 400 {
        let next = tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("an answer in time");
        match next {
            Ok(events) => {
                for event in events {
                    assert_eq!(event.revision.0, reached + 1);
                    reached += 1;
                }
            }
            Err(StoreError::Compacted { asked, .. }) => {
                assert_eq!(asked.0, reached);
                return;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_watch_that_missed_what_was_compacted_is_told_so() {
    if !installed() {
        return;
    }
    let mut member = Member::single(&[]);
    let store = open(member.options()).await;
    let mut watch = store.watch("", Revision(0)).await.unwrap();
    commit(&store, vec![put("a", "1")]).await;
    assert_eq!(watch.next().await.unwrap().len(), 1);
    member.kill();
    member.start();
    // Reads are tried until the member is back; writes without a check are not.
    assert_eq!(store.revision().await.unwrap(), Revision(1));
    for n in 2..=5 {
        commit(&store, vec![put("a", &n.to_string())]).await;
    }
    store.compact(Revision(4)).await.unwrap();
    let error = watch.next().await.unwrap_err();
    assert_eq!(error.to_string(), "revision 1 has been compacted; the oldest kept is 4");
}

#[tokio::test]
async fn one_of_two_processes_compacts_what_is_a_period_old() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let options = EtcdOptions { compact_every: Some(Duration::from_millis(200)), ..member.options() };
    let (one, _two) = (open(options.clone()).await, open(options).await);
    let deadline = Instant::now() + Duration::from_secs(60);
    let oldest = loop {
        let newest = commit(&one, vec![put("a", "1")]).await;
        assert!(Instant::now() < deadline, "nothing was compacted up to {newest}");
        match one.range("", None, 0, Some(Revision(1))).await {
            Err(StoreError::Compacted { oldest, .. }) => break oldest,
            read => drop(read.unwrap()),
        }
    };
    let newest = one.revision().await.unwrap();
    assert!(Revision(1) < oldest && oldest < newest, "{oldest} of {newest}");
    assert_eq!(one.range("", None, 0, None).await.unwrap().items.len(), 1);
}

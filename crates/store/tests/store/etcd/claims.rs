//! What only one process may have, and what it may not do any more when it has lost it.

use super::member::{Member, installed, open, options};
use super::proxy::Proxy;
use bytes::Bytes;
use std::time::{Duration, Instant};
use store::{EtcdOptions, EtcdRestore, Expect, Op, Outcome, Revision, Store, Txn};

/// A write that only the holder of this fence may make.
fn fenced((key, at): (store::Key, Revision), value: &'static str) -> Txn {
    let op = Op::Put { key: "/a".into(), value: Bytes::from_static(value.as_bytes()) };
    Txn { checks: vec![(key, Expect::At(at))], ops: vec![op] }
}

#[tokio::test]
async fn a_claim_is_one_holders_until_it_is_released_or_its_holder_dies() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let (one, two) = (open(member.options()).await, open(member.options()).await);
    let first = one.claim("claims/lead", "one").await.unwrap();
    assert_eq!(two.get("claims/lead").await.unwrap().unwrap().value, "one");
    // A second comer waits, for longer than a dead holder's claim would last.
    let waiting = two.claim("claims/lead", "two");
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(Duration::from_secs(4), &mut waiting).await.is_err(), "two holders");
    let fence = first.fence();
    assert!(matches!(one.commit(fenced(fence.clone(), "1")).await.unwrap(), Outcome::Committed(_)));
    first.release().await.unwrap();
    let second = waiting.await.unwrap();
    assert!(matches!(one.commit(fenced(fence, "2")).await.unwrap(), Outcome::Conflict(_)), "one leads no more");
    // A holder who dies without a word is succeeded soon.
    let fence = second.fence();
    drop(second);
    let died = Instant::now();
    let third = one.claim("claims/lead", "one again").await.unwrap();
    assert!(died.elapsed() < Duration::from_secs(30), "{:?}", died.elapsed());
    assert!(matches!(two.commit(fenced(fence, "3")).await.unwrap(), Outcome::Conflict(_)));
    assert!(matches!(one.commit(fenced(third.fence(), "4")).await.unwrap(), Outcome::Committed(_)));
    assert_eq!(two.get("/a").await.unwrap().unwrap().value, "4");
}

#[tokio::test]
async fn a_holder_outlives_etcds_absence_and_is_told_of_the_end() {
    if !installed() {
        return;
    }
    let mut member = Member::single(&[]);
    let (one, two) = (open(member.options()).await, open(member.options()).await);
    let mut claim = one.claim("claims/lead", "one").await.unwrap();
    member.kill();
    member.start();
    // Reads are tried until the member is back.
    one.revision().await.unwrap();
    two.revision().await.unwrap();
    assert!(matches!(one.commit(fenced(claim.fence(), "1")).await.unwrap(), Outcome::Committed(_)));
    two.commit(Txn { checks: Vec::new(), ops: vec![Op::Delete { key: "claims/lead".into() }] }).await.unwrap();
    let why = tokio::time::timeout(Duration::from_secs(60), claim.lost()).await.unwrap();
    assert!(why.to_string().contains("took its key away"), "{why}");
}

#[tokio::test]
async fn a_holder_whose_member_hangs_renews_at_another_in_time() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let direct = open(member.options()).await;
    let proxy = Proxy::to(&member.url).await;
    let lasts = Duration::from_secs(4);
    let two_ways = options(&[&proxy.url, &member.url]);
    let store = open(EtcdOptions { claim_lasts: lasts, ..two_ways }).await;
    let claim = store.claim("claims/lead", "one").await.unwrap();
    proxy.lose_answers();
    // For longer than an end takes that nobody hinders.
    let ends = Instant::now() + lasts + Duration::from_secs(3);
    while Instant::now() < ends {
        let stands = direct.get("claims/lead").await.unwrap();
        assert_eq!(stands.map(|kv| kv.modified), Some(claim.fence().1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_state_from_elsewhere_goes_on_behind_its_revisions() {
    if !installed() {
        return;
    }
    let member = Member::single(&[]);
    let restore = EtcdRestore::begin(member.options(), "a test").await.unwrap();
    restore.clear(Revision(1_000)).await.unwrap().finish(&[]).await.unwrap();
    let store = open(member.options()).await;
    let Outcome::Committed(first) = store.commit(Txn::create("/a".into(), "1".into())).await.unwrap() else { panic!() };
    assert!(first > Revision(1_000) && first < Revision(1_020), "{first}");
    let again = open(member.options()).await;
    assert_eq!(again.revision().await.unwrap(), first);
    let old = again.range("", None, 0, Some(Revision(999))).await.unwrap_err().to_string();
    assert_eq!(old, "revision 999 has been compacted; the oldest kept is 1000");
    assert!(again.watch("", Revision(7)).await.is_err_and(|error| error.to_string().contains("compacted")));
    again.compact(Revision(5)).await.unwrap();
    let at = |at| Txn::update("/a".into(), at, "2".into());
    for older in [Revision(1), Revision(999)] {
        assert!(matches!(again.commit(at(older)).await.unwrap(), Outcome::Conflict(_)));
    }
    let Outcome::Committed(second) = again.commit(at(first)).await.unwrap() else { panic!() };
    let mut watch = store.watch("", first).await.unwrap();
    let events = watch.next().await.unwrap();
    assert_eq!((events[0].revision, events[0].previous.as_ref().unwrap().modified), (second, first));
    let copy = tempfile::tempdir().unwrap();
    let state = store.range("/", None, 0, None).await.unwrap();
    store::write_copy(copy.path(), state.revision, state.items).unwrap();
    let embedded = store::Embedded::open(copy.path(), store::Options::default()).unwrap();
    assert_eq!(embedded.revision().await.unwrap(), second);
    let kv = embedded.get("/a").await.unwrap().unwrap();
    assert_eq!((&kv.value[..], kv.created, kv.modified), (&b"2"[..], first, second));
}

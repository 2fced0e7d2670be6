//! Answers that are lost on the way: a write that happened is never said to have failed, nor done twice.

use super::member::{Member, installed, open, options};
use super::proxy::Proxy;
use crate::suite::{batches, commit, delete, key, put, value};
use store::{Etcd, Expect, Outcome, Revision, Store, Txn};

struct Lossy {
    /// Goes by the proxy.
    store: Etcd,
    /// Sees for itself.
    direct: Etcd,
    proxy: Proxy,
    _member: Member,
}

impl Lossy {
    async fn new() -> Option<Lossy> {
        if !installed() {
            return None;
        }
        let member = Member::single(&[]);
        let direct = open(member.options()).await;
        let proxy = Proxy::to(&member.url).await;
        let store = open(options(&[&proxy.url])).await;
        Some(Lossy { store, direct, proxy, _member: member })
    }

    /// Commits so that the answer is lost: it has happened, then `meanwhile` happens, then the connection ends.
    async fn commit(&self, txn: Txn, meanwhile: impl AsyncFnOnce(&Etcd)) -> Outcome {
        let before = self.direct.revision().await.unwrap();
        let mut watch = self.direct.watch("", before).await.unwrap();
        self.proxy.lose_answers();
        let lost = async {
            batches(&mut *watch, 1).await;
            meanwhile(&self.direct).await;
            self.proxy.cut();
        };
        let (outcome, ()) = tokio::join!(self.store.commit(txn), lost);
        outcome.unwrap()
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_found() {
    let Some(lossy) = Lossy::new().await else { return };
    let nothing = async |_: &Etcd| {};
    let committed = |revision| Outcome::Committed(Revision(revision));
    assert_eq!(lossy.commit(Txn::create(key("a"), value("1")), nothing).await, committed(1));
    assert_eq!(lossy.commit(Txn::update(key("a"), Revision(1), value("2")), nothing).await, committed(2));
    assert_eq!(lossy.commit(Txn { checks: vec![], ops: vec![put("b", "1")] }, nothing).await, committed(3));
    assert_eq!(lossy.commit(Txn::delete(key("a"), Revision(2)), nothing).await, committed(4));
    assert_eq!(lossy.direct.revision().await.unwrap(), Revision(4));
}

#[tokio::test]
async fn a_write_is_found_below_what_others_wrote_since() {
    let Some(lossy) = Lossy::new().await else { return };
    let overwritten = async |direct: &Etcd| {
        for n in 0..10 {
            commit(direct, vec![put("a", &n.to_string())]).await;
        }
        commit(direct, vec![delete("a")]).await;
    };
    commit(&lossy.direct, vec![put("a", "0")]).await;
    let updated = lossy.commit(Txn::update(key("a"), Revision(1), value("mine")), overwritten).await;
    assert_eq!(updated, Outcome::Committed(Revision(2)));
    let unchecked = lossy.commit(Txn { checks: vec![], ops: vec![put("a", "mine")] }, overwritten).await;
    assert_eq!(unchecked, Outcome::Committed(Revision(14)));
    assert_eq!(lossy.direct.revision().await.unwrap(), Revision(25));
}

/// Whoever was told of it and took it away must not meet it again.
#[tokio::test]
async fn a_creation_that_was_undone_meanwhile_is_not_done_again() {
    let Some(lossy) = Lossy::new().await else { return };
    let undone = async |direct: &Etcd| {
        commit(direct, vec![delete("a")]).await;
    };
    assert_eq!(lossy.commit(Txn::create(key("a"), value("1")), undone).await, Outcome::Committed(Revision(1)));
    assert_eq!(lossy.direct.get("a").await.unwrap(), None);
    let both = Txn { ops: vec![put("a", "1"), put("b", "1")], ..Txn::create(key("a"), value("1")) };
    assert_eq!(lossy.commit(both, undone).await, Outcome::Committed(Revision(3)));
    assert_eq!(lossy.direct.revision().await.unwrap(), Revision(4));
}

#[tokio::test]
async fn a_conflict_whose_answer_is_lost_is_still_one() {
    let Some(lossy) = Lossy::new().await else { return };
    commit(&lossy.direct, vec![put("a", "0")]).await;
    let state = lossy.direct.get("a").await.unwrap();
    lossy.proxy.lose_answers();
    let txn = Txn { checks: vec![(key("a"), Expect::Absent)], ops: vec![put("a", "mine")] };
    let outcome = tokio::join!(lossy.store.commit(txn), async {
        // Nothing tells from outside that the member has refused; that its answer is lost is enough.
        lossy.direct.revision().await.unwrap();
        lossy.proxy.cut();
    });
    assert_eq!(outcome.0.unwrap(), Outcome::Conflict(vec![state]));
}

//! What only one process may have.

use super::member::{Member, installed, open};
use std::time::Duration;
use store::{Claim, Claimed, Etcd, EtcdOptions};

async fn ours(store: &Etcd, holder: &str) -> Claim {
    match store.claim("server", holder).await.unwrap() {
        Claimed::Ours(claim) => claim,
        Claimed::Theirs(holder) => panic!("{holder} has it"),
    }
}

#[tokio::test]
async fn a_claim_is_one_holders_until_it_is_released() {
    if !installed() {
        return;
    }
    let mut member = Member::single(&[]);
    let options = EtcdOptions { claim_lasts: Duration::from_secs(2), ..member.options() };
    let (one, two) = (open(options.clone()).await, open(options).await);
    let claim = ours(&one, "one").await;
    // A second comer waits for longer than a dead holder's claim would last.
    match two.claim("server", "two").await.unwrap() {
        Claimed::Theirs(holder) => assert_eq!(holder, "one"),
        Claimed::Ours(_) => panic!("two holders"),
    }
    claim.release().await.unwrap();
    // A holder who dies without a word is waited for.
    drop(ours(&two, "two").await);
    let mut claim = ours(&one, "one again").await;
    member.kill();
    assert!(claim.lost().await.to_string().contains("keeping a claim"));
}

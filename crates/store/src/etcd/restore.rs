//! A whole state written into an etcd: all or nothing, as far as anybody can see.
//!
//! Invariants: who restores has a claim, and begins only when nobody else has any: so no server is there that could
//! write or read meanwhile. From before the first change until after the last a marker stands beside the data, and no
//! store with it can be opened: half a state is never served, whatever ends the restore. Until the first change the
//! marker ends with the claim: what ends a restore so early leaves everything as it was. Every change checks the claim.
//! Revisions go on behind all that the etcd, or the state before, ever gave out, and those before are compacted.

use super::keyspace::{AHEAD, RESTORING};
use super::link::refused;
use super::proto::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, Request, RequestOp, TXN, TxnRequest, TxnResponse,
};
use super::{Claim, Etcd, EtcdOptions, Inner};
use crate::{Expect, Key, KeyValue, Op, Outcome, Revision, Store, StoreError, Txn};
use std::io;
use std::time::{Duration, Instant};

/// Keys of claims begin so: what lives as long as a process does, and is no part of a state.
const CLAIMS: &str = "claims/";
const OWN_CLAIM: &str = "claims/restore";
/// A dead process's claim lasts this many times what it is granted for, at most.
const CLAIM_ENDS_WITHIN: u32 = 3;
/// How often one who waits looks whether the others have gone.
const LOOK: Duration = Duration::from_millis(200);
/// What a request has around each key and value, and besides for the claim and the head: less than these.
const OPERATION_BYTES: usize = 64;
const REQUEST_BYTES: usize = 512;
const ATTEMPTED: &str = "restoring into etcd";

/// An etcd that nobody else uses; nothing in it has been changed yet.
pub struct EtcdRestore {
    options: EtcdOptions,
    etcd: Etcd,
    claim: Claim,
    holder: String,
    /// Whether an earlier restore left it half done.
    interrupted: bool,
}

/// An etcd from which everything was taken, to be filled. Dropped before `finish`, it stays closed for everybody but
/// the next restore.
pub struct EtcdRestoring {
    etcd: Etcd,
    claim: Claim,
    fence: (Key, Revision),
}

impl EtcdRestore {
    /// Waits for as long as a dead process's claim may last; then refuses, naming who has one.
    pub async fn begin(options: EtcdOptions, holder: &str) -> Result<EtcdRestore, StoreError> {
        let wait = options.claim_lasts * CLAIM_ENDS_WITHIN;
        let options = EtcdOptions { compact_every: None, ..options };
        let etcd = Etcd::open_whatever(options.clone()).await?;
        let claimed = tokio::time::timeout(wait, super::claim::take(&etcd.inner, OWN_CLAIM, holder)).await;
        let Ok(claim) = claimed else {
            return Err(impossible("another restore is being made".to_owned()));
        };
        let claim = claim?;
        let interrupted = !etcd.inner.mark_restoring(holder, &claim).await?;
        let restore = EtcdRestore { options, etcd, claim, holder: holder.to_owned(), interrupted };
        match restore.others_are_gone(wait).await {
            Ok(()) => Ok(restore),
            Err(error) => {
                restore.abandon().await?;
                Err(error)
            }
        }
    }

    async fn others_are_gone(&self, wait: Duration) -> Result<(), StoreError> {
        let deadline = Instant::now() + wait;
        loop {
            let claims = self.etcd.range(CLAIMS, None, 0, None).await?.items;
            let Some(other) = claims.into_iter().find(|item| &*item.key != OWN_CLAIM) else { return Ok(()) };
            if Instant::now() > deadline {
                let holder = String::from_utf8_lossy(&other.value).into_owned();
                return Err(impossible(format!("{holder} has {} in it: stop it first", other.key)));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A value beside the data.
    pub async fn shared(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.etcd.shared(name).await
    }

    /// Whether a restore takes nothing away: nothing is there, or only what one left that was interrupted after it had
    /// taken everything away.
    pub async fn is_empty(&self) -> Result<bool, StoreError> {
        if self.interrupted {
            return Ok(true);
        }
        for (key, range_end) in self.etcd.inner.all_but_restore() {
            let request = RangeRequest { key, range_end, limit: 1, revision: 0 };
            let answer = self.etcd.inner.ask_at(ATTEMPTED, &request).await?;
            if !answer.kvs.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Leaves everything as it was found: the marker goes with the claim, unless an interrupted restore left it.
    pub async fn abandon(self) -> Result<(), StoreError> {
        self.claim.release().await
    }

    /// Takes everything away. From now on every revision is more than `after`, and than all that were given out here.
    pub async fn clear(self, after: Revision) -> Result<EtcdRestoring, StoreError> {
        let inner = &self.etcd.inner;
        let (key, at) = self.claim.fence();
        inner.head_at(0).await?;
        let newest = inner.keys.ours(inner.link.newest());
        inner.take_all_away((&key, at), &self.holder, after.max(newest)).await?;
        let etcd = Etcd::open_whatever(self.options).await?;
        // The same point of etcd's history, in what are its revisions now.
        let at = etcd.inner.keys.ours(inner.keys.theirs(at).unwrap_or_default());
        Ok(EtcdRestoring { etcd, claim: self.claim, fence: (key, at) })
    }
}

impl EtcdRestoring {
    /// Writes keys and values, in the order in which they were modified. What is too large for this etcd is refused by
    /// its key; `check_sizes` tells before anything is changed.
    pub async fn put(&self, mut items: Vec<KeyValue>) -> Result<(), StoreError> {
        items.sort_by_key(|item| item.modified);
        let inner = &self.etcd.inner;
        for ops in batches(items, inner.txn_ops_max.saturating_sub(1), inner.request_bytes_max) {
            let check = (self.fence.0.clone(), Expect::At(self.fence.1));
            match self.etcd.commit(Txn { checks: vec![check], ops }).await? {
                Outcome::Committed(_) => {}
                Outcome::Conflict(_) => return Err(claim_lost()),
            }
        }
        Ok(())
    }

    /// Opens the etcd for everybody, with these values beside the data; the state's revision.
    pub async fn finish(self, shared: &[(&str, &[u8])]) -> Result<Revision, StoreError> {
        for (name, value) in shared {
            self.etcd.share(name, value).await?;
        }
        let revision = self.etcd.revision().await?;
        self.etcd.compact(revision).await?;
        self.etcd.inner.unmark(&self.fence.0, self.fence.1).await?;
        self.claim.release().await?;
        Ok(revision)
    }
}

/// Refuses, naming its key, what no transaction of such an etcd can have.
pub fn check_sizes(options: &EtcdOptions, items: &[KeyValue]) -> Result<(), StoreError> {
    let most = options.request_bytes_max.saturating_sub(REQUEST_BYTES);
    let Some(item) = items.iter().find(|item| size(item) > most) else { return Ok(()) };
    let (bytes, request) = (item.value.len(), options.request_bytes_max);
    let reason =
        format!("{} has {bytes} bytes; etcd takes {request} (--max-request-bytes) with all around it", item.key);
    Err(StoreError::TooLarge { reason })
}

fn size(item: &KeyValue) -> usize {
    item.key.len() + item.value.len() + OPERATION_BYTES
}

/// As few transactions as a limit of operations and bytes allows, in order.
fn batches(items: Vec<KeyValue>, ops_max: usize, bytes_max: usize) -> Vec<Vec<Op>> {
    let mut batches: Vec<Vec<Op>> = Vec::new();
    let (mut bytes, room) = (0, bytes_max.saturating_sub(REQUEST_BYTES));
    for item in items {
        let size = size(&item);
        let op = Op::Put { key: item.key, value: item.value };
        match batches.last_mut() {
            Some(batch) if batch.len() < ops_max && bytes + size <= room => {
                batch.push(op);
                bytes += size;
            }
            _ => {
                batches.push(vec![op]);
                bytes = size;
            }
        }
    }
    batches
}

fn impossible(reason: String) -> StoreError {
    StoreError::Io { attempted: ATTEMPTED.to_owned(), source: io::Error::other(reason) }
}

fn claim_lost() -> StoreError {
    impossible("its claim was lost: another may restore".to_owned())
}

/// To a process that had the store open while another state was brought into it.
pub(super) fn replaced() -> StoreError {
    StoreError::Closed { reason: "another state was restored into this etcd: start again".to_owned() }
}

impl Inner {
    /// Refuses an etcd that somebody is restoring, or has begun to, or has restored since the store was opened.
    pub(super) async fn check_whole(&self) -> Result<(), StoreError> {
        let range = RangeRequest { key: self.keys.beside(RESTORING), ..RangeRequest::default() };
        let look: RequestOp = Request::Range(range).into();
        let (compare, both) = (vec![self.keys.same_state()], vec![look]);
        let request = TxnRequest { compare, success: both.clone(), failure: both };
        let answer: TxnResponse = match self.link.repeat(ATTEMPTED, TXN, &request).await? {
            Ok(answer) => answer,
            Err(status) => return Err(refused(ATTEMPTED, &status)),
        };
        let same_state = answer.succeeded;
        let Some(marker) = answer.kvs().next() else {
            return if same_state { Ok(()) } else { Err(replaced()) };
        };
        let by = String::from_utf8_lossy(&marker.value);
        let end = match marker.lease {
            0 => "if nothing does so any more, it was interrupted: restore again",
            _ => "nothing is changed yet: start again when that has ended",
        };
        Err(StoreError::Closed { reason: format!("a state is being restored into this etcd by {by}; {end}") })
    }

    /// Puts the marker, for as long as the claim lasts; false where one stands that outlived its claim.
    async fn mark_restoring(&self, holder: &str, claim: &Claim) -> Result<bool, StoreError> {
        let lease = claim.lease();
        let put = PutRequest { key: self.keys.beside(RESTORING), value: holder.as_bytes().to_vec(), lease };
        let stands = self.put_if_absent(ATTEMPTED, put).await?;
        Ok(stands.is_none_or(|stands| stands.lease == lease))
    }

    /// All keys of the store, but for claims and what a restore itself puts beside the data: as ranges, each its first
    /// key and the one past its last.
    fn all_but_restore(&self) -> [(Vec<u8>, Vec<u8>); 5] {
        let keys = &self.keys;
        let behind = |name| [keys.beside(name), vec![0]].concat();
        [
            (keys.data(""), keys.data(CLAIMS)),
            (keys.end(CLAIMS), keys.end("")),
            (keys.beside(""), keys.beside(AHEAD)),
            (behind(AHEAD), keys.beside(RESTORING)),
            (behind(RESTORING), keys.beside_end()),
        ]
    }

    /// In one step with what must be true from then on: that a restore is being made, and where revisions go on.
    async fn take_all_away(
        &self,
        (claim, at): (&str, Revision),
        holder: &str,
        ahead: Revision,
    ) -> Result<(), StoreError> {
        let mut steps: Vec<RequestOp> = Vec::new();
        for (key, range_end) in self.all_but_restore() {
            steps.push(Request::DeleteRange(DeleteRangeRequest { key, range_end }).into());
        }
        for (name, value) in [(AHEAD, ahead.0.to_string()), (RESTORING, holder.to_owned())] {
            let put = PutRequest { key: self.keys.beside(name), value: value.into_bytes(), lease: 0 };
            steps.push(Request::Put(put).into());
        }
        self.while_claimed(claim, at, steps).await
    }

    async fn unmark(&self, claim: &str, at: Revision) -> Result<(), StoreError> {
        let delete = DeleteRangeRequest { key: self.keys.beside(RESTORING), ..DeleteRangeRequest::default() };
        self.while_claimed(claim, at, vec![Request::DeleteRange(delete).into()]).await
    }

    /// Steps that may be done twice, together, while the claim is what it was.
    async fn while_claimed(&self, claim: &str, at: Revision, success: Vec<RequestOp>) -> Result<(), StoreError> {
        let theirs = self.keys.theirs(at).unwrap_or_default();
        let compare = vec![Compare::modified_at(self.keys.data(claim), theirs)];
        let request = TxnRequest { compare, success, failure: Vec::new() };
        match self.link.repeat::<_, TxnResponse>(ATTEMPTED, TXN, &request).await? {
            Ok(answer) if answer.succeeded => Ok(()),
            Ok(_) => Err(claim_lost()),
            Err(status) => Err(refused(ATTEMPTED, &status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, bytes: usize) -> KeyValue {
        let revision = Revision(1);
        KeyValue { key: key.into(), value: vec![0; bytes].into(), created: revision, modified: revision }
    }

    #[test]
    fn batches_keep_order_and_limits() {
        let items: Vec<_> = (0..10).map(|n| item(&n.to_string(), if n == 4 { 4000 } else { 10 })).collect();
        let batches = batches(items, 3, 4500);
        let lengths: Vec<_> = batches.iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, 1, 1, 3, 2], "three at most, and the large one alone");
        let keys: Vec<_> = batches.concat().iter().map(|op| super::super::commit::key_of(op).to_string()).collect();
        assert_eq!(keys, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_too_large_is_named() {
        let options = EtcdOptions { request_bytes_max: 1000, ..EtcdOptions::default() };
        check_sizes(&options, &[item("/a", 400)]).unwrap();
        let refused = check_sizes(&options, &[item("/a", 400), item("/b", 1000)]).unwrap_err().to_string();
        assert_eq!(
            refused,
            "the write is too large: /b has 1000 bytes; etcd takes 1000 (--max-request-bytes) with all around it"
        );
    }
}

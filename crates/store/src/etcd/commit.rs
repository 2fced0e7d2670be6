//! Transactions.
//!
//! Invariants: every transaction that changes something also writes a number of its own to the head key, so that one
//! whose answer was lost is found in that key's history. Only a transaction that cannot happen twice is sent twice:
//! one of whose checks its own effect makes fail. Where somebody else could undo that effect, it is looked for first.

use super::Inner;
use super::keyspace::HEAD;
use super::link::{Backoff, Failure, refused, unanswered};
use super::proto::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, Request, RequestOp, TXN, TxnRequest, TxnResponse,
};
use super::{restore, watch};
use crate::{Expect, Key, KeyValue, Op, Outcome, Revision, StoreError, Txn};
use prost::Message as _;
use std::collections::{HashMap, HashSet};
use tonic::{Code, Status};

const ATTEMPTED: &str = "writing to etcd";
const UNKNOWN: &str = "writing to etcd, where the answer was lost and the outcome is unknown";
/// How often a delete of what may be absent is tried while others write the same keys.
const RESOLVE_TRIES_MAX: usize = 32;

impl Inner {
    pub(super) async fn commit(&self, txn: Txn) -> Result<Outcome, StoreError> {
        let txn = Txn { checks: txn.checks, ops: last_of_each_key(txn.ops) };
        if txn.ops.is_empty() && txn.checks.is_empty() {
            return Ok(Outcome::Committed(self.head().await?));
        }
        if txn.ops.is_empty() || surely_changes(&txn) { self.send(&txn).await } else { self.delete_what_is(txn).await }
    }

    /// Deletes of keys that may be absent: nothing, not even the head, may be written if all are. So they are looked
    /// at first, and deleted as they were seen.
    async fn delete_what_is(&self, txn: Txn) -> Result<Outcome, StoreError> {
        let asked = txn.checks.len();
        for _ in 0..RESOLVE_TRIES_MAX {
            let mut seen = Txn { checks: txn.checks.clone(), ops: Vec::new() };
            for op in &txn.ops {
                let Op::Delete { key } = op else { continue };
                if let Some(kv) = self.get(key).await? {
                    seen.checks.push((key.clone(), Expect::At(kv.modified)));
                    seen.ops.push(op.clone());
                }
            }
            if seen.checks.is_empty() {
                return Ok(Outcome::Committed(self.head().await?));
            }
            match self.send(&seen).await? {
                Outcome::Conflict(mut states) if hold(&txn.checks, &states) => states.clear(),
                Outcome::Conflict(mut states) => {
                    states.truncate(asked);
                    return Ok(Outcome::Conflict(states));
                }
                committed => return Ok(committed),
            }
        }
        let reason = std::io::Error::other("others kept writing the keys that were to be deleted");
        Err(StoreError::Io { attempted: ATTEMPTED.to_owned(), source: reason })
    }

    /// Sends a transaction until it is known whether it happened, or patience ends.
    async fn send(&self, txn: &Txn) -> Result<Outcome, StoreError> {
        let mark = self.marks.next();
        let request = self.request(txn, &mark)?;
        let before = self.known_revision().await?;
        let repeatable = txn.ops.is_empty() || happens_once(txn);
        let mut backoff = Backoff::until(self.link.patience());
        let mut lost_answer = false;
        loop {
            if lost_answer
                && may_be_undone(txn)
                && let Some(revision) = self.find(&mark, before).await?
            {
                return Ok(Outcome::Committed(revision));
            }
            let status = match self.link.call::<_, TxnResponse>(TXN, &request).await {
                Ok(answer) => return self.outcome(txn, answer, lost_answer.then_some((&*mark, before))).await,
                Err(Failure::Refused(status)) if lost_answer => {
                    let found = self.find(&mark, before).await?;
                    return found.map(Outcome::Committed).ok_or_else(|| refusal(&status));
                }
                Err(Failure::Refused(status)) => return Err(refusal(&status)),
                Err(Failure::NotSent(status)) => status,
                Err(Failure::Unknown(status)) if repeatable => {
                    lost_answer = true;
                    status
                }
                Err(Failure::Unknown(status)) => {
                    let found = self.find(&mark, before).await?;
                    return found.map(Outcome::Committed).ok_or_else(|| unknown(&status));
                }
            };
            if !backoff.pause().await {
                return Err(if lost_answer { unknown(&status) } else { unanswered(ATTEMPTED, &status) });
            }
        }
    }

    /// What an answer says; `earlier`, if an earlier try of the same transaction may have been what it conflicts with.
    async fn outcome(
        &self,
        txn: &Txn,
        answer: TxnResponse,
        earlier: Option<(&[u8], i64)>,
    ) -> Result<Outcome, StoreError> {
        let revision = answer.header.unwrap_or_default().revision;
        self.link.saw(revision);
        if answer.succeeded {
            return Ok(Outcome::Committed(if txn.ops.is_empty() {
                self.head().await?
            } else {
                self.keys.ours(revision)
            }));
        }
        if let Some((mark, before)) = earlier
            && let Some(revision) = self.find(mark, before).await?
        {
            return Ok(Outcome::Committed(revision));
        }
        let states = answer.responses.into_iter().map(|response| {
            let kv = response.range.and_then(|range| range.kvs.into_iter().next());
            kv.map(|kv| self.keys.key_value(kv)).transpose()
        });
        let states: Vec<_> = states.collect::<Result<_, _>>()?;
        // Then it was not they that failed.
        if hold(&txn.checks, &states) { Err(restore::replaced()) } else { Ok(Outcome::Conflict(states)) }
    }

    /// The revision at which the head was given this mark, if it was, after etcd's revision `before`; an error where
    /// that cannot be told.
    async fn find(&self, mark: &[u8], before: i64) -> Result<Option<Revision>, StoreError> {
        let found = match self.head_at(0).await {
            Ok(Some(head)) if head.value == mark => Ok(Some(self.keys.ours(head.mod_revision))),
            Ok(Some(head)) if head.mod_revision > before => {
                watch::find_value(self, self.keys.beside(HEAD), before, head.mod_revision, mark).await
            }
            other => other.map(|_| None),
        };
        found.map_err(|error| StoreError::Io { attempted: UNKNOWN.to_owned(), source: std::io::Error::other(error) })
    }

    /// A revision of etcd that has happened.
    async fn known_revision(&self) -> Result<i64, StoreError> {
        if self.link.newest() == 0 {
            self.head().await?;
        }
        Ok(self.link.newest())
    }

    fn request(&self, txn: &Txn, mark: &[u8]) -> Result<TxnRequest, StoreError> {
        let checks = txn.checks.iter().map(|(key, expect)| {
            let revision = match expect {
                Expect::Absent => 0,
                // What lies before all that etcd has is at no revision of its: none is negative.
                Expect::At(revision) => self.keys.theirs(*revision).unwrap_or(-1),
            };
            Compare::modified_at(self.keys.data(key), revision)
        });
        let failure = txn.checks.iter().map(|(key, _)| {
            Request::Range(RangeRequest { key: self.keys.data(key), ..RangeRequest::default() }).into()
        });
        let mut success: Vec<RequestOp> = txn.ops.iter().map(|op| self.operation(op).into()).collect();
        if !success.is_empty() {
            let head = PutRequest { key: self.keys.beside(HEAD), value: mark.to_vec(), lease: 0 };
            success.push(Request::Put(head).into());
        }
        let request = TxnRequest {
            compare: checks.chain([self.keys.same_state()]).collect(),
            success,
            failure: failure.collect(),
        };
        self.check_size(&request)?;
        Ok(request)
    }

    fn operation(&self, op: &Op) -> Request {
        match op {
            Op::Put { key, value } => {
                Request::Put(PutRequest { key: self.keys.data(key), value: value.to_vec(), lease: 0 })
            }
            Op::Delete { key } => {
                Request::DeleteRange(DeleteRangeRequest { key: self.keys.data(key), ..Default::default() })
            }
        }
    }

    fn check_size(&self, request: &TxnRequest) -> Result<(), StoreError> {
        let (ops, bytes) = (request.success.len().max(request.compare.len()), request.encoded_len());
        let reason = if ops > self.txn_ops_max {
            format!("{ops} operations in one transaction; etcd takes {} (--max-txn-ops)", self.txn_ops_max)
        } else if bytes > self.request_bytes_max {
            format!("{bytes} bytes in one request; etcd takes {} (--max-request-bytes)", self.request_bytes_max)
        } else {
            return Ok(());
        };
        Err(StoreError::TooLarge { reason })
    }
}

fn last_of_each_key(ops: Vec<Op>) -> Vec<Op> {
    let mut met = HashSet::new();
    let mut last: Vec<Op> = ops.into_iter().rev().filter(|op| met.insert(key_of(op).clone())).collect();
    last.reverse();
    last
}

pub(super) fn key_of(op: &Op) -> &Key {
    match op {
        Op::Put { key, .. } | Op::Delete { key } => key,
    }
}

/// Whether a commit of it is an event, whatever the state was before.
fn surely_changes(txn: &Txn) -> bool {
    let present: HashSet<&Key> =
        txn.checks.iter().filter(|(_, expect)| *expect != Expect::Absent).map(|(key, _)| key).collect();
    txn.ops.iter().any(|op| matches!(op, Op::Put { .. }) || present.contains(key_of(op)))
}

/// Whether its own effect makes one of its checks fail.
fn happens_once(txn: &Txn) -> bool {
    let ops: HashMap<&Key, &Op> = txn.ops.iter().map(|op| (key_of(op), op)).collect();
    txn.checks.iter().any(|(key, expect)| match ops.get(key) {
        Some(Op::Put { .. }) => true,
        Some(Op::Delete { .. }) => *expect != Expect::Absent,
        None => false,
    })
}

/// Whether all that its effect makes fail may hold again: a key that it creates, and somebody else deletes. (No key is at
/// an earlier revision again.)
fn may_be_undone(txn: &Txn) -> bool {
    let ops: HashSet<&Key> = txn.ops.iter().map(key_of).collect();
    !ops.is_empty() && !txn.checks.iter().any(|(key, expect)| *expect != Expect::Absent && ops.contains(key))
}

fn hold(checks: &[(Key, Expect)], states: &[Option<KeyValue>]) -> bool {
    checks.iter().zip(states).all(|((_, expect), state)| match (expect, state) {
        (Expect::Absent, None) => true,
        (Expect::At(revision), Some(kv)) => kv.modified == *revision,
        _ => false,
    })
}

fn refusal(status: &Status) -> StoreError {
    let message = status.message();
    let too_large = ["too many operations", "too large", "larger than max"].iter().any(|words| message.contains(words));
    if too_large && matches!(status.code(), Code::InvalidArgument | Code::ResourceExhausted) {
        return StoreError::TooLarge { reason: message.to_owned() };
    }
    refused(ATTEMPTED, status)
}

fn unknown(status: &Status) -> StoreError {
    unanswered(UNKNOWN, status)
}

//! Reads: all of them see what was acknowledged before they were asked for (etcd's linearizable reads).
//!
//! Invariant: a long range is asked for in pages of one revision, so that no answer is larger than a page.

use super::Inner;
use super::keyspace::HEAD;
use super::link::refused;
use super::proto::{self, RANGE, RangeRequest, RangeResponse, Request, TXN, TxnRequest, TxnResponse};
use super::{restore, watch};
use crate::{KeyValue, Range, Revision, StoreError};
use tonic::{Code, Status};

/// Keys of one answer: a megabyte or two of ordinary objects.
const PAGE_KEYS: usize = 500;

/// The two refusals that name a revision.
const COMPACTED: &str = "required revision has been compacted";
const FUTURE: &str = "required revision is a future revision";

impl Inner {
    /// The newest commit's revision.
    pub(super) async fn head(&self) -> Result<Revision, StoreError> {
        Ok(self.head_at(0).await?.map_or(self.keys.ours(0), |kv| self.keys.ours(kv.mod_revision)))
    }

    /// The key that every commit writes, as it was at etcd's revision `at` (0: now).
    pub(super) async fn head_at(&self, at: i64) -> Result<Option<proto::KeyValue>, StoreError> {
        self.beside_at(HEAD, at).await
    }

    /// A key beside the data, likewise.
    pub(super) async fn beside_at(&self, name: &str, at: i64) -> Result<Option<proto::KeyValue>, StoreError> {
        let request = RangeRequest { key: self.keys.beside(name), revision: at, ..RangeRequest::default() };
        let answer = self.ask_at(&format!("reading {name} from etcd"), &request).await?;
        Ok(answer.kvs.into_iter().next())
    }

    /// A key of the data as etcd has it.
    pub(super) async fn stands(&self, key: &str) -> Result<Option<proto::KeyValue>, StoreError> {
        let request = RangeRequest { key: self.keys.data(key), ..RangeRequest::default() };
        let answer = self.ask_at("reading a key from etcd", &request).await?;
        Ok(answer.kvs.into_iter().next())
    }

    pub(super) async fn get(&self, key: &str) -> Result<Option<KeyValue>, StoreError> {
        self.stands(key).await?.map(|kv| self.keys.key_value(kv)).transpose()
    }

    pub(super) async fn range(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        at: Option<Revision>,
    ) -> Result<Range, StoreError> {
        let mut next = self.first_key(prefix, after);
        let pinned = at.map(|at| self.keys.kept(at)).transpose()?;
        let (mut items, mut revision, mut pinned) = (Vec::new(), at, pinned);
        loop {
            let page = if limit == 0 { PAGE_KEYS } else { PAGE_KEYS.min(limit - items.len()) };
            let request = RangeRequest {
                key: next,
                range_end: self.keys.end(prefix),
                limit: i64::try_from(page).unwrap_or(i64::MAX),
                revision: pinned.unwrap_or(0),
            };
            let answer = match pinned {
                Some(_) => self.ask_at("reading a range from etcd", &request).await?,
                None => {
                    let (answer, head, seen) = self.newest_page(request).await?;
                    (revision, pinned) = (Some(head), Some(seen));
                    answer
                }
            };
            let (more, last) = (answer.more, answer.kvs.last().map(|kv| kv.key.clone()));
            for kv in answer.kvs {
                items.push(self.keys.key_value(kv)?);
            }
            match last {
                Some(last) if more && (limit == 0 || items.len() < limit) => next = successor(last),
                _ => return Ok(Range { items, more, revision: revision.unwrap_or_default() }),
            }
        }
    }

    /// A page of the present, the newest commit's revision in it, and etcd's revision to ask for the next page at: the
    /// former is what a watch goes on from, the latter may be ahead of it by what others wrote.
    async fn newest_page(&self, range: RangeRequest) -> Result<(RangeResponse, Revision, i64), StoreError> {
        let attempted = "reading a range from etcd";
        let head = RangeRequest { key: self.keys.beside(HEAD), ..RangeRequest::default() };
        let success = vec![Request::Range(range).into(), Request::Range(head).into()];
        let request = TxnRequest { compare: vec![self.keys.same_state()], success, failure: Vec::new() };
        let answer: TxnResponse = match self.link.repeat(attempted, TXN, &request).await? {
            Ok(answer) => answer,
            Err(status) => return Err(refused(attempted, &status)),
        };
        if !answer.succeeded {
            return Err(restore::replaced());
        }
        let seen = answer.header.unwrap_or_default().revision;
        self.link.saw(seen);
        let mut ranges = answer.responses.into_iter().filter_map(|response| response.range);
        let (Some(page), Some(head)) = (ranges.next(), ranges.next()) else {
            let reason = "a transaction of two reads was not answered by two".to_owned();
            return Err(StoreError::Corrupt { attempted: attempted.to_owned(), reason });
        };
        let head = head.kvs.first().map_or(self.keys.ours(0), |kv| self.keys.ours(kv.mod_revision));
        Ok((page, head, seen))
    }

    /// The first key wanted: never before the prefix, never past its end.
    fn first_key(&self, prefix: &str, after: Option<&str>) -> Vec<u8> {
        let from = self.keys.data(prefix);
        match after {
            Some(after) => successor(self.keys.data(after)).max(from).min(self.keys.end(prefix)),
            None => from,
        }
    }

    /// One range request, with refusals that name a revision in the store's words.
    pub(super) async fn ask_at(&self, attempted: &str, request: &RangeRequest) -> Result<RangeResponse, StoreError> {
        match self.link.repeat::<_, RangeResponse>(attempted, RANGE, request).await? {
            Ok(answer) => {
                self.link.saw(answer.header.unwrap_or_default().revision);
                Ok(answer)
            }
            Err(status) => Err(self.about_revision(attempted, &status, self.keys.ours(request.revision)).await),
        }
    }

    /// Refuses a revision whose history is not whole, or that has not happened.
    pub(super) async fn check_kept(&self, after: Revision) -> Result<(), StoreError> {
        self.head_at(self.keys.kept(after)?).await.map(drop)
    }

    /// What a refusal means of a call that named the revision `asked`.
    pub(super) async fn about_revision(&self, attempted: &str, status: &Status, asked: Revision) -> StoreError {
        let found = match status.message() {
            message if message.contains(COMPACTED) => {
                watch::oldest(self, asked).await.map(|oldest| StoreError::Compacted { asked, oldest })
            }
            // Boxed, for reading the newest revision comes by here, too.
            message if message.contains(FUTURE) => {
                Box::pin(self.head()).await.map(|current| StoreError::Future { asked, current })
            }
            _ => Ok(refused(attempted, status)),
        };
        found.unwrap_or_else(|error| error)
    }
}

/// Whether a compaction was refused because it has been done.
pub(super) fn compacted_already(status: &Status) -> bool {
    status.code() == Code::OutOfRange && status.message().contains(COMPACTED)
}

fn successor(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

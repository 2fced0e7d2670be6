//! The store's newest revision, asked for once by all who want it at the same time.
//!
//! Invariant: who asks is answered by a question that was sent after it asked, so that everything that was acknowledged
//! to anybody before then is in the answer. So is who asked before a question that failed: while the store is away,
//! nobody waits for the patience of those before, one after the other.

use api::Status;
use std::sync::atomic::{AtomicU64, Ordering};
use store::{Revision, Store, StoreError};

#[derive(Default)]
pub(crate) struct Freshness {
    asked: AtomicU64,
    last: tokio::sync::Mutex<Last>,
}

struct Last {
    /// Whoever asked up to here is answered.
    answered: u64,
    answer: Result<Revision, Status>,
}

impl Default for Last {
    fn default() -> Last {
        Last { answered: 0, answer: Ok(Revision(0)) }
    }
}

impl Freshness {
    pub(crate) async fn newest(
        &self,
        store: &dyn Store,
        refusal: impl Fn(StoreError) -> Status,
    ) -> Result<Revision, Status> {
        let own = self.asked.fetch_add(1, Ordering::AcqRel) + 1;
        let mut last = self.last.lock().await;
        if last.answered < own {
            let answered = self.asked.load(Ordering::Acquire);
            let answer = store.revision().await.map_err(refusal);
            *last = Last { answered, answer };
        }
        last.answer.clone()
    }
}

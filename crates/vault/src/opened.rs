//! A watch of the engine with its values opened.
//!
//! Invariants: cancelled at any point it loses nothing; when what could not be opened may be readable now, it ends with
//! `Compacted`: its reader reads the state anew, and watches from there.

use crate::chain::Pass;
use crate::vault::Shared;
use async_trait::async_trait;
use std::sync::Arc;
use store::{Event, Revision, StoreError, Watch};

pub(crate) struct Opened {
    inner: Box<dyn Watch>,
    shared: Arc<Shared>,
    prefix: String,
    reread: tokio::sync::watch::Receiver<u64>,
    reached: Revision,
    /// A batch, and how many of its events are open.
    pending: Option<(Vec<Event>, usize)>,
}

impl Opened {
    pub(crate) fn new(inner: Box<dyn Watch>, shared: Arc<Shared>, prefix: &str, after: Revision) -> Opened {
        let reread = shared.reread.subscribe();
        Opened { inner, shared, prefix: prefix.to_owned(), reread, reached: after, pending: None }
    }

    async fn open(&mut self) -> Option<Vec<Event>> {
        let mut pass = Pass::default();
        let (events, open) = self.pending.as_mut()?;
        while let Some(event) = events.get_mut(*open) {
            let occasion = self.shared.reread.occasion();
            if let Some(value) = &event.value {
                let (opened, readable) = self.shared.open(&event.key, value, &mut pass).await;
                if !readable {
                    self.shared.reread.read(&self.prefix, occasion, true);
                }
                event.value = Some(opened);
            }
            if let Some(previous) = &event.previous {
                let opened = self.shared.open(&event.key, &previous.value, &mut pass).await.0;
                if let Some(previous) = &mut event.previous {
                    previous.value = opened;
                }
            }
            *open += 1;
        }
        let (events, _) = self.pending.take()?;
        self.reached = events.last().map_or(self.reached, |event| event.revision);
        Some(events)
    }
}

#[async_trait]
impl Watch for Opened {
    async fn next(&mut self) -> Result<Vec<Event>, StoreError> {
        if self.pending.is_none() {
            let events = tokio::select! {
                biased;
                changed = self.reread.changed() => {
                    if changed.is_ok() {
                        return Err(StoreError::Compacted { asked: self.reached, oldest: self.reached });
                    }
                    self.inner.next().await?
                }
                events = self.inner.next() => events?,
            };
            self.pending = Some((events, 0));
        }
        Ok(self.open().await.unwrap_or_default())
    }
}

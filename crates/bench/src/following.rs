//! Waits by watching: no list is read again and again beside what is measured.

use anyhow::{Context, Result, bail};
use api::{Kind, Reason};
use client::{Client, EventType, RawEvents, WatchRequest};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

const TIME_MAX: Duration = Duration::from_secs(300);

/// How many pods of a namespace match a field selector, from moment to moment.
pub(crate) struct Following {
    client: Client,
    request: WatchRequest,
    events: RawEvents,
    present: usize,
}

impl Following {
    /// Those that match already are counted when this returns.
    pub(crate) async fn pods(client: Client, namespace: &str, field_selector: &str) -> Result<Following> {
        let request = WatchRequest {
            def: &Pod::DEF,
            namespace: namespace.to_owned(),
            label_selector: String::new(),
            field_selector: field_selector.to_owned(),
            resource_version: String::new(),
        };
        let (events, present) = open(&client, &request).await?;
        Ok(Following { client, request, events, present })
    }

    /// Waits until so many match; when that was seen.
    pub(crate) async fn until(&mut self, count: usize) -> Result<Instant> {
        match tokio::time::timeout(TIME_MAX, self.reach(count)).await {
            Ok(reached) => reached,
            Err(_) => bail!("{} pods instead of {count} after {TIME_MAX:?}", self.present),
        }
    }

    async fn reach(&mut self, count: usize) -> Result<Instant> {
        while self.present != count {
            match self.events.next().await {
                Some(Ok(event)) => match event.kind {
                    EventType::Added => self.present += 1,
                    EventType::Deleted => self.present -= 1,
                    EventType::Modified | EventType::Bookmark => {}
                },
                // The server cut it, as it may: counted anew, none is missed.
                Some(Err(status)) if status.reason == Reason::Expired => {
                    (self.events, self.present) = open(&self.client, &self.request).await?;
                }
                Some(Err(status)) => return Err(status).context("watching pods"),
                None => (self.events, self.present) = open(&self.client, &self.request).await?,
            }
        }
        Ok(Instant::now())
    }

    /// As `until`, in a task of its own beside what makes it so.
    pub(crate) fn reaching(mut self, count: usize) -> JoinHandle<Result<Instant>> {
        tokio::spawn(async move { self.until(count).await })
    }

    pub(crate) fn present(&self) -> usize {
        self.present
    }
}

async fn open(client: &Client, request: &WatchRequest) -> Result<(RawEvents, usize)> {
    let mut events = client.transport().watch(request.clone()).await.context("watching pods")?;
    let mut present = 0;
    loop {
        let event = events.next().await.context("the watch ended before its first state")??;
        if event.kind == EventType::Bookmark {
            return Ok((events, present));
        }
        present += 1;
    }
}

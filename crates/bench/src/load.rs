//! Closed-loop load: so many clients, each with a connection of its own, each sending its next request at the answer.

use crate::target::Target;
use anyhow::{Context, Result};
use client::{Request, Transport};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct Measured {
    pub(crate) elapsed: Duration,
    pub(crate) latencies: Vec<Duration>,
}

impl Measured {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Sends `make(0..total)` from `clients` tasks; fails at the first error.
pub(crate) async fn run<F>(target: &Target, clients: usize, total: usize, make: F) -> Result<Measured>
where
    F: Fn(usize) -> Request + Send + Sync + 'static,
{
    let make = Arc::new(make);
    let next = Arc::new(AtomicUsize::new(0));
    let mut transports = Vec::new();
    for _ in 0..clients {
        let client = target.client()?;
        // The handshake is not part of the first request.
        let namespaces =
            Request::new(client::Verb::List, &<k8s_openapi::api::core::v1::Namespace as api::Kind>::DEF, "", "");
        client.call(namespaces.query("limit", "1")).await.context("connecting")?;
        transports.push(client.transport().clone());
    }
    let started = Instant::now();
    let tasks: Vec<_> = transports
        .into_iter()
        .map(|transport| tokio::spawn(one_client(transport, make.clone(), next.clone(), total)))
        .collect();
    let mut latencies = Vec::with_capacity(total);
    for task in tasks {
        latencies.extend(task.await.context("a client's task")??);
    }
    Ok(Measured { elapsed: started.elapsed(), latencies })
}

async fn one_client<F>(
    transport: Arc<dyn Transport>,
    make: Arc<F>,
    next: Arc<AtomicUsize>,
    total: usize,
) -> Result<Vec<Duration>>
where
    F: Fn(usize) -> Request + Send + Sync + 'static,
{
    let mut latencies = Vec::new();
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if index >= total {
            return Ok(latencies);
        }
        let request = make(index);
        let started = Instant::now();
        transport.call(request).await.with_context(|| format!("request {index}"))?;
        latencies.push(started.elapsed());
    }
}

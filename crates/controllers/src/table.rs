//! The table of controllers: a row starts one.

use crate::csr::Signer;
use client::Client;
use ipnet::IpNet;
use reconcile::{Clock, Controller, Gauge, Recorder, Running, Setup};
use std::sync::Arc;
use std::time::Duration;

/// What a controller is made from.
pub(crate) struct Start {
    pub(crate) client: Client,
    pub(crate) clock: Clock,
    pub(crate) options: Options,
}

/// What only the program knows.
#[derive(Clone)]
pub struct Options {
    /// Published in every namespace; `None`: nothing is.
    pub root_ca_pem: Option<String>,
    /// Ranges that nodes get theirs of, of either family; empty: nodes get none.
    pub cluster_cidrs: Vec<IpNet>,
    pub node_mask_v4: u8,
    pub node_mask_v6: u8,
    /// How long a node may be silent.
    pub node_monitor_grace: Duration,
    /// Approves and signs certificate requests; `None`: they wait for somebody else.
    pub signer: Option<Arc<dyn Signer>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            root_ca_pem: None,
            cluster_cidrs: Vec::new(),
            node_mask_v4: 22,
            node_mask_v6: 64,
            node_monitor_grace: Duration::from_secs(50),
            signer: None,
        }
    }
}

/// How a row is made: every time, or only if the options have what it needs.
enum Row {
    Always(fn(&Start) -> Controller),
    If(fn(&Start) -> Option<Controller>),
}

use Row::{Always, If};

const TABLE: &[Row] = &[
    Always(crate::deployment::controller),
    Always(crate::replica_set::controller),
    Always(crate::endpoints::service::controller),
    Always(crate::endpoints::legacy::controller),
    Always(crate::endpoints::mirror::controller),
    Always(crate::endpoints::dns::controller),
    Always(crate::service_account::controller),
    If(crate::root_ca::controller),
    Always(crate::node_lifecycle::controller),
    Always(crate::eviction::controller),
    Always(crate::pod_garbage::controller),
    If(crate::node_ipam::controller),
    If(crate::csr::controller),
    Always(crate::garbage::controller),
    Always(crate::namespace::controller),
    Always(crate::disruption::controller),
    Always(crate::pod_autoscaler::controller),
    Always(crate::bootstrap_tokens::controller),
    Always(crate::event_expiry::controller),
    Always(crate::protection::claims),
    Always(crate::protection::volumes),
    Always(crate::storage_migration::controller),
];

impl Row {
    fn make(&self, start: &Start) -> Option<Controller> {
        match self {
            Always(make) => Some(make(start)),
            If(make) => make(start),
        }
    }
}

/// The running controllers; dropped, they end at once.
pub struct Handle {
    running: Vec<Running>,
}

/// Starts every controller of the table on the current runtime.
pub fn start(client: Client, clock: Clock, options: Options) -> Handle {
    let events = Recorder::start(client.clone(), clock.clone(), "controller-manager", "");
    let setup = Setup { client: client.clone(), clock: clock.clone(), events };
    let start = Start { client, clock, options };
    Handle {
        running: TABLE.iter().filter_map(|row| row.make(&start)).map(|controller| controller.start(&setup)).collect(),
    }
}

impl Handle {
    /// Lets what runs end, and starts no more.
    pub async fn stop(self) {
        futures::future::join_all(self.running.into_iter().map(Running::stop)).await;
    }

    /// Appends what every controller counts, in Prometheus' text format; to be asked at any time.
    pub fn metrics(&self) -> impl Fn(&mut String) + Send + Sync + 'static {
        let gauges: Vec<Gauge> = self.running.iter().map(Running::gauge).collect();
        move |out| {
            let read: Vec<_> = gauges.iter().map(Gauge::read).collect();
            if reconcile::write_metrics(&read, out).is_err() {
                tracing::error!("metrics of controllers did not render");
            }
        }
    }
}

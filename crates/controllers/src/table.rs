//! The table of controllers: a row starts one.

use client::Client;
use reconcile::{Clock, Controller, Recorder, Running, Setup};

/// What a controller is made from.
pub(crate) struct Start {
    pub(crate) client: Client,
    pub(crate) options: Options,
}

/// What only the program knows.
#[derive(Clone, Default)]
pub struct Options {}

const TABLE: &[fn(&Start) -> Controller] = &[crate::deployment::controller, crate::replica_set::controller];

/// The running controllers; dropped, they end at once.
pub struct Handle {
    running: Vec<Running>,
}

/// Starts every controller of the table on the current runtime.
pub fn start(client: Client, clock: Clock, options: Options) -> Handle {
    let events = Recorder::start(client.clone(), clock.clone(), "controller-manager", "");
    let setup = Setup { client: client.clone(), clock, events };
    let start = Start { client, options };
    Handle { running: TABLE.iter().map(|row| row(&start).start(&setup)).collect() }
}

impl Handle {
    /// Lets what runs end, and starts no more.
    pub async fn stop(self) {
        for running in self.running {
            running.stop().await;
        }
    }

    /// Prometheus samples of every controller.
    pub fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        for running in &self.running {
            running.metrics().render(running.name(), running.queue_depth(), &mut text)?;
        }
        Ok(text)
    }
}

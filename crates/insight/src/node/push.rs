//! Carries each sample to the server.
//!
//! Bound: one sample under way; those that come meanwhile are not kept, as the next says everything of its moment.

use super::Meter;
use async_trait::async_trait;
use bytes::Bytes;

/// Why a sample did not arrive.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct UplinkError(pub String);

/// The way to the server.
#[async_trait]
pub trait Uplink: Send + Sync {
    async fn send(&self, sample: Bytes) -> Result<(), UplinkError>;
}

/// Sends each sample of `meter` for as long as it is polled.
pub async fn push(meter: &Meter, uplink: &dyn Uplink) {
    let mut samples = meter.samples();
    if samples.borrow().sample.time_ms > 0 {
        // What was measured before anybody listened.
        samples.mark_changed();
    }
    let mut failing = false;
    while samples.changed().await.is_ok() {
        let sample = samples.borrow_and_update().sample.clone();
        let sent = uplink.send(sample.encode().into()).await;
        match &sent {
            // Once for each time that it begins to fail: the server may be away for long.
            Err(error) if !failing => tracing::warn!(%error, "the server does not take what this node measures"),
            Err(error) => tracing::debug!(%error, "the server still does not take what this node measures"),
            Ok(()) => {}
        }
        failing = sent.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::NodeSample;
    use tokio::sync::mpsc;

    struct Wire(mpsc::Sender<Bytes>);

    #[async_trait]
    impl Uplink for Wire {
        async fn send(&self, sample: Bytes) -> Result<(), UplinkError> {
            self.0.send(sample).await.map_err(|_| UplinkError("cut".into()))
        }
    }

    #[tokio::test]
    async fn each_sample_is_sent() {
        let meter = Meter::new("n1");
        let (wire, mut received) = mpsc::channel(4);
        let wire = Wire(wire);
        let receive = async {
            for time_ms in [10, 20] {
                meter.publish(Vec::new(), NodeSample { node: "n1".into(), time_ms, ..NodeSample::default() });
                let sample = NodeSample::decode(&received.recv().await.unwrap()).unwrap();
                assert_eq!(sample.time_ms, time_ms);
            }
        };
        tokio::select! {
            () = push(&meter, &wire) => panic!("it ends with the meter"),
            () = receive => {}
        }
    }
}

//! The stream of what happens to containers.

use cri::Events;
use cri::v1::ContainerEventResponse;
use tokio::sync::broadcast;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;
use tonic::Status;

/// Events that a slow listener may be behind. Beyond it, its stream ends with an error, and it lists anew.
const BEHIND_MAX: usize = 4096;

/// Where events are told.
pub(crate) struct Publisher(broadcast::Sender<ContainerEventResponse>);

impl Publisher {
    pub(crate) fn new() -> Publisher {
        Publisher(broadcast::Sender::new(BEHIND_MAX))
    }

    /// Tells everyone who listens.
    pub(crate) fn publish(&self, event: ContainerEventResponse) {
        if self.0.send(event).is_err() {
            tracing::trace!("a container event without a listener");
        }
    }

    /// Everything from now on.
    pub(crate) fn listen(&self) -> Events {
        let mut lost = false;
        let stream = BroadcastStream::new(self.0.subscribe()).map(|event| {
            event.map_err(|BroadcastStreamRecvError::Lagged(count)| {
                Status::resource_exhausted(format!("{count} container events lost: list the containers anew"))
            })
        });
        Box::pin(stream.take_while(move |event| !std::mem::replace(&mut lost, event.is_err())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_that_lags_is_told_so() {
        let publisher = Publisher::new();
        let mut slow = publisher.listen();
        for number in 0..BEHIND_MAX + 2 {
            publisher.publish(ContainerEventResponse { created_at: number as i64, ..Default::default() });
        }
        let mut quick = publisher.listen();
        publisher.publish(ContainerEventResponse { created_at: -1, ..Default::default() });
        assert_eq!(quick.next().await.unwrap().unwrap().created_at, -1);
        assert_eq!(slow.next().await.unwrap().unwrap_err().code(), tonic::Code::ResourceExhausted);
        assert!(slow.next().await.is_none());
    }
}

//! A connector that gives up.
//!
//! Invariant: a server whose process is stopped counts as one that cannot be reached. (Its kernel takes connections, so
//! that a limit on connecting alone would never end them.)

use futures::future::{BoxFuture, FutureExt};
use http::Uri;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Connects as `connector` does, TLS and all, within a time.
#[derive(Clone)]
pub(super) struct Within<C> {
    pub(super) connector: C,
    pub(super) time_max: Duration,
}

impl<C> Service<Uri> for Within<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Error: Into<Error>,
{
    type Response = C::Response;
    type Error = Error;
    type Future = BoxFuture<'static, Result<C::Response, Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.connector.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        let (connecting, time_max) = (self.connector.call(server), self.time_max);
        let connected = async move {
            match tokio::time::timeout(time_max, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(format!("no handshake within {time_max:?}").into()),
            }
        };
        connected.boxed()
    }
}

//! The dashboard in front of the API: which of each other's words they understand.

use apiserver::{Backend, Credential, Entered, Front};
use async_trait::async_trait;
use bytes::Bytes;
use dashboard::{Dashboard, Door};
use http::{HeaderMap, Response, request};
use std::sync::Arc;

pub(super) struct Browsers(Dashboard<Credential>);

impl Browsers {
    pub(super) fn new() -> Browsers {
        Browsers(Dashboard::new(Arc::new(super::server::now)))
    }
}

/// The API server's knowledge of whose credentials are.
struct Porter<'a>(&'a Backend);

#[async_trait]
impl Door for Porter<'_> {
    type Credential = Credential;

    fn token(&self, text: &str) -> Credential {
        Credential::bearer(text)
    }

    async fn whose(&self, credential: &Credential) -> Option<api::user::User> {
        self.0.whose(credential).await
    }
}

#[async_trait]
impl Front for Browsers {
    fn prefix(&self) -> &'static str {
        dashboard::PREFIX
    }

    fn body_bytes_max(&self) -> usize {
        dashboard::BODY_BYTES_MAX
    }

    fn enter(&self, parts: &mut request::Parts) -> Entered {
        match self.0.enter(parts) {
            dashboard::Entered::Own => Entered::Own,
            dashboard::Entered::OnBehalf(credential) => Entered::OnBehalf(credential),
            dashboard::Entered::Refused(response) => Entered::Refused(response),
        }
    }

    async fn answer(
        &self,
        parts: &request::Parts,
        body: Bytes,
        shown: Option<Credential>,
        backend: &Backend,
    ) -> Response<Bytes> {
        self.0.answer(parts, body, shown, &Porter(backend)).await
    }

    fn protect(&self, headers: &mut HeaderMap) {
        dashboard::protect(headers);
    }
}

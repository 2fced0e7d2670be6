//! Pages in front of the API: what they answer themselves is told of, counted and bounded in time like all else.

use api::user::User;
use apiserver::{Backend, Credential, Entered, Front};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, request};

/// Every cluster of these tests has them.
pub(crate) struct Pages;

fn answer(code: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    response
}

#[async_trait]
impl Front for Pages {
    fn prefix(&self) -> &'static str {
        "/pages"
    }

    fn body_bytes_max(&self) -> usize {
        100
    }

    fn enter(&self, parts: &mut request::Parts) -> Entered {
        match parts.uri.path() {
            "/pages/refused" => Entered::Refused(answer(StatusCode::UNAUTHORIZED, Bytes::from_static(b"who?"))),
            _ => Entered::Own,
        }
    }

    /// `login` logs in whom its body names; `stuck` has no end.
    async fn answer(
        &self,
        parts: &request::Parts,
        body: Bytes,
        _shown: Option<Credential>,
        _backend: &Backend,
    ) -> Response<Bytes> {
        match parts.uri.path() {
            "/pages/login" => {
                let name = String::from_utf8(body.to_vec()).expect("these tests send names");
                let mut response = answer(StatusCode::CREATED, body);
                response.extensions_mut().insert(User { name, ..User::default() });
                response
            }
            "/pages/stuck" => std::future::pending().await,
            _ => answer(StatusCode::OK, Bytes::from_static(b"a page")),
        }
    }

    fn protect(&self, headers: &mut HeaderMap) {
        headers.insert("x-protected", HeaderValue::from_static("yes"));
    }
}

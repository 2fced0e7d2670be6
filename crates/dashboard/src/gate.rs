//! Which requests are a page's to the API, and whether they may pass.
//!
//! `/dashboard/server/api/v1/pods` is `/api/v1/pods`, asked with the session's credential in place of the browser's.
//! Invariant: what the browser itself shows beside its session (a certificate, a header) never counts here.

use crate::session::{KEY_HEADER, KEY_PROTOCOL, Shown, text};
use crate::{Dashboard, protection};
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header, request};

/// Below which all of the UI lies.
pub const PREFIX: &str = "/dashboard";
const SERVER: &str = "/dashboard/server/";

/// What becomes of a request below the prefix.
pub enum Entered<C> {
    /// `answer` knows it.
    Own,
    /// The API's, with that credential; its path and headers are now those of the API.
    OnBehalf(C),
    Refused(Response<Bytes>),
}

impl<C: Clone + Send + Sync> Dashboard<C> {
    pub fn enter(&self, parts: &mut request::Parts) -> Entered<C> {
        if !parts.uri.path().starts_with(SERVER) {
            return Entered::Own;
        }
        let refused = |code, why: &str| Entered::Refused(protection::refusal(code, why));
        if !same_origin(parts) {
            return refused(StatusCode::FORBIDDEN, "only the dashboard's own pages may ask here");
        }
        let Some(session) = Shown::of(&parts.headers).and_then(|shown| self.session(&shown)) else {
            return refused(StatusCode::UNAUTHORIZED, "the session is over: log in again");
        };
        let Some(uri) = of_the_api(&parts.uri) else {
            return refused(StatusCode::NOT_FOUND, "no such path");
        };
        if brings_foreign_pages(uri.path()) {
            // Behind `proxy` is whatever a pod likes to send, and here it would come from the dashboard's own origin.
            return refused(StatusCode::FORBIDDEN, "the dashboard opens no proxied pages");
        }
        parts.uri = uri;
        strip(&mut parts.headers);
        Entered::OnBehalf(session.credential.clone())
    }
}

/// Whether the browser says that a page of this origin asks. A WebSocket says only `Origin`, and always does.
pub(crate) fn same_origin(parts: &request::Parts) -> bool {
    let headers = &parts.headers;
    let host = parts.uri.authority().map(http::uri::Authority::as_str).or_else(|| text(headers, "host"));
    let origin = headers.get(header::ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let own = |origin: &str| origin.strip_prefix("https://") == host;
    let from_elsewhere = origin.is_some_and(|origin| !own(origin));
    let cross_site = text(headers, "sec-fetch-site").is_some_and(|site| site != "same-origin");
    let upgrades = headers.contains_key(header::UPGRADE) && origin.is_none();
    !from_elsewhere && !cross_site && !upgrades
}

fn of_the_api(uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query()?.as_str().strip_prefix(SERVER)?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(format!("/{path}")).ok()?);
    Uri::from_parts(parts).ok()
}

/// `/api/v1/namespaces/a/pods/b/proxy/…`, `/api/v1/nodes/a/proxy` and their like, however escaped: the subresource of
/// that name, of any kind. Objects and namespaces may be called so.
fn brings_foreign_pages(path: &str) -> bool {
    let segments: Vec<String> = path.split('/').filter(|segment| !segment.is_empty()).map(percent_decoded).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (["api", _, object @ ..] | ["apis", _, _, object @ ..]) = segments.as_slice() else { return false };
    let subresource = match object {
        ["namespaces", _, _, _, subresource, ..] => subresource,
        ["namespaces", ..] => "",
        [_, _, subresource, ..] => subresource,
        _ => "",
    };
    subresource == "proxy"
}

fn percent_decoded(path: &str) -> String {
    let (mut bytes, mut rest) = (Vec::with_capacity(path.len()), path.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        let escaped = (first == b'%').then(|| after.get(..2)).flatten();
        let escaped =
            escaped.and_then(|two| std::str::from_utf8(two).ok()).and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What belongs to the session, or would speak beside it.
fn strip(headers: &mut HeaderMap) {
    let protocols: Vec<String> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .into_iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(|one| one.trim().to_owned())
        .filter(|one| !one.starts_with(KEY_PROTOCOL) && !one.starts_with("base64url.bearer."))
        .collect();
    headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
    if let Some(value) = (!protocols.is_empty()).then(|| HeaderValue::from_str(&protocols.join(", ")).ok()).flatten() {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, value);
    }
    for name in [header::COOKIE, header::AUTHORIZATION, header::ORIGIN] {
        headers.remove(name);
    }
    headers.remove(KEY_HEADER);
}

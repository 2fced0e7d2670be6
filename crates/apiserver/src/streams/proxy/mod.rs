//! `proxy` of pods, services and nodes: the client's request, whatever it is, goes to what the path names.
//!
//! Invariants: who asks is not told on (credentials and impersonation stay here); path and query go on as they were
//! written; bodies flow both ways and are never held whole.

pub(crate) mod headers;
mod html;
mod rewrite;
mod target;

use super::dial::DialError;
use crate::call::Call;
use crate::http::{Answer, AnswerBody};
use api::{Reason, Status, Subresource};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, header, request};
use http_body_util::{BodyDataStream, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use rewrite::Rewrite;

pub(crate) async fn proxy(call: &Call<'_>, parts: &mut request::Parts, body: Incoming) -> Result<Answer, Status> {
    if !call.def().has(Subresource::Proxy) {
        return Err(Status::no_such_path());
    }
    let own = parts.uri.path();
    let rest = rest(own);
    super::options::of_proxy(call, rest).await?;
    let address = target::find(call).await?;
    let upgrade = parts.extensions.remove::<OnUpgrade>().filter(|_| headers::asks_upgrade(&parts.headers));
    if rest.is_empty() && upgrade.is_none() && matches!(parts.method, Method::GET | Method::HEAD) {
        return redirect(parts);
    }
    let rewrite = Rewrite { prefix: own[..own.len() - rest.len()].to_owned(), backend: address.authority() };
    let path = if rest.is_empty() { "/" } else { rest };
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut request = Request::builder().method(parts.method.clone()).uri(format!("{path}{query}"));
    if let Some(headers) = request.headers_mut() {
        headers::hand_on(&parts.headers, headers, upgrade.is_some());
        let uri = HeaderValue::from_str(own).map_err(Status::internal)?;
        headers.insert("x-forwarded-uri", uri);
    }
    match upgrade {
        Some(upgrade) => {
            let request = request.body(Empty::<Bytes>::new()).map_err(Status::internal)?;
            let dialing = |error: DialError| Status::internal(format!("error dialing backend: {error}"));
            let mut response = address.exchange(request).await.map_err(dialing)?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Ok(answer(response, &rewrite));
            }
            let mut answer = Answer::of("", AnswerBody::empty()).code(StatusCode::SWITCHING_PROTOCOLS);
            headers::hand_back(response.headers(), &mut answer.headers, true);
            let backend = hyper::upgrade::on(&mut response);
            answer.spliced = Some(tokio::spawn(super::splice::splice(upgrade, backend, call.backend.stopping.clone())));
            Ok(answer)
        }
        None => {
            let request = request.body(body).map_err(Status::internal)?;
            let reaching = |error: DialError| {
                Status::new(Reason::ServiceUnavailable, format!("error trying to reach service: {error}"))
            };
            Ok(answer(address.exchange(request).await.map_err(reaching)?, &rewrite))
        }
    }
}

/// What follows `…/proxy`: as it was written, escapes and all, with its slash; empty for nothing.
fn rest(path: &str) -> &str {
    // api, v1, (namespaces, NAMESPACE,) plural, name, proxy.
    let namespaced = path.trim_start_matches('/').split('/').nth(2) == Some("namespaces");
    let segments = if namespaced { 7 } else { 5 };
    let slash = path.match_indices('/').nth(segments).map(|(at, _)| at);
    slash.map_or("", |at| &path[at..])
}

/// A page at `…/proxy` would have its relative links one step too high.
fn redirect(parts: &request::Parts) -> Result<Answer, Status> {
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let location = HeaderValue::from_str(&format!("{}/{query}", parts.uri.path())).map_err(Status::internal)?;
    Ok(Answer::of("", AnswerBody::empty()).code(StatusCode::MOVED_PERMANENTLY).header(header::LOCATION, location))
}

/// The backend's answer as the client's: addresses of the backend itself lead through the proxy.
fn answer(response: Response<Incoming>, rewrite: &Rewrite) -> Answer {
    let (parts, body) = response.into_parts();
    let is_html = headers::is_plain_html(&parts.headers);
    let mut answer = Answer::of("", AnswerBody::empty()).code(parts.status);
    headers::hand_back(&parts.headers, &mut answer.headers, false);
    let location = parts.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    if let Some(location) = location {
        if let Ok(value) = HeaderValue::from_str(&rewrite.url(location)) {
            answer.headers.insert(header::LOCATION, value);
        }
        answer.body = AnswerBody::Proxied(body);
    } else if is_html {
        answer.headers.remove(header::CONTENT_LENGTH);
        answer.body = AnswerBody::stream(rewritten(body, rewrite.clone()));
    } else {
        answer.body = AnswerBody::Proxied(body);
    }
    answer
}

fn rewritten(body: Incoming, rewrite: Rewrite) -> impl futures::Stream<Item = Bytes> + Send + 'static {
    let state = Some((BodyDataStream::new(body), html::Rewriter::new(rewrite)));
    futures::stream::unfold(state, |state| async move {
        let (mut body, mut rewriter) = state?;
        match body.next().await {
            Some(Ok(chunk)) => Some((rewriter.push(&chunk), Some((body, rewriter)))),
            Some(Err(error)) => {
                tracing::debug!(%error, "a proxied page was cut");
                None
            }
            None => Some((rewriter.finish(), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_kept_as_it_was_written() {
        for (path, wanted) in [
            ("/api/v1/namespaces/a/pods/p/proxy", ""),
            ("/api/v1/namespaces/a/pods/p/proxy/", "/"),
            ("/api/v1/namespaces/a/services/https:s:port/proxy/x//y%2Fz/", "/x//y%2Fz/"),
            ("/api/v1/nodes/n/proxy/metrics", "/metrics"),
            ("/api/v1/nodes/n/proxy", ""),
        ] {
            assert_eq!(rest(path), wanted, "{path}");
        }
    }
}

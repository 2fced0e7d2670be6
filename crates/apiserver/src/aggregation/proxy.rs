//! A request on its way to another API server, and the answer on its way back.
//!
//! Invariants: path and query go on as they were written; whoever asks is named by this server alone, never by headers
//! of the client's own; a redirect would lead the client, or this server's identity, anywhere, and is refused. Answers
//! are streamed as they come; a request's body is held, bounded as of any other request.

use super::remote::Remote;
use crate::backend::Backend;
use crate::callout::{Unreached, boxed};
use crate::http::{Answer, AnswerBody, RequestInfo};
use crate::stack::read_body;
use crate::streams::{headers, splice};
use api::Status;
use api::user::User;
use bytes::Bytes;
use futures::{StreamExt, future};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header, request};
use http_body_util::{BodyDataStream, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::fmt::Write as _;
use std::sync::Arc;

const REDIRECTED: &str = "the backend attempted to redirect this request, which is not permitted";

pub(crate) async fn proxy(
    backend: &Arc<Backend>,
    remote: &Remote,
    user: &User,
    info: &RequestInfo<'_>,
    parts: &mut request::Parts,
    body: Incoming,
) -> Result<Answer, Status> {
    if !remote.state().is_available {
        return Ok(unavailable("service unavailable"));
    }
    let upgrade = parts.extensions.remove::<OnUpgrade>().filter(|_| headers::asks_upgrade(&parts.headers));
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = Request::builder().method(parts.method.clone());
    if let Some(own) = request.headers_mut() {
        headers::hand_on(&parts.headers, own, upgrade.is_some());
        // The body's length is that of what was read of it.
        own.remove(header::CONTENT_LENGTH);
        name_user(user, own).map_err(Status::internal)?;
    }
    if let Some(upgrade) = upgrade {
        let host = HeaderValue::from_str(&remote.target().authority()).map_err(Status::internal)?;
        let request = request.uri(path).header(header::HOST, host).body(Empty::<Bytes>::new());
        return match exchange(backend, remote, request.map_err(Status::internal)?).await {
            Ok(response) => Ok(upgraded(backend, response, upgrade)),
            Err(why) => Ok(unreached(&why)),
        };
    }
    let body = read_body(info, body).await?;
    let request = request.uri(format!("{}{path}", remote.origin())).body(boxed(Full::new(body)));
    let sent = backend.parts()?.callout.send(&remote.target(), request.map_err(Status::internal)?).await;
    Ok(match sent {
        Ok(response) if info.verb == "watch" => watched(backend, response),
        Ok(response) => answer(response),
        Err(why) => unreached(&why),
    })
}

/// Ends with this server, which would wait for it.
fn watched(backend: &Backend, response: Response<Incoming>) -> Answer {
    let mut answer = answer(response);
    answer.body = match answer.body {
        AnswerBody::Proxied(body) => {
            let chunks = BodyDataStream::new(body).scan((), |(), chunk| {
                let chunk = chunk.inspect_err(|error| tracing::debug!(%error, "a watch of another server broke off"));
                future::ready(chunk.ok())
            });
            AnswerBody::stream(chunks.take_until(backend.stopping.clone().cancelled_owned()))
        }
        other => other,
    };
    answer
}

/// In the text that upstream answers: it is no `Status`.
fn unavailable(why: &str) -> Answer {
    Answer::text(format!("{why}\n")).code(StatusCode::SERVICE_UNAVAILABLE)
}

fn unreached(why: &Unreached) -> Answer {
    match why {
        Unreached::Unresolved(why) => {
            tracing::info!(why, "a service of an APIService leads nowhere");
            unavailable("service unavailable")
        }
        why => unavailable(&format!("error trying to reach service: {why}")),
    }
}

/// Names the user as servers behind a front proxy read it.
pub(super) fn name_user(user: &User, headers: &mut HeaderMap) -> Result<(), http::Error> {
    let mut add = |name: &str, value: &str| -> Result<(), http::Error> {
        headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        Ok(())
    };
    add("x-remote-user", &user.name)?;
    if !user.uid.is_empty() {
        add("x-remote-uid", &user.uid)?;
    }
    for group in &user.groups {
        add("x-remote-group", group)?;
    }
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", escaped(key));
        for value in values {
            add(&name, value)?;
        }
    }
    Ok(())
}

/// A key as a header's name takes it: what no name may have, and the percent sign itself, in percent escapes.
fn escaped(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte) {
            name.push(char::from(byte));
        } else {
            write!(name, "%{byte:02X}").expect("a String takes all that is written");
        }
    }
    name
}

/// On a connection of its own.
async fn exchange(
    backend: &Backend,
    remote: &Remote,
    request: Request<Empty<Bytes>>,
) -> Result<Response<Incoming>, Unreached> {
    let broken = |error: hyper::Error| Unreached::Http(error.to_string());
    let parts = backend.parts().map_err(|status| Unreached::Unusable(status.message))?;
    let stream = parts.callout.connect(&remote.target()).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection to an API server ended");
        }
    });
    sender.send_request(request).await.map_err(broken)
}

fn upgraded(backend: &Backend, mut response: Response<Incoming>, client: OnUpgrade) -> Answer {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return answer(response);
    }
    let mut answer = Answer::of("", AnswerBody::empty()).code(StatusCode::SWITCHING_PROTOCOLS);
    headers::hand_back(response.headers(), &mut answer.headers, true);
    let server = hyper::upgrade::on(&mut response);
    answer.spliced = Some(tokio::spawn(splice(client, server, backend.stopping.clone())));
    answer
}

fn answer(response: Response<Incoming>) -> Answer {
    let (parts, body) = response.into_parts();
    if parts.status.is_redirection() && parts.headers.get(header::LOCATION).is_some_and(|to| !to.is_empty()) {
        return Answer::text(REDIRECTED).code(StatusCode::BAD_GATEWAY);
    }
    let mut answer = Answer::of("", AnswerBody::Proxied(body)).code(parts.status);
    headers::hand_back(&parts.headers, &mut answer.headers, false);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_in_headers() {
        let extra = [("example.org/Scope%".to_owned(), vec!["a".to_owned(), "b".to_owned()])];
        let user = User {
            name: "jane".to_owned(),
            uid: "7".to_owned(),
            groups: vec!["x".to_owned(), "y".to_owned()],
            extra: extra.into(),
        };
        let mut headers = HeaderMap::new();
        name_user(&user, &mut headers).unwrap();
        let all: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        let wanted = [
            "x-remote-user: jane",
            "x-remote-uid: 7",
            "x-remote-group: x",
            "x-remote-group: y",
            "x-remote-extra-example.org%2fscope%25: a",
            "x-remote-extra-example.org%2fscope%25: b",
        ];
        assert_eq!(all, wanted);
        assert!(name_user(&User { name: "line\nbreak".to_owned(), ..user }, &mut headers).is_err());
    }
}

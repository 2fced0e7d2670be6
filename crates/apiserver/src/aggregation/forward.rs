//! Requests of components in this process for kinds that other servers serve, and what those kinds are.
//!
//! Bounds: an answer's bytes and the time that it may take.

use super::proxy::name_user;
use super::remote::Remote;
use super::table::Table;
use crate::backend::Backend;
use crate::callout::{Body, boxed};
use crate::catalog::Priority;
use api::custom::foreign_row;
use api::resource::Scope;
use api::user::User;
use api::{Reason, Status};
use bytes::Bytes;
use client::{Aggregated, Foreign};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use std::cmp::Reverse;
use std::time::Duration;

/// A page of 500 large objects.
const ANSWER_BYTES_MAX: usize = 256 << 20;
const REFUSAL_BYTES_MAX: usize = 1 << 20;
pub(super) const TIME_MAX: Duration = Duration::from_secs(60);

/// What all of them serve, the preferred version of each group first.
pub(crate) fn kinds(table: &Table) -> Result<Vec<Aggregated>, Status> {
    let mut remotes: Vec<_> = table.remotes().collect();
    remotes.sort_by_key(|(group, version, _)| (*group, Reverse(Priority::of(version))));
    let all = remotes.into_iter().map(|(group, version, remote)| {
        let state = remote.state();
        let discovered = state.discovered.as_ref().filter(|_| state.is_available);
        let kinds = discovered.map(|all| {
            let foreign = all.iter().map(|own| {
                let scope = if own.is_namespaced() { Scope::Namespaced } else { Scope::Cluster };
                let def = foreign_row((group, version), own.kind(), own.name(), scope);
                Ok(Foreign { def: def.map_err(Status::internal)?, verbs: own.verbs().to_vec() })
            });
            foreign.collect::<Result<Vec<_>, Status>>()
        });
        Ok(Aggregated { group_version: format!("{group}/{version}"), kinds: kinds.transpose()? })
    });
    all.collect()
}

/// A component's request as the user that it is.
pub(super) fn asked(
    remote: &Remote,
    user: &User,
    (method, path): (Method, &str),
    (content_type, body): (&str, Bytes),
) -> Result<Request<Body>, Status> {
    if !remote.state().is_available {
        return Err(Status::unavailable("service unavailable"));
    }
    let mut request = Request::builder().method(method).uri(format!("{}{path}", remote.origin()));
    if let Some(headers) = request.headers_mut() {
        name_user(user, headers).map_err(Status::internal)?;
    }
    let mut request = request.header(header::ACCEPT, "application/json");
    if !content_type.is_empty() {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    request.body(boxed(Full::new(body))).map_err(Status::internal)
}

/// Sends a component's request on; the answer's body.
pub(crate) async fn forward(
    backend: &Backend,
    remote: &Remote,
    user: &User,
    line: (Method, &str),
    sent: (&str, Bytes),
) -> Result<Bytes, Status> {
    let request = asked(remote, user, line, sent)?;
    let (callout, target) = (&backend.parts()?.callout, remote.target());
    let answered = async {
        let response = callout
            .send(&target, request)
            .await
            .map_err(|why| Status::unavailable(format!("error trying to reach service: {why}")))?;
        let code = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body =
            body.map_err(|error| Status::unavailable(format!("reading an answer of {}: {error}", remote.origin())))?;
        Ok((code, body.to_bytes()))
    };
    match tokio::time::timeout(TIME_MAX, answered).await {
        Ok(Ok((code, body))) if code.is_success() => Ok(body),
        Ok(Ok((code, body))) => Err(refusal(code, &body)),
        Ok(Err(status)) => Err(status),
        Err(_) => Err(Status::unavailable(format!("{} did not answer in {TIME_MAX:?}", remote.origin()))),
    }
}

/// As `refusal`, of an answer whose body is still to come.
pub(super) async fn refused(response: Response<Incoming>) -> Status {
    let code = response.status();
    match tokio::time::timeout(TIME_MAX, Limited::new(response.into_body(), REFUSAL_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => refusal(code, &body.to_bytes()),
        _ => refusal(code, b""),
    }
}

/// What a server says that does not do what it was asked.
fn refusal(code: StatusCode, body: &[u8]) -> Status {
    match serde_json::from_slice::<meta::Status>(body) {
        Ok(status) if status.message.is_some() || status.reason.is_some() => Status::from_object(code.as_u16(), status),
        _ => {
            let text = String::from_utf8_lossy(&body[..body.len().min(512)]);
            let reason = match code {
                StatusCode::NOT_FOUND => Reason::NotFound,
                StatusCode::METHOD_NOT_ALLOWED => Reason::MethodNotAllowed,
                StatusCode::SERVICE_UNAVAILABLE => Reason::ServiceUnavailable,
                _ => Reason::Unknown,
            };
            let message = format!("the server behind answered {code}: {}", text.trim_end());
            Status { code: code.as_u16(), ..Status::new(reason, message) }
        }
    }
}

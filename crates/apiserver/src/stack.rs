//! What a request passes, in this order:
//!
//! 1. request info: method, path and query become verb, resource, namespace, name
//! 2. authentication: who asks (client certificate, bearer token, nobody)
//! 3. impersonation: whom they act as
//! 4. priority and fairness: whether they wait, or are refused, for others' sake
//! 5. authorization: whether they may
//! 6. another API server, if an APIService says that one answers
//! 7. the body, bounded, and the form of the answer
//! 8. the verb, or the path's own answer
//!
//! Where an audit policy says so, the request is told of when it is received (behind 2) and when it is answered.
//! Every request is counted, bounded in time unless it streams, and answered: an error is a `Status`.

use crate::audit::{Origin, Trail};
use crate::authz::{Attributes, Verdict};
use crate::backend::Backend;
use crate::call::Call;
use crate::fairness::{self, Asked, Seat};
use crate::http::{Answer, AnswerBody, Form, Query, RequestInfo, form, header_only, media_type, unescape};
use crate::http::{compressed, indented, is_pretty};
use crate::metrics::Labels;
use crate::{aggregation, custom_resources, measurements, plain_paths, streams, subresources, time_limit, verbs};
use api::user::User;
use api::{Status, Subresource};
use bytes::{Bytes, BytesMut};
use http::request;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use registry::{Notes, Resource};
use rustls::pki_types::CertificateDer;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A body's most bytes, as upstream's.
pub(crate) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Of a body that is refused, how much is taken in and thrown away, and for how long.
const REFUSED_BYTES_MAX: usize = 32 << 20;
const REFUSED_TIME_MAX: Duration = Duration::from_secs(5);

/// What a connection knows of its client.
pub(crate) struct Peer {
    pub certificates: Vec<CertificateDer<'static>>,
    pub address: IpAddr,
}

pub(crate) async fn serve(backend: Arc<Backend>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<AnswerBody> {
    let begun = Instant::now();
    let (mut parts, body) = request.into_parts();
    let path = unescape(parts.uri.path()).into_owned();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let info = RequestInfo::parse(&parts.method, &path, query.flag("watch"));
    let mut labels = Labels::default();
    let notes = Notes::default();
    let streams = info.verb == "watch" || is_stream(&info);
    let _inflight = (!streams).then(|| backend.metrics.enter(info.verb));
    let mut trail = Trail::begin(backend.audit(), Some(&parts.headers));
    let longest = backend.fairness().map_or(time_limit::DEFAULT, |fairness| fairness.request_timeout());
    let limit = if streams { Ok(longest) } else { time_limit::of(&query, longest) };
    let mut seat = None;
    let outcome = match limit {
        Err(status) => Err(status),
        Ok(limit) => {
            let answered = std::pin::pin!(answer(
                &backend,
                &peer,
                &mut parts,
                body,
                &info,
                &query,
                &mut labels,
                &notes,
                &mut trail,
                limit,
                &mut seat,
            ));
            if streams { answered.await } else { time_limit::keep(limit, answered).await }
        }
    };
    let (response, refusal) = match outcome {
        Ok(answer) => (answer, None),
        Err(status) => (Answer::error(&status), Some(status)),
    };
    let response = fairness::accompany(seat, response, longest);
    let goes_on = streams && refusal.is_none();
    let response = if goes_on { backend.metrics.goes_on(labels, response) } else { response };
    let response = trail.answered(response, refusal.as_ref(), &notes, streams).await;
    let response = response.warn(notes.warnings()).into_response();
    let response = if parts.method == Method::HEAD { header_only(response) } else { response };
    let took = (!streams).then(|| (begun.elapsed(), notes.elsewhere()));
    let bytes = response.body().size_hint().exact();
    backend.metrics.answered(labels, response.status().as_u16(), took, bytes);
    if parts.method == Method::HEAD || streams { response } else { shaped(&parts.headers, &query, response) }
}

/// What is left to do for the one who reads it, and for the network.
fn shaped(asked: &HeaderMap, query: &Query, response: Response<AnswerBody>) -> Response<AnswerBody> {
    let pretty = is_pretty(query.find("pretty"), text(asked, header::USER_AGENT));
    compressed(asked, if pretty { indented(response) } else { response })
}

fn is_stream(info: &RequestInfo<'_>) -> bool {
    matches!(info.subresource, "exec" | "attach" | "portforward" | "proxy" | "log")
        || info.path == streams::cluster_logs::PATH
}

async fn answer(
    backend: &Arc<Backend>,
    peer: &Peer,
    parts: &mut request::Parts,
    body: Incoming,
    info: &RequestInfo<'_>,
    query: &Query,
    labels: &mut Labels,
    notes: &Notes,
    trail: &mut Trail,
    limit: Duration,
    seat: &mut Option<Seat>,
) -> Result<Answer, Status> {
    let deciders = backend.parts()?;
    let (field_selector, label_selector) = (query.get("fieldSelector"), query.get("labelSelector"));
    let asked = Attributes { field_selector, label_selector, ..Attributes::of(info) };
    let user = deciders.authn.authenticate(parts, &peer.certificates).await;
    let user = trail.authenticated(user, &asked, &Origin::Connection { parts, peer }).await?;
    let assumed = deciders.authz.impersonated(&user, &parts.headers, &asked).await?;
    trail.assumed(assumed.as_ref());
    let user = assumed.map_or(user, |assumed| assumed.user);
    if let Some(fairness) = backend.fairness().filter(|_| !is_stream(info)) {
        let asked = Asked { user: &user, info, query, limit };
        let begun = Instant::now();
        let seated = fairness.seat(backend, &asked).await;
        notes.waited(begun.elapsed());
        match seated {
            Ok(own) => *seat = own,
            Err(refusal) => return Ok(refusal),
        }
    }
    let verdict = deciders.authz.verdict(&user, &asked).await;
    trail.judged(&verdict);
    if let Verdict::Refuse(refusal) = verdict {
        return Err(asked.refused(&user, &refusal));
    }
    if let Some(remote) = backend.aggregation.remote(info.path) {
        // Boxed: few requests go this way, and all would carry its room.
        return Box::pin(aggregation::proxy(backend, &remote, &user, info, parts, body)).await;
    }
    if info.path == streams::cluster_logs::PATH {
        return Box::pin(streams::cluster_logs::answer(backend, &user, info, query)).await;
    }
    if info.path.starts_with(measurements::PREFIX) {
        return Box::pin(measurements::answer_path(backend, &user, info, query, body)).await;
    }
    if !info.is_resource {
        let host = host(parts);
        return plain_paths::answer(backend, info, query, &parts.headers, &host);
    }
    let (resource, bindings) = match find(backend, info) {
        Ok(found) => found,
        Err(_) => {
            custom_resources::catch_up(backend).await?;
            find(backend, info)?
        }
    };
    *labels = label(&resource, info);
    if let Some(warning) = resource.kind.deprecation() {
        notes.warn(warning);
        backend.metrics.deprecated(*labels);
    }
    let subresource = Subresource::parse(info.subresource);
    if matches!(subresource, Some(Subresource::Exec | Subresource::Attach | Subresource::PortForward)) {
        let call = call(backend, *info, query, &user, resource, Form::Json, "", "", Bytes::new(), notes);
        return streams::connect(&call, parts).await;
    }
    if subresource == Some(Subresource::Proxy) {
        let call = call(backend, *info, query, &user, resource, Form::Json, "", "", Bytes::new(), notes);
        return streams::proxy(&call, parts, body).await;
    }
    let form = answer_form(info, query, &parts.headers)?;
    let content_type = media_type(text(&parts.headers, header::CONTENT_TYPE));
    let body = read_body(info, body).await?;
    let agent = text(&parts.headers, header::USER_AGENT);
    let call = call(backend, *info, query, &user, resource, form, &content_type, agent, body, notes);
    trail.requested(&call);
    if bindings { subresources::bind_collection(&call).await } else { verbs::dispatch(&call).await }
}

fn call<'a>(
    backend: &'a Arc<Backend>,
    info: RequestInfo<'a>,
    query: &'a Query,
    user: &'a User,
    resource: Arc<Resource>,
    form: Form,
    content_type: &'a str,
    agent: &'a str,
    body: Bytes,
    notes: &'a Notes,
) -> Call<'a> {
    let subresource = Subresource::parse(info.subresource);
    Call { backend, info, query, resource, subresource, user, form, content_type, agent, body, notes, fence: None }
}

/// The resource of a path; `bindings` is an older spelling of a subresource of pods.
fn find(backend: &Backend, info: &RequestInfo<'_>) -> Result<(Arc<Resource>, bool), Status> {
    let bindings = info.group.is_empty() && info.resource == "bindings" && info.verb == "create";
    let plural = if bindings { "pods" } else { info.resource };
    let resource = backend.registry.find(info.group, info.version, plural).ok_or_else(Status::no_such_path)?;
    let namespaced = resource.def.namespaced();
    let named_namespace = !info.namespace.is_empty();
    let own_namespace = info.group.is_empty() && info.resource == "namespaces";
    if named_namespace && !namespaced && !own_namespace {
        return Err(Status::no_such_path());
    }
    Ok((resource, bindings))
}

fn label(resource: &Resource, info: &RequestInfo<'_>) -> Labels {
    let def = resource.def;
    let verb = match info.verb {
        "get" => "GET",
        "list" => "LIST",
        "watch" => "WATCH",
        "create" => "POST",
        "update" => "PUT",
        "patch" => "PATCH",
        "delete" => "DELETE",
        "deletecollection" => "DELETECOLLECTION",
        _ => "other",
    };
    let scope = match (info.name.is_empty(), info.namespace.is_empty()) {
        (false, _) => "resource",
        (true, false) => "namespace",
        (true, true) => "cluster",
    };
    let subresource = Subresource::parse(info.subresource).map_or("", Subresource::name);
    Labels { verb, group: def.group, version: def.version, resource: def.plural, subresource, scope }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn host(parts: &request::Parts) -> String {
    let authority = parts.uri.authority().map(|authority| authority.as_str());
    authority.unwrap_or_else(|| text(&parts.headers, header::HOST)).to_owned()
}

/// Logs are text, and judged by the node that has them; all else is negotiated.
fn answer_form(info: &RequestInfo<'_>, query: &Query, headers: &HeaderMap) -> Result<Form, Status> {
    if matches!(info.subresource, "log" | "proxy") {
        return Ok(Form::Json);
    }
    let accept = headers.get(header::ACCEPT).map(|value| value.to_str());
    let accept = accept.transpose().map_err(|_| Status::bad_request("the Accept header is no text"))?;
    form(accept, query.get("includeObject"))
}

/// The refusal of a body, when the client has sent it: one that is still sending finds the connection closed under
/// its hands and never reads the answer. What is too large for this too is cut off.
async fn too_large(mut body: Incoming) -> Status {
    let drained = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > REFUSED_BYTES_MAX {
                break;
            }
        }
    };
    if tokio::time::timeout(REFUSED_TIME_MAX, drained).await.is_err() {
        tracing::debug!("a client sends a body that was refused too slowly to be heard out");
    }
    Status::too_large(BODY_BYTES_MAX)
}

pub(crate) async fn read_body(info: &RequestInfo<'_>, mut body: Incoming) -> Result<Bytes, Status> {
    if matches!(info.verb, "get" | "list" | "watch") || body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let announced = body.size_hint().lower();
    if announced > BODY_BYTES_MAX as u64 {
        return Err(too_large(body).await);
    }
    let mut first: Option<Bytes> = None;
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::bad_request(format!("reading the body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        let have = first.as_ref().map_or(all.len(), Bytes::len);
        if have + data.len() > BODY_BYTES_MAX {
            return Err(too_large(body).await);
        }
        // Most bodies are one frame: it is taken as it is.
        match first.take() {
            None if all.is_empty() => first = Some(data),
            None => all.extend_from_slice(&data),
            Some(begin) => {
                all.reserve(usize::try_from(announced).unwrap_or_default().max(begin.len() + data.len()));
                all.extend_from_slice(&begin);
                all.extend_from_slice(&data);
            }
        }
    }
    Ok(first.unwrap_or_else(|| all.freeze()))
}

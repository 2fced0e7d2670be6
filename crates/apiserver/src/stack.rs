//! What a request passes, in this order:
//!
//! 1. request info: method, path and query become verb, resource, namespace, name
//! 2. authentication: who asks (client certificate, bearer token, nobody)
//! 3. impersonation: whom they act as
//! 4. authorization: whether they may
//! 5. the body, bounded, and the form of the answer
//! 6. the verb, or the path's own answer
//!
//! Every request is counted, bounded in time unless it streams, and answered: an error is a `Status`.

use crate::authz::Attributes;
use crate::backend::{Backend, Parts};
use crate::call::Call;
use crate::http::{Answer, AnswerBody, Form, Query, RequestInfo, form, media_type, unescape};
use crate::metrics::Labels;
use crate::{plain_paths, streams, subresources, verbs};
use api::user::User;
use api::{Reason, Status, Subresource};
use bytes::{Bytes, BytesMut};
use http::request;
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use registry::Resource;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A body's most bytes, as upstream's.
pub(crate) const BODY_BYTES_MAX: usize = 3 * 1024 * 1024;
/// Of a body that is refused, how much is taken in and thrown away, and for how long.
const REFUSED_BYTES_MAX: usize = 32 << 20;
const REFUSED_TIME_MAX: Duration = Duration::from_secs(5);
/// A request that does not stream is answered within this.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What a connection knows of its client.
pub(crate) struct Peer {
    pub certificates: Vec<CertificateDer<'static>>,
}

pub(crate) async fn serve(backend: Arc<Backend>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<AnswerBody> {
    let begun = Instant::now();
    let _inflight = backend.metrics.enter();
    let (mut parts, body) = request.into_parts();
    let path = unescape(parts.uri.path()).into_owned();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let info = RequestInfo::parse(&parts.method, &path, query.flag("watch"));
    let mut labels = Labels::default();
    let streams = info.verb == "watch" || is_stream(&info);
    let answered = answer(&backend, &peer, &mut parts, body, &info, &query, &mut labels);
    let outcome = if streams {
        answered.await
    } else {
        tokio::time::timeout(REQUEST_TIMEOUT, answered).await.unwrap_or_else(|_| {
            let message = "Timeout: request did not complete within requested timeout";
            Err(Status::new(Reason::Timeout, format!("{message} - context deadline exceeded")))
        })
    };
    let response = match outcome {
        Ok(answer) => answer.into_response(),
        Err(status) => Answer::error(&status).into_response(),
    };
    let took = (!streams).then(|| begun.elapsed());
    backend.metrics.answered(labels, response.status().as_u16(), took);
    response
}

fn is_stream(info: &RequestInfo<'_>) -> bool {
    matches!(info.subresource, "exec" | "attach" | "portforward" | "proxy" | "log")
}

async fn answer(
    backend: &Arc<Backend>,
    peer: &Peer,
    parts: &mut request::Parts,
    body: Incoming,
    info: &RequestInfo<'_>,
    query: &Query,
    labels: &mut Labels,
) -> Result<Answer, Status> {
    let deciders = backend.parts()?;
    let user = deciders.authn.authenticate(parts, &peer.certificates).await?;
    let user = deciders.authz.impersonated(user, &parts.headers)?;
    authorize(deciders, &user, info, query)?;
    if !info.is_resource {
        let host = host(parts);
        return plain_paths::answer(backend, info, query, &parts.headers, &host);
    }
    let (resource, bindings) = find(backend, info)?;
    *labels = label(&resource, info);
    let subresource = Subresource::parse(info.subresource);
    if matches!(subresource, Some(Subresource::Exec | Subresource::Attach | Subresource::PortForward)) {
        let call = call(backend, *info, query, &user, resource, Form::Json, "", "", Bytes::new());
        return streams::connect(&call, parts).await;
    }
    if subresource == Some(Subresource::Proxy) {
        let call = call(backend, *info, query, &user, resource, Form::Json, "", "", Bytes::new());
        return streams::proxy(&call, parts, body).await;
    }
    let form = answer_form(info, query, &parts.headers)?;
    let content_type = media_type(text(&parts.headers, header::CONTENT_TYPE));
    let body = read_body(info, body).await?;
    let agent = text(&parts.headers, header::USER_AGENT);
    let call = call(backend, *info, query, &user, resource, form, &content_type, agent, body);
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
) -> Call<'a> {
    let subresource = Subresource::parse(info.subresource);
    Call { backend, info, query, resource, subresource, user, form, content_type, agent, body }
}

fn authorize(deciders: &Parts, user: &User, info: &RequestInfo<'_>, query: &Query) -> Result<(), Status> {
    deciders.authz.require(
        user,
        &Attributes {
            verb: info.verb,
            group: info.group,
            version: info.version,
            resource: info.resource,
            subresource: info.subresource,
            namespace: info.namespace,
            name: info.name,
            path: info.path,
            is_resource: info.is_resource,
            field_selector: query.get("fieldSelector"),
        },
    )
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

async fn read_body(info: &RequestInfo<'_>, mut body: Incoming) -> Result<Bytes, Status> {
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

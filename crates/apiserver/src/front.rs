//! Pages for browsers, below a prefix of their own in front of the API: what this server offers whoever installs them.
//!
//! Invariants: a front has no rights. It answers its own paths, or hands a request on with a credential that somebody has
//! shown it; from there on the request is like any other. What it answers itself is counted, bounded in time and told of
//! in the audit log as requests of the API are, without bodies: those have secrets. It waits in no queue of fairness: its
//! files lie in memory, and what a login costs is authentication, which in the API too comes before fairness.

use crate::audit::{Origin, Trail};
use crate::authz::Attributes;
use crate::backend::Backend;
use crate::http::{Answer, AnswerBody, Query, RequestInfo, unescape};
use crate::metrics::Labels;
use crate::stack::{self, Peer};
use crate::time_limit;
use api::user::User;
use api::{Reason, Status};
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, request};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use registry::Notes;
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a front waits for the body of a request of its own.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);
/// The audit annotation of an answer that is about somebody: who logs in, asks for a link, or has the session.
const ABOUT: &str = "dashboard.sampan.dev/user";

/// What somebody has shown to prove who he is; worth what it is worth when it is used.
#[derive(Clone)]
pub struct Credential(Kind);

#[derive(Clone)]
enum Kind {
    /// The leaf, as TLS verified it together with the proof of its key.
    Certificate(CertificateDer<'static>),
    /// With its scheme, as the header has it; no log shows it.
    Bearer(HeaderValue),
}

impl Credential {
    /// A token that no header could carry is nobody's.
    pub fn bearer(token: &str) -> Credential {
        let value = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut value = value.unwrap_or(HeaderValue::from_static("Bearer"));
        value.set_sensitive(true);
        Credential(Kind::Bearer(value))
    }

    /// What a request itself shows; a certificate goes first, as in authentication.
    fn shown(peer: &Peer, parts: &request::Parts) -> Option<Credential> {
        let certificate = peer.certificates.first().cloned().map(Kind::Certificate);
        certificate.or_else(|| parts.headers.get(AUTHORIZATION).cloned().map(Kind::Bearer)).map(Credential)
    }

    /// Puts it in the place of what the request shows.
    fn put_on(&self, peer: &Peer, parts: &mut request::Parts) -> Peer {
        parts.headers.remove(AUTHORIZATION);
        let mut certificates = Vec::new();
        match &self.0 {
            Kind::Certificate(leaf) => certificates.push(leaf.clone()),
            Kind::Bearer(value) => {
                parts.headers.insert(AUTHORIZATION, value.clone());
            }
        }
        Peer { certificates, address: peer.address }
    }
}

/// What becomes of a request below a front's prefix.
pub enum Entered {
    /// `answer` knows it.
    Own,
    /// For the API, its path already as the API's.
    OnBehalf(Credential),
    Refused(Response<Bytes>),
}

#[async_trait]
pub trait Front: Send + Sync {
    /// As `/dashboard`.
    fn prefix(&self) -> &'static str;

    fn body_bytes_max(&self) -> usize;

    fn enter(&self, parts: &mut request::Parts) -> Entered;

    /// `shown` is what the request itself shows; `backend` tells whose a credential is. Whom the answer is about, if
    /// anybody, is an extension of it, of type `User`.
    async fn answer(
        &self,
        parts: &request::Parts,
        body: Bytes,
        shown: Option<Credential>,
        backend: &Backend,
    ) -> Response<Bytes>;

    /// What every answer that is handed through carries.
    fn protect(&self, headers: &mut http::HeaderMap);
}

impl Backend {
    /// Whose a credential is at this moment; nobody's and the anonymous user's are `None`.
    pub async fn whose(&self, credential: &Credential) -> Option<User> {
        let (mut parts, ()) = Request::new(()).into_parts();
        let nowhere = Peer { certificates: Vec::new(), address: std::net::Ipv4Addr::UNSPECIFIED.into() };
        let peer = credential.put_on(&nowhere, &mut parts);
        let user = self.parts().ok()?.authn.authenticate(&parts, &peer.certificates).await.ok()?;
        (user.name != User::ANONYMOUS).then_some(user)
    }
}

/// The door of the server: requests below a front's prefix are its own, all others the API's.
pub(crate) async fn serve(backend: Arc<Backend>, peer: Arc<Peer>, request: Request<Incoming>) -> Response<AnswerBody> {
    let Some(front) = backend.front().cloned() else { return stack::serve(backend, peer, request).await };
    if !below(front.prefix(), request.uri().path()) {
        let is_opened = opened_by_a_browser(request.headers());
        let mut response = stack::serve(backend, peer, request).await;
        if is_opened {
            response.headers_mut().append(CONTENT_SECURITY_POLICY, SANDBOX);
        }
        return response;
    }
    let (mut parts, body) = request.into_parts();
    match front.enter(&mut parts) {
        Entered::Refused(response) => Box::pin(own(&*front, &backend, &peer, parts, Err(response))).await,
        Entered::Own => Box::pin(own(&*front, &backend, &peer, parts, Ok(body))).await,
        Entered::OnBehalf(credential) => {
            let peer = Arc::new(credential.put_on(&peer, &mut parts));
            let mut response = stack::serve(backend, peer, Request::from_parts(parts, body)).await;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                front.protect(response.headers_mut());
            }
            response
        }
    }
}

/// A page that a pod serves behind `proxy`, or an aggregated server, must not run as one of the front's: it shares their
/// origin. What comes by `kubectl proxy` or the like is of another origin, and says by whom it was handed on.
const SANDBOX: HeaderValue = HeaderValue::from_static("sandbox allow-scripts allow-forms allow-popups allow-modals");

/// Whether the answer becomes a document, and not only what a script reads.
fn opened_by_a_browser(headers: &HeaderMap) -> bool {
    const DOCUMENTS: [&str; 7] = ["document", "iframe", "frame", "embed", "object", "serviceworker", "fencedframe"];
    let destination = headers.get("sec-fetch-dest").and_then(|value| value.to_str().ok());
    destination.is_some_and(|destination| DOCUMENTS.contains(&destination)) && !headers.contains_key("x-forwarded-for")
}

fn below(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What is the front's own: the body of what it is to answer, or what it refused at once.
async fn own(
    front: &dyn Front,
    backend: &Backend,
    peer: &Peer,
    parts: request::Parts,
    entered: Result<Incoming, Response<Bytes>>,
) -> Response<AnswerBody> {
    let begun = Instant::now();
    let _inflight = backend.metrics.enter("get");
    let notes = Notes::default();
    let mut trail = Trail::begin(backend.audit(), Some(&parts.headers));
    let longest = backend.fairness().map_or(time_limit::DEFAULT, |fairness| fairness.request_timeout());
    let outcome = match time_limit::of(&Query::parse(parts.uri.query().unwrap_or_default()), longest) {
        Ok(limit) => time_limit::keep(limit, told(front, backend, peer, &parts, entered, &notes, &mut trail)).await,
        Err(status) => Err(status),
    };
    let (response, refusal) = match outcome {
        Ok(answer) => (answer, None),
        Err(status) => (Answer::error(&status), Some(status)),
    };
    let mut response = trail.answered(response, refusal.as_ref(), &notes, false).await.into_response();
    front.protect(response.headers_mut());
    backend.metrics.answered(
        Labels::default(),
        response.status().as_u16(),
        Some((begun.elapsed(), Duration::ZERO)),
        None,
    );
    response
}

/// The answer, and the audit log's knowledge of who asks and whom it is about.
async fn told(
    front: &dyn Front,
    backend: &Backend,
    peer: &Peer,
    parts: &request::Parts,
    entered: Result<Incoming, Response<Bytes>>,
    notes: &Notes,
    trail: &mut Trail,
) -> Result<Answer, Status> {
    begin(backend, peer, parts, trail).await?;
    let response = match entered {
        Ok(body) => answer(front, backend, peer, parts, body).await?,
        Err(refused) => refused,
    };
    if let Some(user) = response.extensions().get::<User>() {
        notes.annotate(ABOUT, user.name.clone());
    }
    let (head, body) = response.into_parts();
    Ok(Answer { code: head.status, headers: head.headers, ..Answer::of("", AnswerBody::Bytes(body)) })
}

/// Tells the audit policy who the connection says that it is. What is shown may be nothing, or good no longer: that is
/// the front's to judge.
async fn begin(backend: &Backend, peer: &Peer, parts: &request::Parts, trail: &mut Trail) -> Result<(), Status> {
    if backend.audit().is_none() {
        return Ok(());
    }
    let shown = backend.parts()?.authn.authenticate(parts, &peer.certificates).await;
    let user = shown.unwrap_or_else(|_| User::anonymous());
    let path = unescape(parts.uri.path());
    let info = RequestInfo::parse(&parts.method, &path, false);
    trail.authenticated(Ok(user), &Attributes::of(&info), &Origin::Connection { parts, peer }).await.map(drop)
}

async fn answer(
    front: &dyn Front,
    backend: &Backend,
    peer: &Peer,
    parts: &request::Parts,
    body: Incoming,
) -> Result<Response<Bytes>, Status> {
    let body = Limited::new(body, front.body_bytes_max()).collect();
    let body = match tokio::time::timeout(BODY_TIME_MAX, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Status::too_large(front.body_bytes_max()));
        }
        Ok(Err(error)) => return Err(Status::bad_request(format!("reading the body: {error}"))),
        Err(_) => return Err(Status::new(Reason::Timeout, "the body did not come")),
    };
    let shown = Credential::shown(peer, parts);
    let mut response = front.answer(parts, body, shown, backend).await;
    if parts.method == http::Method::HEAD {
        let length = HeaderValue::from(response.body().len());
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length);
        *response.body_mut() = Bytes::new();
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_whole_segments() {
        let table = [
            ("/dashboard", true),
            ("/dashboard/", true),
            ("/dashboard/a", true),
            ("/dashboards", false),
            ("/api", false),
        ];
        for (path, wanted) in table {
            assert_eq!(below("/dashboard", path), wanted, "{path}");
        }
    }

    #[test]
    fn what_a_browser_opens_is_told_from_what_a_script_reads() {
        let opened = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_static(value)));
            opened_by_a_browser(&headers.collect())
        };
        assert!(opened(&[("sec-fetch-dest", "document")]) && opened(&[("sec-fetch-dest", "iframe")]));
        assert!(!opened(&[]) && !opened(&[("sec-fetch-dest", "empty")]));
        assert!(!opened(&[("sec-fetch-dest", "document"), ("x-forwarded-for", "127.0.0.1")]), "of kubectl proxy");
    }

    #[test]
    fn a_credential_takes_the_place_of_what_is_shown() {
        let peer = |certificates| Peer { certificates, address: std::net::Ipv4Addr::LOCALHOST.into() };
        let (anna, bob) = (CertificateDer::from(vec![1]), CertificateDer::from(vec![2]));
        let request = || Request::builder().header(AUTHORIZATION, "Bearer mine").body(()).unwrap().into_parts().0;
        let mut parts = request();
        let worn = Credential(Kind::Certificate(anna.clone())).put_on(&peer(vec![bob.clone()]), &mut parts);
        assert_eq!(worn.certificates, [anna]);
        assert!(!parts.headers.contains_key(AUTHORIZATION));
        let mut parts = request();
        let worn = Credential::bearer("hers").put_on(&peer(vec![bob]), &mut parts);
        assert!(worn.certificates.is_empty());
        assert_eq!(parts.headers[AUTHORIZATION], "Bearer hers");
    }
}

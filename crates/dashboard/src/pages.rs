//! The paths that are the UI's own: its page and files, login links, and the session.

use crate::gate::{PREFIX, same_origin};
use crate::link::Wish;
use crate::protection::{answer, refusal};
use crate::session::{Shown, Who, no_cookie};
use crate::{Dashboard, Door, assets};
use api::user::User;
use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request};
use serde::{Deserialize, Serialize};

/// Of a login: a token is a few KiB at most.
pub const BODY_BYTES_MAX: usize = 32 << 10;

/// How one logs in: with a link's code, with a token, or, with neither, with what the connection shows.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Login {
    code: Option<String>,
    token: Option<String>,
}

impl<C: Clone + Send + Sync> Dashboard<C> {
    /// `shown` is what the request itself proves of its sender: a client certificate, a bearer token.
    /// Who logs in, asks for a link or has the session is an extension of the answer, of type `User`.
    pub async fn answer(
        &self,
        parts: &request::Parts,
        body: Bytes,
        shown: Option<C>,
        door: &dyn Door<Credential = C>,
    ) -> Response<Bytes> {
        let path = parts.uri.path().strip_prefix(PREFIX).unwrap_or_default();
        match (&parts.method, path) {
            (&Method::POST, "/link") => self.make_link(&body, shown, door).await,
            (_, "/session" | "/session/use") if !same_origin(parts) => {
                refusal(StatusCode::FORBIDDEN, "only the dashboard's own pages may log in")
            }
            (&Method::POST, "/session") => self.log_in(parts, &body, shown, door).await,
            (&Method::GET, "/session") => self.who(parts, door).await,
            (&Method::DELETE, "/session") => self.log_out(parts),
            (&Method::POST, "/session/use") => self.told_of_use(parts),
            (&Method::GET | &Method::HEAD, "") => to_the_page(),
            (&Method::GET | &Method::HEAD, path) => page_or_file(path, parts),
            _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "the method is not allowed here"),
        }
    }

    async fn make_link(&self, body: &Bytes, shown: Option<C>, door: &dyn Door<Credential = C>) -> Response<Bytes> {
        let wish: Wish = match parse(body) {
            Ok(wish) => wish,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, &format!("the body: {error}")),
        };
        let Some(credential) = shown else { return nobody() };
        match self.offer(door, credential, wish).await {
            Ok(Some((user, link))) => about(user, json(StatusCode::CREATED, &link)),
            Ok(None) => nobody(),
            Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    async fn log_in(
        &self,
        parts: &request::Parts,
        body: &Bytes,
        shown: Option<C>,
        door: &dyn Door<Credential = C>,
    ) -> Response<Bytes> {
        let login: Login = match parse(body) {
            Ok(login) => login,
            Err(error) => return refusal(StatusCode::BAD_REQUEST, &format!("the body: {error}")),
        };
        let (credential, namespace) = match (login.code, login.token) {
            (Some(code), None) => match self.redeem(&code) {
                Some(offer) => (offer.credential.clone(), offer.namespace.clone()),
                None => return refusal(StatusCode::UNAUTHORIZED, "the login link was used already, or is too old"),
            },
            (None, Some(token)) => (door.token(token.trim()), String::new()),
            (None, None) => match shown {
                Some(credential) => (credential, String::new()),
                None => return refusal(StatusCode::UNAUTHORIZED, "the browser shows no client certificate"),
            },
            (Some(_), Some(_)) => return refusal(StatusCode::BAD_REQUEST, "a code or a token, not both"),
        };
        match self.open(door, credential, &namespace).await {
            Ok(Some((cookie, opened))) => {
                // The browser forgets the session that it had: nobody is left who could end it.
                if let Some(former) = Shown::of(&parts.headers) {
                    self.close(&former);
                }
                let mut response = about(opened.user.clone(), json(StatusCode::CREATED, &opened));
                match HeaderValue::from_str(&cookie) {
                    Ok(cookie) => response.headers_mut().insert(header::SET_COOKIE, cookie),
                    Err(error) => return refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
                };
                response
            }
            Ok(None) => nobody(),
            Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        }
    }

    async fn who(&self, parts: &request::Parts, door: &dyn Door<Credential = C>) -> Response<Bytes> {
        let Some(session) = Shown::of(&parts.headers).and_then(|shown| self.session(&shown)) else {
            return refusal(StatusCode::UNAUTHORIZED, "nobody is logged in");
        };
        match door.whose(&session.credential).await {
            Some(user) => {
                let answer = json(StatusCode::OK, &Who::of(&user, &session.namespace));
                about(user, answer)
            }
            None => nobody(),
        }
    }

    fn told_of_use(&self, parts: &request::Parts) -> Response<Bytes> {
        match Shown::of(&parts.headers).and_then(|shown| self.used(&shown)) {
            Some(()) => answer(StatusCode::OK, "application/json", "{}"),
            None => refusal(StatusCode::UNAUTHORIZED, "nobody is logged in"),
        }
    }

    fn log_out(&self, parts: &request::Parts) -> Response<Bytes> {
        if let Some(shown) = Shown::of(&parts.headers) {
            self.close(&shown);
        }
        let mut response = answer(StatusCode::OK, "application/json", "{}");
        if let Some(cookie) = no_cookie() {
            response.headers_mut().insert(header::SET_COOKIE, cookie);
        }
        response
    }
}

/// Whose session or link an answer is about, for whoever keeps account.
fn about(user: User, mut response: Response<Bytes>) -> Response<Bytes> {
    response.extensions_mut().insert(user);
    response
}

fn nobody() -> Response<Bytes> {
    refusal(StatusCode::UNAUTHORIZED, "the credential is not valid, or no longer")
}

fn json(code: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    match serde_json::to_vec(value) {
        Ok(body) => answer(code, "application/json", body),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &format!("encoding an answer: {error}")),
    }
}

/// No body is an empty object.
fn parse<'a, T: Deserialize<'a> + Default>(body: &'a [u8]) -> serde_json::Result<T> {
    if body.is_empty() { Ok(T::default()) } else { serde_json::from_slice(body) }
}

/// Relative links need the slash.
fn to_the_page() -> Response<Bytes> {
    let mut response = answer(StatusCode::PERMANENT_REDIRECT, "text/plain; charset=utf-8", Bytes::new());
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/dashboard/"));
    response
}

fn page_or_file(path: &str, parts: &request::Parts) -> Response<Bytes> {
    let path = path.trim_start_matches('/');
    if let Some(file) = assets::file(path, &parts.headers) {
        return file;
    }
    // A page that was open across an upgrade asks for files that are gone: it must not take the page for one of them.
    let is_file = path.starts_with("assets/");
    if is_file { refusal(StatusCode::NOT_FOUND, "no such file") } else { assets::page() }
}

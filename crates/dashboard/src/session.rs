//! Sessions: what a browser holds after a login, and what the server knows of it.

use crate::held::Span;
use crate::secret::{self, Digest};
use crate::{Dashboard, Door};
use api::user::User;
use http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use std::sync::Arc;

/// A working day; an hour and a half without use ends it sooner. Use is what its user does, as his page tells
/// (`POST /session/use`): requests are none, for an open page asks and watches by itself.
const SESSION_SECONDS: i64 = 12 * 3600;
const IDLE_SECONDS: i64 = 90 * 60;
/// `__Secure-` makes browsers refuse the cookie from anything but TLS.
const COOKIE: &str = "__Secure-sampan-session";
/// The header that carries a page's key; no other site can send it without being asked for leave first.
pub(crate) const KEY_HEADER: &str = "x-sampan-key";
/// How a WebSocket carries it: browsers let pages set no headers there.
pub(crate) const KEY_PROTOCOL: &str = "key.sampan.";

pub(crate) struct Session<C> {
    pub(crate) credential: C,
    pub(crate) namespace: String,
    key: Digest,
}

/// What the page is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Opened {
    #[serde(flatten)]
    pub(crate) who: Who,
    /// Only when the session is opened: the page keeps it.
    pub(crate) key: String,
    #[serde(skip)]
    pub(crate) user: User,
}

#[derive(Serialize)]
pub(crate) struct Who {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
    pub(crate) namespace: String,
}

impl Who {
    pub(crate) fn of(user: &User, namespace: &str) -> Who {
        Who { user: user.name.clone(), groups: user.groups.clone(), namespace: namespace.to_owned() }
    }
}

/// A session's two secrets, as a request has them.
pub(crate) struct Shown<'a> {
    cookie: &'a str,
    key: &'a str,
}

impl<'a> Shown<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Option<Shown<'a>> {
        let key = text(headers, KEY_HEADER).or_else(|| {
            let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter();
            let mut protocols = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
            protocols.find_map(|one| one.trim().strip_prefix(KEY_PROTOCOL))
        })?;
        // HTTP/2 lets clients send a line for each cookie.
        let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
        let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let (_, cookie) = pairs.find(|(name, _)| *name == COOKIE)?;
        Some(Shown { cookie, key })
    }
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn cookie(secret: &str, seconds: i64) -> String {
    format!("{COOKIE}={secret}; Path={}; Max-Age={seconds}; Secure; HttpOnly; SameSite=Strict", crate::PREFIX)
}

/// The cookie that takes a session's place when it is over.
pub(crate) fn no_cookie() -> Option<HeaderValue> {
    HeaderValue::from_str(&cookie("", 0)).ok()
}

impl<C: Clone + Send + Sync> Dashboard<C> {
    /// `None` if the credential is nobody's.
    pub(crate) async fn open(
        &self,
        door: &dyn Door<Credential = C>,
        credential: C,
        namespace: &str,
    ) -> Result<Option<(String, Opened)>, secret::NoRandomness> {
        let Some(user) = door.whose(&credential).await else { return Ok(None) };
        let (secret, key) = (secret::fresh()?, secret::fresh()?);
        let session = Session { credential, namespace: namespace.to_owned(), key: Digest::of(&key) };
        let span = Span { seconds: SESSION_SECONDS, idle_seconds: IDLE_SECONDS };
        self.sessions.put(Digest::of(&secret), &user.name, session, span, self.now());
        tracing::info!(user = user.name, "a dashboard session begins");
        let opened = Opened { who: Who::of(&user, namespace), key, user };
        Ok(Some((cookie(&secret, SESSION_SECONDS), opened)))
    }

    /// The session whose both secrets a request shows.
    pub(crate) fn session(&self, shown: &Shown<'_>) -> Option<Arc<Session<C>>> {
        let session = self.sessions.get(&Digest::of(shown.cookie), self.now())?;
        session.key.is_of(shown.key).then_some(session)
    }

    /// Its user is there; `None` if the session is over, or its key is another's.
    pub(crate) fn used(&self, shown: &Shown<'_>) -> Option<()> {
        self.session(shown)?;
        self.sessions.touch(&Digest::of(shown.cookie), self.now());
        Some(())
    }

    pub(crate) fn close(&self, shown: &Shown<'_>) {
        if self.session(shown).is_some() {
            self.sessions.take(&Digest::of(shown.cookie), self.now());
        }
    }
}

//! The web UI's own paths below `/dashboard`: its files, who is logged in, and on whose behalf a page asks the API.
//!
//! Invariants: a session holds the credential that its user showed, and nothing else acts for it: every request is judged
//! anew, as if the user had sent that credential; a browser proves a session by two secrets, a cookie that scripts
//! cannot read and a key that only pages of this very origin can, so neither another site nor another port of this host
//! can use either; secrets are kept as digests; links, sessions and bodies are bounded.

mod assets;
mod gate;
mod held;
mod link;
mod pages;
mod protection;
mod secret;
mod session;

pub use gate::{Entered, PREFIX};
pub use pages::BODY_BYTES_MAX;
pub use protection::protect;

use api::user::User;
use async_trait::async_trait;
use held::Held;
use session::Session;
use std::sync::Arc;

/// Seconds since the epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Links that may be open at once, of everybody and of one user.
const LINKS_MAX: usize = 256;
const LINKS_PER_USER: usize = 8;
/// Sessions likewise: beyond, the one that was used longest ago ends.
const SESSIONS_MAX: usize = 2048;
const SESSIONS_PER_USER: usize = 32;

/// Who knows credentials: the API server.
#[async_trait]
pub trait Door: Send + Sync {
    type Credential: Clone + Send + Sync;

    /// A bearer token as a credential; whether it is any good, `whose` tells.
    fn token(&self, text: &str) -> Self::Credential;

    /// `None` if it is nobody's, or no longer.
    async fn whose(&self, credential: &Self::Credential) -> Option<User>;
}

/// The state of all logins, `C` being what a credential is to the API server.
pub struct Dashboard<C> {
    links: Held<link::Offer<C>>,
    sessions: Held<Session<C>>,
    clock: Clock,
}

impl<C: Clone + Send + Sync> Dashboard<C> {
    pub fn new(clock: Clock) -> Dashboard<C> {
        Dashboard {
            links: Held::new(LINKS_MAX, LINKS_PER_USER),
            sessions: Held::new(SESSIONS_MAX, SESSIONS_PER_USER),
            clock,
        }
    }

    fn now(&self) -> i64 {
        (self.clock)()
    }
}

#[cfg(test)]
mod tests;

//! Login links: who has shown a credential gets a code that a browser changes into a session, once and soon.

use crate::held::Span;
use crate::secret::{self, Digest};
use crate::{Dashboard, Door};
use api::user::User;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Long enough to click a line in a terminal, short enough to be worthless in a scrollback.
const LINK_SECONDS: i64 = 120;

/// What a code stands for.
pub(crate) struct Offer<C> {
    pub(crate) credential: C,
    /// Which namespace the page begins with; empty for all.
    pub(crate) namespace: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct Wish {
    namespace: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Link {
    code: String,
    expires_seconds: i64,
}

impl<C: Clone + Send + Sync> Dashboard<C> {
    /// The link and whose it is; `None` if the credential is nobody's.
    pub(crate) async fn offer(
        &self,
        door: &dyn Door<Credential = C>,
        credential: C,
        wish: Wish,
    ) -> Result<Option<(User, Link)>, secret::NoRandomness> {
        let Some(user) = door.whose(&credential).await else { return Ok(None) };
        let code = secret::fresh()?;
        let span = Span { seconds: LINK_SECONDS, idle_seconds: LINK_SECONDS };
        let offer = Offer { credential, namespace: wish.namespace };
        self.links.put(Digest::of(&code), &user.name, offer, span, self.now());
        Ok(Some((user, Link { code, expires_seconds: LINK_SECONDS })))
    }

    pub(crate) fn redeem(&self, code: &str) -> Option<Arc<Offer<C>>> {
        self.links.take(&Digest::of(code), self.now())
    }
}

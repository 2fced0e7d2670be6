//! Join tokens, removed when they have expired.

use crate::table::Start;
use async_trait::async_trait;
use client::{Cache, CacheScope};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use reconcile::{Action, Context, Controller, Error, Key, Reconcile};
use std::time::Duration;

const TYPE: &str = "bootstrap.kubernetes.io/token";
const EXPIRATION: &str = "expiration";

pub(crate) fn controller(start: &Start) -> Controller {
    // Other secrets are nobody's business here.
    let scope = CacheScope {
        namespace: "kube-system".to_owned(),
        field_selector: format!("type={TYPE}"),
        ..CacheScope::default()
    };
    let tokens = start.client.cache_of::<Secret>(scope);
    Controller::new("token-cleaner", Tokens { tokens: tokens.clone() }).workers(1).watches(tokens, reconcile::each)
}

struct Tokens {
    tokens: Cache<Secret>,
}

#[async_trait]
impl Reconcile for Tokens {
    async fn reconcile(&self, ctx: &Context, key: &Key) -> Result<Action, Error> {
        let Some(token) = self.tokens.get_key(key) else { return Ok(Action::Done) };
        match left(&token, ctx.now()) {
            None => Ok(Action::Done),
            Some(left) if left.is_positive() => Ok(Action::after(Duration::try_from(left).unwrap_or_default())),
            Some(_) => {
                ctx.delete(&*token, None).await.map(|()| Action::Done).map_err(Error::api("removing an expired token"))
            }
        }
    }
}

/// How long a token is good for; `None`: for ever. One whose time cannot be read has expired, as upstream has it.
fn left(token: &Secret, now: Timestamp) -> Option<SignedDuration> {
    if token.type_.as_deref() != Some(TYPE) {
        return None;
    }
    let text = &token.data.as_ref()?.get(EXPIRATION)?.0;
    let until = std::str::from_utf8(text).ok().and_then(|text| text.parse::<Timestamp>().ok());
    Some(until.map_or(SignedDuration::ZERO, |until| until.duration_since(now)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn tokens_live_until_they_expire() {
        let check = |type_: &str, expiration: Option<&str>, want: Option<i64>| {
            let data = expiration.map(|text| [(EXPIRATION.to_owned(), ByteString(text.as_bytes().to_vec()))].into());
            let token = Secret { type_: Some(type_.to_owned()), data, ..Secret::default() };
            let now = "2026-01-01T00:00:00Z".parse().unwrap();
            assert_eq!(left(&token, now), want.map(SignedDuration::from_secs), "{type_} {expiration:?}");
        };
        check(TYPE, Some("2026-01-01T00:01:00Z"), Some(60));
        check(TYPE, Some("2025-12-31T23:59:00Z"), Some(-60));
        check(TYPE, Some("tomorrow"), Some(0));
        check(TYPE, None, None);
        check("Opaque", Some("2025-12-31T23:59:00Z"), None);
    }
}

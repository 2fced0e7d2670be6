//! Bootstrap tokens: what a new node shows before it has a certificate.
//!
//! Invariants: the secret part is compared in constant time, also against a token that does not exist; whatever is
//! wrong, the answer is the same.

use api::user::User;
use client::Client;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use subtle::ConstantTimeEq;

pub(crate) const NAMESPACE: &str = "kube-system";
pub(crate) const NAME_PREFIX: &str = "bootstrap-token-";
pub(crate) const SECRET_TYPE: &str = "bootstrap.kubernetes.io/token";
pub(crate) const GROUP: &str = "system:bootstrappers";
pub(crate) const ID_LENGTH: usize = 6;
pub(crate) const SECRET_LENGTH: usize = 16;
const USER_PREFIX: &str = "system:bootstrap:";
const GROUP_LENGTH_MAX: usize = 255;

fn is_lower_alphanumeric(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// The public id and the secret part of `abcdef.0123456789abcdef`.
pub(crate) fn parse(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let shaped = id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH;
    (shaped && is_lower_alphanumeric(id) && is_lower_alphanumeric(secret)).then_some((id, secret))
}

fn text<'a>(secret: &'a Secret, key: &str) -> Option<&'a str> {
    std::str::from_utf8(&secret.data.as_ref()?.get(key)?.0).ok()
}

/// Groups beside `system:bootstrappers`; `None` when one of them is not below it.
fn extra_groups(secret: &Secret) -> Option<Vec<String>> {
    let listed = text(secret, "auth-extra-groups").unwrap_or_default();
    let names = listed.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(|name| is_bootstrap_group(name).then(|| name.to_owned())).collect()
}

pub(crate) fn is_bootstrap_group(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix(':')) else { return false };
    let shaped = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let last = rest.bytes().last().is_some_and(shaped);
    last && rest.len() <= GROUP_LENGTH_MAX + 1 && rest.bytes().all(|byte| shaped(byte) || byte == b':' || byte == b'-')
}

/// Whom the token is of, by its secret; `None` for anything wrong. `now` in seconds since the epoch.
pub(crate) fn user_of(id: &str, given: &str, secret: Option<&Secret>, now: i64) -> Option<User> {
    let stored = secret.and_then(|secret| text(secret, "token-secret")).unwrap_or_default();
    let same: bool = stored.as_bytes().ct_eq(given.as_bytes()).into();
    let secret = secret.filter(|_| same)?;
    let fits = secret.type_.as_deref() == Some(SECRET_TYPE)
        && secret.metadata.deletion_timestamp.is_none()
        && text(secret, "token-id") == Some(id)
        && text(secret, "usage-bootstrap-authentication") == Some("true");
    if !fits || expired(secret, now)? {
        return None;
    }
    let mut groups = vec![GROUP.to_owned()];
    groups.extend(extra_groups(secret)?);
    super::add_authenticated(&mut groups);
    Some(User { name: format!("{USER_PREFIX}{id}"), groups, ..User::default() })
}

/// `None` when the expiration cannot be read: such a token is not accepted.
fn expired(secret: &Secret, now: i64) -> Option<bool> {
    match text(secret, "expiration") {
        None => Some(false),
        Some(at) => at.parse::<Timestamp>().ok().map(|at| at.as_second() <= now),
    }
}

/// Looks a token's secret up and judges it; the lookup is live: tokens are rare, and secrets are not worth a cache.
pub(crate) async fn authenticate(client: &Client, token: &str, now: i64) -> Option<User> {
    let (id, given) = parse(token)?;
    let secret = match client.find::<Secret>(NAMESPACE, &format!("{NAME_PREFIX}{id}")).await {
        Ok(secret) => secret,
        Err(status) => {
            tracing::warn!(%status, "a bootstrap token could not be looked up");
            None
        }
    };
    user_of(id, given, secret.as_ref(), now)
}

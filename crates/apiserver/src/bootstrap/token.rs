//! Join tokens: secrets that let a new node ask for its first certificate.

use crate::authn::bootstrap_token::{
    ID_LENGTH, NAME_PREFIX, NAMESPACE, SECRET_LENGTH, SECRET_TYPE, is_bootstrap_group,
};
use api::Status;
use client::Client;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;

const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// Bytes from here on would make the first letters likelier than the rest.
const FAIR: u8 = 252;

/// A token to be made.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// `None`: it does not expire.
    pub ttl_seconds: Option<i64>,
    pub description: String,
    /// Further groups, each below `system:bootstrappers:`.
    pub groups: Vec<String>,
}

fn letters(length: usize) -> Result<String, Status> {
    let random = SystemRandom::new();
    let mut text = String::with_capacity(length);
    let mut bytes = [0u8; 32];
    while text.len() < length {
        random.fill(&mut bytes).map_err(|_| Status::internal("the system has no random bytes"))?;
        let fair = bytes.iter().filter(|byte| **byte < FAIR);
        text.extend(fair.map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()])).take(length - text.len()));
    }
    Ok(text)
}

/// The secret that a token is kept in; `now` in seconds since the epoch.
pub(crate) fn secret(id: &str, secret: &str, token: &NewToken, now: i64) -> Result<Secret, Status> {
    if let Some(group) = token.groups.iter().find(|group| !is_bootstrap_group(group)) {
        return Err(Status::bad_request(format!("bootstrap group {group:?} is not below system:bootstrappers:")));
    }
    let mut data = BTreeMap::from([
        ("token-id", id.to_owned()),
        ("token-secret", secret.to_owned()),
        ("usage-bootstrap-authentication", "true".to_owned()),
        ("usage-bootstrap-signing", "true".to_owned()),
    ]);
    if let Some(ttl) = token.ttl_seconds {
        let at = Timestamp::from_second(now.saturating_add(ttl))
            .map_err(|error| Status::bad_request(format!("the token's life: {error}")))?;
        data.insert("expiration", at.to_string());
    }
    if !token.description.is_empty() {
        data.insert("description", token.description.clone());
    }
    if !token.groups.is_empty() {
        data.insert("auth-extra-groups", token.groups.join(","));
    }
    Ok(Secret {
        metadata: ObjectMeta {
            name: Some(format!("{NAME_PREFIX}{id}")),
            namespace: Some(NAMESPACE.to_owned()),
            ..ObjectMeta::default()
        },
        type_: Some(SECRET_TYPE.to_owned()),
        data: Some(data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes()))).collect()),
        ..Secret::default()
    })
}

/// Makes a join token and keeps it; the token is told this once.
pub async fn create_bootstrap_token(client: &Client, token: &NewToken, now: i64) -> Result<String, Status> {
    let (id, hidden) = (letters(ID_LENGTH)?, letters(SECRET_LENGTH)?);
    client.create(&secret(&id, &hidden, token, now)?).await?;
    Ok(format!("{id}.{hidden}"))
}

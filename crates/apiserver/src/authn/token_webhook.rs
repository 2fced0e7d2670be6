//! Another server that is asked whose a bearer token is.
//!
//! Bound: `ANSWERS_MAX` answers remembered, each for the configured time.

use crate::expiring::Expiring;
use crate::review_webhook::ReviewWebhook;
use api::user::User;
use k8s_openapi::api::authentication::v1::UserInfo;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

const ANSWERS_MAX: usize = 4096;

#[derive(Deserialize)]
struct Answered {
    #[serde(default)]
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    authenticated: bool,
    user: UserInfo,
    audiences: Vec<String>,
    error: String,
}

/// Whose a token is, and for which of the asked audiences.
pub(crate) type Owner = (User, Vec<String>);

pub(crate) struct TokenWebhook {
    server: ReviewWebhook,
    /// Of the review: `authentication.k8s.io/v1`.
    version: String,
    kept: Duration,
    answers: Expiring<Option<Owner>>,
}

impl TokenWebhook {
    pub(crate) fn new(server: ReviewWebhook, version: &str, kept: Duration) -> TokenWebhook {
        let version = format!("authentication.k8s.io/{version}");
        TokenWebhook { server, version, kept, answers: Expiring::new(ANSWERS_MAX) }
    }

    /// `None`: the server does not know the token. `own` are the audiences that mean this server.
    pub(crate) async fn authenticate(
        &self,
        token: &str,
        audiences: &[String],
        own: &[String],
    ) -> Result<Option<Owner>, String> {
        let question = format!("{token}\0{}", audiences.join("\0"));
        if let Some(known) = self.answers.get(question.as_bytes(), Instant::now()) {
            return Ok(known);
        }
        let review = json!({
            "apiVersion": self.version, "kind": "TokenReview", "metadata": {},
            "spec": {"token": token, "audiences": audiences}, "status": {"user": {}},
        });
        let answered: Answered = self.server.ask(&review).await.map_err(|error| error.to_string())?;
        let owner = owner(answered.status, audiences, own)?;
        let now = Instant::now();
        if !self.kept.is_zero() {
            self.answers.put(question.as_bytes(), owner.clone(), now + self.kept, now);
        }
        Ok(owner)
    }
}

fn owner(status: Status, audiences: &[String], own: &[String]) -> Result<Option<Owner>, String> {
    if !status.authenticated {
        return if status.error.is_empty() { Ok(None) } else { Err(status.error) };
    }
    // A server that knows no audiences speaks for this one.
    let got = if status.audiences.is_empty() { own } else { &status.audiences };
    let matched: Vec<String> = audiences.iter().filter(|one| got.contains(one)).cloned().collect();
    if matched.is_empty() {
        return Ok(None);
    }
    let UserInfo { username, uid, groups, extra } = status.user;
    let user = User {
        name: username.unwrap_or_default(),
        uid: uid.unwrap_or_default(),
        groups: groups.unwrap_or_default(),
        extra: extra.unwrap_or_default(),
    };
    Ok(Some((user, matched)))
}

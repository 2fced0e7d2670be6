//! The answers to TokenReviews and SelfSubjectReviews: whose a token is, and who one is.

use super::Authenticators;
use super::tokens::TokenError;
use api::user::User;
use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus, UserInfo};

/// Why a token is nobody's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("invalid bearer token")]
    Unknown,
    #[error("[invalid bearer token, {0}]")]
    Token(#[from] TokenError),
    /// What a configured issuer or webhook has against it.
    #[error("[invalid bearer token, {0}]")]
    Foreign(String),
}

/// A user as reviews show it.
pub fn user_info(user: &User) -> UserInfo {
    let text = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
    UserInfo {
        username: text(&user.name),
        uid: text(&user.uid),
        groups: (!user.groups.is_empty()).then(|| user.groups.clone()),
        extra: (!user.extra.is_empty()).then(|| user.extra.clone()),
    }
}

impl Authenticators {
    /// Whose token it is, for the review's audiences (the API server's own if it names none).
    pub async fn review(&self, spec: &TokenReviewSpec) -> TokenReviewStatus {
        let audiences = spec.audiences.as_deref().filter(|list| !list.is_empty()).unwrap_or(&self.tokens.audiences);
        match self.token_user(&spec.token, audiences).await {
            Ok(accepted) => TokenReviewStatus {
                authenticated: Some(true),
                user: Some(user_info(&accepted.user)),
                audiences: Some(accepted.audiences),
                error: None,
            },
            Err(why) => TokenReviewStatus {
                authenticated: Some(false),
                user: Some(UserInfo::default()),
                audiences: None,
                error: Some(why.to_string()),
            },
        }
    }
}

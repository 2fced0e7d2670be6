//! `serviceaccounts/NAME/token`: a new token.

use super::admit::admit;
use super::decode_other;
use crate::call::Call;
use crate::http::Answer;
use api::{Kind, Status, Subresource};
use http::StatusCode;
use k8s_openapi::api::authentication::v1::TokenRequest;

pub(super) async fn create(call: &Call<'_>) -> Result<Answer, Status> {
    let request: TokenRequest = decode_other(call, TokenRequest::DEF.message)?;
    let request = admit(call, Subresource::Token, call.info.name, None, request).await?;
    let authn = &call.backend.parts()?.authn;
    let answer = authn.tokens().request(call.namespace(), call.info.name, request, authn.now()).await?;
    Ok(Answer::serialized(&answer)?.code(StatusCode::CREATED))
}

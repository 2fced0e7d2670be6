//! `serviceaccounts/NAME/token`: a new token.

use super::decode_other;
use crate::call::Call;
use crate::http::Answer;
use api::Status;
use http::StatusCode;
use k8s_openapi::api::authentication::v1::TokenRequest;

pub(super) async fn create(call: &Call<'_>) -> Result<Answer, Status> {
    let request: TokenRequest = decode_other(call, "k8s.io.api.authentication.v1.TokenRequest")?;
    let authn = &call.backend.parts()?.authn;
    let answer = authn.tokens().request(call.user, call.namespace(), call.info.name, request, authn.now()).await?;
    Ok(Answer::serialized(&answer)?.code(StatusCode::CREATED))
}

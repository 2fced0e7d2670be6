//! Acting as somebody else (`kubectl --as`), for those who may.
//!
//! Invariant: every part of the assumed identity is authorized by itself, so that `impersonate` on a user does not
//! let one take on groups. Constrained ways are tried before the plain one, as upstream does: who may impersonate
//! without bounds is not stopped by them, and who may not is told what the first of them missed.

mod headers;
mod modes;

use crate::authz::{Attributes, Authorizer};
use api::Status;
use api::user::User;
use headers::wanted;
use http::HeaderMap;
use modes::{Mode, Requester};

/// Whom a request acts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assumed {
    pub user: User,
    /// The verb that bounds what may be done as that user (`impersonate:user-info`); empty for the plain way. The audit
    /// log's `impersonationConstraint`.
    pub constraint: &'static str,
}

impl Authorizer {
    /// Whom the request's headers say `user` acts as; `None` without such headers. `asked` is the request itself.
    pub async fn impersonated(
        &self,
        user: &User,
        headers: &HeaderMap,
        asked: &Attributes<'_>,
    ) -> Result<Option<Assumed>, Status> {
        if !headers::any(headers) {
            return Ok(None);
        }
        // Boxed: few requests come here, and all would carry the future's size.
        Box::pin(self.assume(user, headers, asked)).await
    }

    async fn assume(
        &self,
        user: &User,
        headers: &HeaderMap,
        asked: &Attributes<'_>,
    ) -> Result<Option<Assumed>, Status> {
        let Some(wanted) = wanted(headers)? else { return Ok(None) };
        let requester = Requester { authorizer: self, user, asked };
        let mut first = None;
        for mode in Mode::ALL.into_iter().filter(|mode| mode.fits(&wanted, user)) {
            match requester.assume(mode, &wanted).await {
                Ok(user) => return Ok(Some(Assumed { user, constraint: mode.constraint() })),
                Err(status) => {
                    first.get_or_insert(status);
                }
            }
        }
        Err(first.unwrap_or_else(|| Status::internal("all impersonation modes failed")))
    }
}

//! AlwaysAdmit and AlwaysDeny, which upstream has kept for tests.

use super::{Plugin, Sources, refused};
use api::{Object, Status};
use async_trait::async_trait;
use registry::Attempt;

pub(in crate::admission) fn admit(_: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Admit)
}

pub(in crate::admission) fn deny(_: &Sources<'_>) -> Box<dyn Plugin> {
    Box::new(Deny)
}

struct Admit;

impl Plugin for Admit {
    fn judges(&self, _: &Attempt<'_>) -> bool {
        false
    }
}

struct Deny;

#[async_trait]
impl Plugin for Deny {
    fn judges(&self, _: &Attempt<'_>) -> bool {
        true
    }

    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        Err(refused(attempt, object, "admission control is denying all modifications"))
    }
}

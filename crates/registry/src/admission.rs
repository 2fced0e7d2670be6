//! What every write must be given: the judge that may change or refuse it.

use api::resource::ResourceDef;
use api::user::User;
use api::{Object, Status, Subresource};
use async_trait::async_trait;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
}

/// The write that is being judged. Runs again on every retry of the compare-and-swap.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    pub def: &'static ResourceDef,
    pub operation: Operation,
    pub namespace: &'a str,
    pub name: &'a str,
    pub subresource: Option<Subresource>,
    pub user: &'a User,
    pub dry_run: bool,
}

#[async_trait]
pub trait Admission: Send + Sync {
    /// May change the object; runs after decoding and defaulting, before validation.
    async fn mutate(
        &self,
        attempt: &Attempt<'_>,
        object: &mut dyn Object,
        old: Option<&dyn Object>,
    ) -> Result<(), Status>;

    /// May only refuse. `object` is `None` for a delete.
    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        old: Option<&dyn Object>,
    ) -> Result<(), Status>;
}

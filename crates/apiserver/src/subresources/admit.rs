//! Admission of what a subresource is given that is an object of its own: a binding, an eviction, a request for a token,
//! the options of a stream.
//!
//! Invariant: such an object is judged in place of the write that it leads to, as upstream does; that write is then
//! given `Admitted`.

use crate::call::Call;
use api::object::Builtin;
use api::{Kind, Object, Registered, Status, Subresource};
use async_trait::async_trait;
use registry::{Admission, Attempt, Books, Claim, Operation};

/// The row of a kind that is no resource of its own.
pub(crate) fn row<K: Kind>() -> &'static dyn Registered {
    const { &Builtin::<K>::row() }
}

/// For a write whose cause was judged in its place.
pub(super) struct Admitted;

#[async_trait]
impl Admission for Admitted {
    async fn mutate(&self, _: &Attempt<'_>, _: &mut Box<dyn Object>, _: Option<&dyn Object>) -> Result<(), Status> {
        Ok(())
    }

    async fn validate(
        &self,
        _: &Attempt<'_>,
        _: Option<&dyn Object>,
        _: Option<&dyn Object>,
    ) -> Result<Vec<Claim>, Status> {
        Ok(Vec::new())
    }
}

/// What happens to what, in a request that stores no object of the resource itself.
pub(crate) struct Admitting<'a> {
    pub(crate) operation: Operation,
    pub(crate) subresource: Option<Subresource>,
    pub(crate) name: &'a str,
}

impl Admitting<'_> {
    /// The object as its judges leave it; `old` is what it is posted to, where a judge must know that.
    pub(crate) async fn admit(
        &self,
        call: &Call<'_>,
        kind: &'static dyn Registered,
        old: Option<&dyn Object>,
        mut object: Box<dyn Object>,
    ) -> Result<Box<dyn Object>, Status> {
        let write = call.write()?;
        let attempt = Attempt {
            def: call.def(),
            kind,
            operation: self.operation,
            namespace: call.namespace(),
            name: self.name,
            subresource: self.subresource,
            user: call.user,
            dry_run: write.dry_run,
            options: write.options,
            notes: write.notes,
            books: Books::default(),
        };
        write.admission.mutate(&attempt, &mut object, old).await?;
        // Nothing is stored of it that could use up what was claimed.
        drop(write.admission.validate(&attempt, Some(object.as_ref()), old).await?);
        Ok(object)
    }
}

/// As `Admitting::admit`, of what is created through a subresource.
pub(super) async fn admit<K: Kind>(
    call: &Call<'_>,
    subresource: Subresource,
    name: &str,
    old: Option<&dyn Object>,
    object: K,
) -> Result<K, Status> {
    let admitting = Admitting { operation: Operation::Create, subresource: Some(subresource), name };
    let object = admitting.admit(call, row::<K>(), old, Box::new(object)).await?;
    let wrong = || Status::internal("a judge has put an object of another kind in place of this one");
    object.downcast::<K>().cloned().ok_or_else(wrong)
}

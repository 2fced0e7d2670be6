//! What a write by the leader of several servers is bound to: that its server leads still, when it is committed.

use api::{Reason, Status};
use store::{Expect, Key, KeyValue, Revision};

/// A key that is at one revision for as long as the server leads: no write with it is committed after that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub key: Key,
    pub at: Revision,
}

impl Fence {
    pub(crate) fn check(&self) -> (Key, Expect) {
        (self.key.clone(), Expect::At(self.at))
    }

    /// What a conflict says of it; `state` is the key's.
    pub(crate) fn stands(&self, state: Option<&KeyValue>) -> Result<(), Status> {
        match state {
            Some(kv) if kv.modified == self.at => Ok(()),
            _ => Err(Status::new(Reason::ServiceUnavailable, "this server does not lead the cluster any more")),
        }
    }
}

//! Server-side apply. Not built: needs managed fields of every manager.

use api::Status;

pub(super) fn refused() -> Status {
    Status::not_implemented("server-side apply (application/apply-patch+yaml)")
}

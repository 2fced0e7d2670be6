//! The registry over the store on disk.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod deletes;
mod installed;
mod lost;
mod managed;
mod open;
mod reads;
mod repaired;
mod sealed;
mod shared;
mod watches;
mod writes;

//! Ground: system calls and kernel files behind safe functions that name what they tried.
//!
//! Invariants: no policy and no async here; every error names the call and its object; cgroup paths are absolute
//! below the hierarchy's root, never relative to the caller's own cgroup.

pub mod capability;
pub mod cgroup;
pub mod descriptor;
mod error;
pub mod memory;
pub mod mount;
pub mod netns;
pub mod nft;
pub mod process;
pub mod sealed;
pub mod sysctl;

pub use error::{Error, Result};

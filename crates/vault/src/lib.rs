//! A store whose values are sealed at rest: whatever engine is below sees ciphertext, whoever is above plain objects.
//!
//! Invariants:
//! - Values are sealed with the first provider of their resource's rule, and opened with whichever sealed them.
//! - A sealed value says in clear who sealed it (`k8s:enc:PROVIDER:VERSION:NAME:`), as upstream's does, and where the
//!   cipher can, it is bound to its key: it opens nowhere else.
//! - What cannot be opened becomes a stand-in that says why (`store::unreadable`), never an error of others. When it
//!   may have become readable, watches end with `Compacted`, so that their readers read anew.
//! - Keys are wiped from memory when they are dropped, and stand in no log or error.

mod chain;
mod config;
mod envelope;
mod keys;
mod kms;
mod opened;
mod random;
mod reread;
mod rules;
mod vault;

pub use config::{ConfigError, Configuration};
pub use vault::{Vault, VaultError};

//! What every message of the API looks like, and what follows from it: checking, patching, the protobuf form.
//!
//! Invariants: everything here is driven by one committed table (`facts.txt`, made by `cargo xtask schema`); nothing
//! knows a kind by name except the few messages whose JSON is not an object of their fields (`Codec`).

pub mod decode;
mod duplicates;
mod facts;
pub mod proto;
pub mod strategic;
pub mod structured;

pub use decode::{Checked, DecodeError, check};
pub use duplicates::duplicates;
pub use facts::{Codec, Field, ListType, MapType, Message, MessageId, Shape, Type, message, messages};
pub use strategic::{PatchError, strategic_merge};

//! The kinds of the discovery group.

mod endpoint_slice;

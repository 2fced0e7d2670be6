//! The kinds of the coordination group.

mod lease;

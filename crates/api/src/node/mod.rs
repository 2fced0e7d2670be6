//! The kinds of the node group.

mod runtime_class;

//! The kinds of the scheduling group.

mod priority_class;

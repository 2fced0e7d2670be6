//! The kinds of the networking group.

mod ingress;
mod ingress_class;
mod network_policy;

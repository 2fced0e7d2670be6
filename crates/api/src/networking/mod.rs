//! The kinds of the networking group.

mod ingress;
mod ingress_class;
mod ip_address;
mod network_policy;
mod service_cidr;

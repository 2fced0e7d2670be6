//! The kinds of the rbac group.

mod bindings;
mod cluster_role;
mod cluster_role_binding;
mod role;
mod role_binding;
mod rules;

/// The group's name, which references to roles and users carry as well.
pub const GROUP: &str = "rbac.authorization.k8s.io";

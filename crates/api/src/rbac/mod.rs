//! The kinds of the rbac group.

mod cluster_role;
mod cluster_role_binding;
mod role;
mod role_binding;

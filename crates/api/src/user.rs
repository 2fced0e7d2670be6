//! Who makes a request.

use std::collections::BTreeMap;

/// An authenticated (or anonymous) user.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct User {
    pub name: String,
    pub uid: String,
    pub groups: Vec<String>,
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    pub const ANONYMOUS: &'static str = "system:anonymous";
    pub const MASTERS: &'static str = "system:masters";
    pub const AUTHENTICATED: &'static str = "system:authenticated";
    pub const UNAUTHENTICATED: &'static str = "system:unauthenticated";
    pub const NODES: &'static str = "system:nodes";

    /// The server's own components.
    pub fn component(name: &str) -> User {
        User {
            name: name.to_owned(),
            groups: vec![User::MASTERS.to_owned(), User::AUTHENTICATED.to_owned()],
            ..User::default()
        }
    }
    pub fn anonymous() -> User {
        User { name: User::ANONYMOUS.to_owned(), groups: vec![User::UNAUTHENTICATED.to_owned()], ..User::default() }
    }
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

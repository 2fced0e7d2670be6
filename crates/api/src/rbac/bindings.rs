//! What the two kinds of bindings have in common.

use super::GROUP;
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::labels;
use crate::resource::Column;
use crate::table::Cell;
use k8s_openapi::api::rbac::v1::{RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

pub(super) const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("Role").about("What it gives."),
    Column::AGE,
    Column::wide("Users").about("The users who get it."),
    Column::wide("Groups").about("The groups who get it."),
    Column::wide("ServiceAccounts").about("The service accounts who get it."),
];

pub(super) fn defaults(role: &mut RoleRef, subjects: Option<&mut Vec<Subject>>) {
    let missing = |group: &Option<String>| group.as_deref().unwrap_or_default().is_empty();
    if missing(&role.api_group) {
        role.api_group = Some(GROUP.to_owned());
    }
    for subject in subjects.into_iter().flatten() {
        if missing(&subject.api_group) && matches!(subject.kind.as_str(), "User" | "Group") {
            subject.api_group = Some(GROUP.to_owned());
        }
    }
}

pub(super) fn validate(role: &RoleRef, subjects: Option<&Vec<Subject>>, namespaced: bool) -> Errors {
    let mut errors = Errors::new();
    let path = FieldPath::new("roleRef");
    let group = Some(role.api_group.as_deref().unwrap_or_default());
    check::supported_if_set(&mut errors, &path.child("apiGroup"), group, &[GROUP]);
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    check::supported_if_set(&mut errors, &path.child("kind"), Some(&role.kind), kinds);
    if role.name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    } else {
        check::each(&mut errors, &path.child("name"), &role.name, labels::path_segment(&role.name, false));
    }
    for (index, subject) in subjects.into_iter().flatten().enumerate() {
        self::subject(&mut errors, &FieldPath::new("subjects").index(index), subject, namespaced);
    }
    errors
}

fn subject(errors: &mut Errors, path: &FieldPath, subject: &Subject, namespaced: bool) {
    check::present(errors, path.child("name"), Some(&subject.name));
    let group = Some(subject.api_group.as_deref().unwrap_or_default());
    match subject.kind.as_str() {
        "ServiceAccount" => {
            if !subject.name.is_empty() {
                check::dns1123_subdomain(errors, &path.child("name"), &subject.name);
            }
            check::supported_if_set(errors, &path.child("apiGroup"), group, &[""]);
            if !namespaced {
                check::present(errors, path.child("namespace"), subject.namespace.as_deref());
            }
        }
        "User" | "Group" => {
            if subject.name.is_empty() {
                let detail = format!("{} name cannot be empty", subject.kind.to_lowercase());
                errors.push(FieldError::invalid(path.child("name"), "", detail));
            }
            check::supported_if_set(errors, &path.child("apiGroup"), group, &[GROUP]);
        }
        other => {
            let kinds = &["ServiceAccount", "User", "Group"];
            check::supported_if_set(errors, &path.child("kind"), Some(other), kinds);
        }
    }
}

/// A binding stays a binding of the role that it was made for.
pub(super) fn validate_update(new: &RoleRef, old: &RoleRef) -> Errors {
    if new == old {
        return Errors::new();
    }
    vec![FieldError::invalid(FieldPath::new("roleRef"), new, "cannot change roleRef")]
}

pub(super) fn row(meta: &ObjectMeta, role: &RoleRef, subjects: Option<&Vec<Subject>>, now: Timestamp) -> Vec<Cell> {
    let of = |kind: &str| {
        let own = subjects.into_iter().flatten().filter(|subject| subject.kind == kind);
        let names = own.map(|subject| match subject.namespace.as_deref().filter(|_| kind == "ServiceAccount") {
            Some(namespace) => format!("{namespace}/{}", subject.name),
            None => subject.name.clone(),
        });
        Cell::Text(names.collect::<Vec<String>>().join(", "))
    };
    vec![
        columns::name(meta),
        Cell::Text(format!("{}/{}", role.kind, role.name)),
        columns::created(meta, now),
        of("User"),
        of("Group"),
        of("ServiceAccount"),
    ]
}

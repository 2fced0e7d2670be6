//! What a request wants to do, as authorizers are asked, and how a refusal reads.

use super::chain::Refusal;
use crate::http::RequestInfo;
use api::selector::FieldSelector;
use api::user::User;
use api::{Reason, Status};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusDetails;
use std::borrow::Cow;

/// One question to the authorizers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// `get`, `list`, …; for paths that are no resources the HTTP method in lower case.
    pub verb: &'a str,
    pub group: &'a str,
    pub version: &'a str,
    /// Plural; empty when `is_resource` is false.
    pub resource: &'a str,
    pub subresource: &'a str,
    /// Empty: cluster scope, or all namespaces.
    pub namespace: &'a str,
    pub name: &'a str,
    /// The URL's path; asked only when `is_resource` is false.
    pub path: &'a str,
    pub is_resource: bool,
    /// Of a list or watch, as the query gives it: a node may list only the pods that are bound to it.
    pub field_selector: &'a str,
    /// Likewise; webhooks are told it.
    pub label_selector: &'a str,
}

/// An authorizer's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow,
    /// Upstream's sentence that says who may not do what.
    Deny(String),
}

impl<'a> Attributes<'a> {
    /// What a request is for, without its selectors.
    pub(crate) fn of(info: &RequestInfo<'a>) -> Attributes<'a> {
        Attributes {
            verb: info.verb,
            group: info.group,
            version: info.version,
            resource: info.resource,
            subresource: info.subresource,
            namespace: info.namespace,
            name: info.name,
            path: info.path,
            is_resource: info.is_resource,
            ..Attributes::default()
        }
    }

    /// The value that the field selector demands of `field`, if it demands one. Parsed by the parser that the list
    /// itself uses: another reading of an escaped comma would let a node see what is not its own.
    pub(crate) fn selected(&self, field: &str) -> Option<String> {
        if self.field_selector.is_empty() {
            return None;
        }
        FieldSelector::parse(self.field_selector).ok()?.exact(field).map(str::to_owned)
    }

    /// The object's name; of a list or watch of one object the name that its field selector demands, as upstream's
    /// request info has it.
    pub(crate) fn effective_name(&self) -> Cow<'a, str> {
        if self.name.is_empty() && matches!(self.verb, "list" | "watch" | "deletecollection") {
            return Cow::Owned(self.selected("metadata.name").unwrap_or_default());
        }
        Cow::Borrowed(self.name)
    }

    /// Upstream's sentence for a refusal.
    pub(crate) fn denial(&self, user: &User, reasons: &[std::sync::Arc<str>]) -> String {
        let (name, verb) = (&user.name, self.verb);
        let mut text = if self.is_resource {
            let slash = if self.subresource.is_empty() { "" } else { "/" };
            let resource = format!("{}{slash}{}", self.resource, self.subresource);
            let what = format!("User {name:?} cannot {verb} resource {resource:?} in API group {:?}", self.group);
            if self.namespace.is_empty() {
                format!("{what} at the cluster scope")
            } else {
                format!("{what} in the namespace {:?}", self.namespace)
            }
        } else {
            format!("User {name:?} cannot {verb} path {:?}", self.path)
        };
        if !reasons.is_empty() {
            text.push_str(": ");
            text.push_str(&reasons.join("\n"));
        }
        text
    }

    /// What a client gets who is refused: a 403, or a 500 where somebody could not be asked.
    pub(crate) fn refused(&self, user: &User, refusal: &Refusal) -> Status {
        match refusal.error() {
            Some(error) => {
                let message = format!("Internal Server Error: {:?}: {error}", self.path);
                Status::new(Reason::InternalError, message)
            }
            None => self.forbidden(self.denial(user, &refusal.reasons)),
        }
    }

    /// The 403 that a client gets; `why` is `Decision::Deny`'s sentence.
    pub fn forbidden(&self, why: String) -> Status {
        if !self.is_resource {
            return Status {
                details: Some(Box::default()),
                ..Status::new(Reason::Forbidden, format!("forbidden: {why}"))
            };
        }
        let dot = if self.group.is_empty() { "" } else { "." };
        let object = if self.name.is_empty() { String::new() } else { format!(" {:?}", self.name) };
        let message = format!("{}{dot}{}{object} is forbidden: {why}", self.resource, self.group);
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let details = StatusDetails {
            name: some(self.name),
            group: some(self.group),
            kind: some(self.resource),
            ..StatusDetails::default()
        };
        Status { details: Some(Box::new(details)), ..Status::new(Reason::Forbidden, message) }
    }
}

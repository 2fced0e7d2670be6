//! Acting as somebody else (`kubectl --as`), for those who may.
//!
//! Invariant: every part of the assumed identity is authorized by itself, so that `impersonate` on a user does not
//! let one take on groups.

use crate::authz::{Attributes, Authorizer};
use api::user::User;
use api::{Reason, Status};
use http::HeaderMap;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA_PREFIX: &str = "impersonate-extra-";
const ACCOUNT_PREFIX: &str = "system:serviceaccount:";
const AUTHENTICATION: &str = "authentication.k8s.io";

/// The resource whose `impersonate` verb is asked: group, resource, subresource, namespace, name.
type Asked<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Status> {
    let value = headers.get(name).map(|value| value.to_str()).transpose();
    let value = value.map_err(|_| Status::bad_request(format!("the header {name} is no text")))?;
    Ok(value.unwrap_or_default())
}

impl Authorizer {
    /// Whom the request's headers say `user` acts as: `user` itself without such headers.
    pub fn impersonated(&self, user: User, headers: &HeaderMap) -> Result<User, Status> {
        let asked = |name: &str| [USER, GROUP, UID].contains(&name) || name.starts_with(EXTRA_PREFIX);
        if !headers.keys().any(|name| asked(name.as_str())) {
            return Ok(user);
        }
        let name = value(headers, USER)?;
        if name.is_empty() {
            let message = "requested impersonation without impersonating a user";
            return Err(Status::new(Reason::InternalError, format!("Internal error occurred: {message}")));
        }
        let mut assumed = User { name: name.to_owned(), ..User::default() };
        self.assume_user(&user, &mut assumed)?;
        self.assume_groups(&user, headers, &mut assumed)?;
        let uid = value(headers, UID)?;
        if !uid.is_empty() {
            self.may_impersonate(&user, (AUTHENTICATION, "uids", "", "", uid))?;
            assumed.uid = uid.to_owned();
        }
        self.assume_extra(&user, headers, &mut assumed)?;
        Ok(assumed)
    }

    fn may_impersonate(
        &self,
        user: &User,
        (group, resource, subresource, namespace, name): Asked<'_>,
    ) -> Result<(), Status> {
        self.require(
            user,
            &Attributes {
                verb: "impersonate",
                group,
                version: if group.is_empty() { "v1" } else { "" },
                resource,
                subresource,
                namespace,
                name,
                is_resource: true,
                ..Attributes::default()
            },
        )
    }

    fn assume_user(&self, user: &User, assumed: &mut User) -> Result<(), Status> {
        let account = assumed.name.strip_prefix(ACCOUNT_PREFIX).and_then(|rest| rest.split_once(':'));
        let Some((namespace, name)) = account else {
            return self.may_impersonate(user, ("", "users", "", "", &assumed.name));
        };
        self.may_impersonate(user, ("", "serviceaccounts", "", namespace, name))?;
        assumed.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
        Ok(())
    }

    fn assume_groups(&self, user: &User, headers: &HeaderMap, assumed: &mut User) -> Result<(), Status> {
        let mut named = Vec::new();
        for group in headers.get_all(GROUP) {
            let group = group.to_str().map_err(|_| Status::bad_request(format!("the header {GROUP} is no text")))?;
            self.may_impersonate(user, ("", "groups", "", "", group))?;
            named.push(group.to_owned());
        }
        if !named.is_empty() {
            assumed.groups = named;
        }
        let unauthenticated = assumed.groups.iter().any(|group| group == User::UNAUTHENTICATED);
        if assumed.name == User::ANONYMOUS {
            if !unauthenticated {
                assumed.groups.push(User::UNAUTHENTICATED.to_owned());
            }
        } else if !unauthenticated {
            super::add_authenticated(&mut assumed.groups);
        }
        Ok(())
    }

    fn assume_extra(&self, user: &User, headers: &HeaderMap, assumed: &mut User) -> Result<(), Status> {
        for (name, value) in headers {
            let Some(key) = name.as_str().strip_prefix(EXTRA_PREFIX) else { continue };
            let key = unescaped(key).ok_or_else(|| Status::bad_request(format!("the header {name} is no text")))?;
            let value = value.to_str().map_err(|_| Status::bad_request(format!("the header {name} is no text")))?;
            self.may_impersonate(user, (AUTHENTICATION, "userextras", &key, "", value))?;
            assumed.extra.entry(key).or_default().push(value.to_owned());
        }
        Ok(())
    }
}

/// A header name's percent escapes undone: extras are often named by domains and paths.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

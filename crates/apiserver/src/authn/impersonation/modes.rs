//! The ways to act as somebody else: four that are bounded by what is done, and the plain one.
//!
//! A bounded way asks twice: for the request itself with the verb `impersonate-on:MODE:VERB`, then for each part of the
//! wanted identity with the verb `impersonate:MODE`. The plain way asks the second question only, with `impersonate`.

use super::super::domain_path;
use crate::authz::{Attributes, Authorizer, Verdict};
use api::user::User;
use api::{FieldPath, Status};
use std::collections::BTreeMap;

const AUTHENTICATION: &str = "authentication.k8s.io";
const ACCOUNT_PREFIX: &str = "system:serviceaccount:";
const NODE_PREFIX: &str = "system:node:";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const NODE_KEYS: &str = "authentication.kubernetes.io/associated-node-keys";
/// From so many groups or extras on, the right to all of them is asked for first.
const MANY: usize = 4;
const ALL: &str = "*";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    AssociatedNode,
    ArbitraryNode,
    ServiceAccount,
    UserInfo,
    Plain,
}

pub(super) fn account(name: &str) -> Option<(&str, &str)> {
    let (namespace, name) = name.strip_prefix(ACCOUNT_PREFIX)?.split_once(':')?;
    let (namespaces, names) =
        (api::labels::dns1123_label(namespace, false), api::labels::dns1123_subdomain(name, false));
    (namespaces.is_empty() && names.is_empty()).then_some((namespace, name))
}

fn node(name: &str) -> Option<&str> {
    let name = name.strip_prefix(NODE_PREFIX)?;
    api::labels::dns1123_subdomain(name, false).is_empty().then_some(name)
}

fn only_named(wanted: &User) -> bool {
    wanted.uid.is_empty() && wanted.groups.is_empty() && wanted.extra.is_empty()
}

impl Mode {
    pub(super) const ALL: [Mode; 5] =
        [Mode::AssociatedNode, Mode::ArbitraryNode, Mode::ServiceAccount, Mode::UserInfo, Mode::Plain];

    fn name(self) -> &'static str {
        match self {
            Mode::AssociatedNode => "associated-node",
            Mode::ArbitraryNode => "arbitrary-node",
            Mode::ServiceAccount => "serviceaccount",
            Mode::UserInfo => "user-info",
            Mode::Plain => "",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Mode::AssociatedNode => "impersonate:associated-node",
            Mode::ArbitraryNode => "impersonate:arbitrary-node",
            Mode::ServiceAccount => "impersonate:serviceaccount",
            Mode::UserInfo => "impersonate:user-info",
            Mode::Plain => "impersonate",
        }
    }

    pub(super) fn constraint(self) -> &'static str {
        if self == Mode::Plain { "" } else { self.verb() }
    }

    /// Whether the way leads to the wanted user at all.
    pub(super) fn fits(self, wanted: &User, requester: &User) -> bool {
        let named = &wanted.name;
        match self {
            Mode::AssociatedNode => {
                let bound = requester.extra.get(NODE_NAME).map(Vec::as_slice);
                let same = matches!((bound, node(named)), (Some([bound]), Some(node)) if bound == node);
                only_named(wanted) && same && account(&requester.name).is_some()
            }
            Mode::ArbitraryNode => only_named(wanted) && node(named).is_some(),
            Mode::ServiceAccount => only_named(wanted) && account(named).is_some(),
            Mode::UserInfo => node(named).is_none() && account(named).is_none(),
            Mode::Plain => true,
        }
    }
}

/// Who acts as somebody else, to do what.
pub(super) struct Requester<'a> {
    pub(super) authorizer: &'a Authorizer,
    pub(super) user: &'a User,
    pub(super) asked: &'a Attributes<'a>,
}

impl Requester<'_> {
    pub(super) async fn assume(&self, mode: Mode, wanted: &User) -> Result<User, Status> {
        let blurred;
        let user = if mode == Mode::AssociatedNode {
            // Authorizers see which keys there are, not which node it is: the mode itself compared the node.
            let keys = self.user.extra.keys().cloned().collect();
            blurred = User { extra: BTreeMap::from([(NODE_KEYS.to_owned(), keys)]), ..self.user.clone() };
            &blurred
        } else {
            self.user
        };
        let way = Way { authorizer: self.authorizer, user, mode };
        if mode != Mode::Plain {
            let verb = format!("impersonate-on:{}:{}", mode.name(), self.asked.verb);
            way.check(&Attributes { verb: &verb, ..*self.asked }).await?;
        }
        let mut assumed = wanted.clone();
        way.name(wanted, &mut assumed).await?;
        if !wanted.uid.is_empty() {
            way.part(AUTHENTICATION, "uids", "", &wanted.uid).await?;
        }
        way.groups(&wanted.groups).await?;
        way.extra(&wanted.extra).await?;
        let unauthenticated = assumed.in_group(User::UNAUTHENTICATED);
        match assumed.name == User::ANONYMOUS {
            true if !unauthenticated => assumed.groups.push(User::UNAUTHENTICATED.to_owned()),
            false if !unauthenticated => super::super::add_authenticated(&mut assumed.groups),
            _ => {}
        }
        Ok(assumed)
    }
}

/// One way, for one requester.
struct Way<'a> {
    authorizer: &'a Authorizer,
    user: &'a User,
    mode: Mode,
}

impl Way<'_> {
    async fn check(&self, asked: &Attributes<'_>) -> Result<(), Status> {
        match self.authorizer.verdict(self.user, asked).await {
            Verdict::Allow(_) => Ok(()),
            Verdict::Refuse(refusal) => {
                let mut reasons = refusal.reasons.clone();
                if let Some(error) = refusal.error() {
                    let said = refusal.reasons.join("\n");
                    let said = if said.is_empty() { error } else { format!("{error}: {said}") };
                    reasons = vec![said.into()];
                }
                Err(asked.forbidden(asked.denial(self.user, &reasons)))
            }
        }
    }

    fn asked<'a>(&self, group: &'a str, resource: &'a str, subresource: &'a str, name: &'a str) -> Attributes<'a> {
        Attributes {
            verb: self.mode.verb(),
            group,
            version: "v1",
            resource,
            subresource,
            name,
            is_resource: true,
            ..Attributes::default()
        }
    }

    async fn part(&self, group: &str, resource: &str, subresource: &str, name: &str) -> Result<(), Status> {
        self.check(&self.asked(group, resource, subresource, name)).await
    }

    /// Users, groups and accounts are of the core group in the plain way, which is older.
    fn names_group(&self) -> &'static str {
        if self.mode == Mode::Plain { "" } else { AUTHENTICATION }
    }

    async fn name(&self, wanted: &User, assumed: &mut User) -> Result<(), Status> {
        let group = self.names_group();
        if let Some((namespace, name)) = account(&wanted.name) {
            self.check(&Attributes { namespace, ..self.asked(group, "serviceaccounts", "", name) }).await?;
            if wanted.groups.is_empty() {
                assumed.groups =
                    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
            }
            return Ok(());
        }
        match node(&wanted.name).filter(|_| self.mode != Mode::Plain) {
            Some(node) => {
                let name = if self.mode == Mode::AssociatedNode { ALL } else { node };
                self.part(group, "nodes", "", name).await?;
                assumed.groups = vec![User::NODES.to_owned()];
                Ok(())
            }
            None => self.part(group, "users", "", &wanted.name).await,
        }
    }

    /// Refused whatever the requester's rights are.
    fn never(&self, resource: &str, name: &str, why: &str) -> Status {
        let asked = self.asked(self.names_group(), resource, "", name);
        asked.forbidden(asked.denial(self.user, &[why.into()]))
    }

    async fn groups(&self, groups: &[String]) -> Result<(), Status> {
        let own = self.names_group();
        if self.mode != Mode::Plain {
            if groups.iter().any(String::is_empty) {
                return Err(self.never("groups", "", "impersonating the empty string group is not allowed"));
            }
            if groups.iter().any(|group| group == User::MASTERS) {
                let why = "impersonating the system:masters group is not allowed";
                return Err(self.never("groups", User::MASTERS, why));
            }
            if groups.len() >= MANY && self.part(own, "groups", "", ALL).await.is_ok() {
                return Ok(());
            }
        }
        for group in groups {
            self.part(own, "groups", "", group).await?;
        }
        Ok(())
    }

    async fn extra(&self, extra: &BTreeMap<String, Vec<String>>) -> Result<(), Status> {
        if self.mode != Mode::Plain && !extra.is_empty() {
            check_extra(extra).map_err(|why| {
                let asked = self.asked(AUTHENTICATION, "userextras", "", "");
                asked.forbidden(asked.denial(self.user, &[why.into()]))
            })?;
            let many = extra.len() >= MANY || extra.values().map(Vec::len).sum::<usize>() >= MANY;
            if many && self.part(AUTHENTICATION, "userextras", ALL, ALL).await.is_ok() {
                return Ok(());
            }
        }
        for (key, values) in extra {
            for value in values {
                self.part(AUTHENTICATION, "userextras", key, value).await?;
            }
        }
        Ok(())
    }
}

fn check_extra(extra: &BTreeMap<String, Vec<String>>) -> Result<(), String> {
    for (key, values) in extra {
        if key.is_empty() {
            return Err("impersonating the empty string key in extra is not allowed".to_owned());
        }
        let errors = domain_path::check(&FieldPath::new("extra").child("key"), key);
        if !errors.is_empty() {
            let errors = domain_path::aggregate(&errors);
            return Err(format!("impersonating an invalid key in extra is not allowed: {errors}"));
        }
        if *key != key.to_lowercase() {
            return Err(format!("impersonating a non-lowercase key in extra is not allowed: {key:?}"));
        }
        if values.iter().any(String::is_empty) {
            return Err("impersonating the empty string value in extra is not allowed".to_owned());
        }
    }
    Ok(())
}

//! RBAC compiled for questions: who has which rules, everywhere and by namespace.
//!
//! Invariants: immutable once published; a change in one namespace rebuilds that namespace only and shares the rest.
//! Cost: a question looks up the user and each of its groups twice, then compares rules (see `rules`).

use super::aggregate::aggregated_rules;
use super::attributes::Attributes;
use super::rules::{Question, Rule};
use api::user::User;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};
use smallvec::SmallVec;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

type Text = Arc<str>;
type Rules = Arc<[Rule]>;

/// What one binding gives to a subject.
#[derive(Clone)]
enum Grant {
    /// With upstream's sentence on who allows, for reviews and the audit log.
    Rules(Rules, Text),
    /// The binding's role does not exist; the text says so.
    Missing(Text),
}

type Grants = SmallVec<[Grant; 1]>;

/// Grants by subject, of one namespace or of the whole cluster.
#[derive(Default)]
struct Subjects {
    users: HashMap<Box<str>, Grants>,
    groups: HashMap<Box<str>, Grants>,
}

#[derive(Default)]
struct Namespace {
    roles: HashMap<Box<str>, Rules>,
    subjects: Subjects,
}

/// All of RBAC at one moment.
#[derive(Clone, Default)]
pub(crate) struct Index {
    cluster_roles: Arc<HashMap<Box<str>, Rules>>,
    cluster: Arc<Subjects>,
    namespaces: HashMap<Text, Arc<Namespace>>,
}

pub(crate) fn service_account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

fn compile(rules: &[PolicyRule]) -> Rules {
    rules.iter().map(Rule::compile).collect()
}

/// A subject as upstream's reasons name it; an account without a namespace is of its binding's.
fn described(subject: &Subject, namespace: &str) -> String {
    let (kind, name) = (&subject.kind, &subject.name);
    if kind != "ServiceAccount" {
        return format!("{kind} {name:?}");
    }
    let own = subject.namespace.as_deref().filter(|own| !own.is_empty()).unwrap_or(namespace);
    format!("{kind} {:?}", format!("{name}/{own}"))
}

/// A binding: what it is called in reasons, whom it is of, and what its role gives.
struct Bound<'a> {
    called: String,
    namespace: &'a str,
    role: &'a RoleRef,
    subjects: Option<&'a Vec<Subject>>,
    rules: Result<Rules, Text>,
}

impl Bound<'_> {
    fn grant(&self, subject: &Subject) -> Grant {
        let rules = match &self.rules {
            Ok(rules) => rules.clone(),
            Err(missing) => return Grant::Missing(missing.clone()),
        };
        let (called, RoleRef { kind, name, .. }) = (&self.called, self.role);
        let subject = described(subject, self.namespace);
        Grant::Rules(rules, format!("RBAC: allowed by {called} of {kind} {name:?} to {subject}").into())
    }
}

impl Subjects {
    fn bind(&mut self, bound: &Bound<'_>) {
        let namespace = bound.namespace;
        for subject in bound.subjects.into_iter().flatten() {
            let grants = match subject.kind.as_str() {
                "User" => self.users.entry(subject.name.as_str().into()),
                "Group" => self.groups.entry(subject.name.as_str().into()),
                "ServiceAccount" => {
                    let own = subject.namespace.as_deref().filter(|own| !own.is_empty()).unwrap_or(namespace);
                    if own.is_empty() {
                        continue;
                    }
                    self.users.entry(service_account_user(own, &subject.name).into())
                }
                _ => continue,
            };
            grants.or_default().push(bound.grant(subject));
        }
    }

    fn of<'a>(&'a self, user: &'a User) -> impl Iterator<Item = &'a Grant> {
        let groups = user.groups.iter().filter_map(|group| self.groups.get(group.as_str()));
        self.users.get(user.name.as_str()).into_iter().chain(groups).flatten()
    }
}

impl Index {
    /// A new index: every ClusterRole compiled, its aggregation resolved; bindings are put in by `with_*`.
    pub(crate) fn with_cluster_roles(roles: &[Arc<ClusterRole>]) -> Index {
        let named = roles.iter().map(|role| (role.metadata.name.as_deref().unwrap_or_default(), &**role));
        let by_name: BTreeMap<&str, &ClusterRole> = named.collect();
        let compiled = by_name.keys().map(|name| ((*name).into(), compile(&aggregated_rules(name, &by_name))));
        Index { cluster_roles: Arc::new(compiled.collect()), ..Index::default() }
    }

    /// What a role gives; `Err` says that it does not exist.
    fn rules(&self, roles: &HashMap<Box<str>, Rules>, role: &RoleRef) -> Result<Rules, Text> {
        let (rules, kind) = match role.kind.as_str() {
            "Role" => (roles.get(role.name.as_str()), "role"),
            _ => (self.cluster_roles.get(role.name.as_str()), "clusterrole"),
        };
        let missing = || format!("{kind}.rbac.authorization.k8s.io {:?} not found", role.name).into();
        rules.cloned().ok_or_else(missing)
    }

    /// The same with these ClusterRoleBindings in place of the former.
    pub(crate) fn with_cluster_bindings(mut self, bindings: &[Arc<ClusterRoleBinding>]) -> Index {
        let mut subjects = Subjects::default();
        let no_roles = HashMap::new();
        for binding in bindings {
            let name = binding.metadata.name.as_deref().unwrap_or_default();
            subjects.bind(&Bound {
                called: format!("ClusterRoleBinding {name:?}"),
                namespace: "",
                role: &binding.role_ref,
                subjects: binding.subjects.as_ref(),
                rules: self.rules(&no_roles, &binding.role_ref),
            });
        }
        self.cluster = Arc::new(subjects);
        self
    }

    /// The same with a namespace's Roles and RoleBindings in place of the former.
    pub(crate) fn with_namespace(mut self, name: &str, roles: &[Arc<Role>], bindings: &[Arc<RoleBinding>]) -> Index {
        if roles.is_empty() && bindings.is_empty() {
            self.namespaces.remove(name);
            return self;
        }
        let compiled = roles.iter().map(|role| {
            let own = role.metadata.name.as_deref().unwrap_or_default();
            (own.into(), compile(role.rules.as_deref().unwrap_or_default()))
        });
        let mut namespace = Namespace { roles: compiled.collect(), subjects: Subjects::default() };
        for binding in bindings {
            let own = binding.metadata.name.as_deref().unwrap_or_default();
            let bound = Bound {
                called: format!("RoleBinding {:?}", format!("{own}/{name}")),
                namespace: name,
                role: &binding.role_ref,
                subjects: binding.subjects.as_ref(),
                rules: self.rules(&namespace.roles, &binding.role_ref),
            };
            namespace.subjects.bind(&bound);
        }
        self.namespaces.insert(name.into(), Arc::new(namespace));
        self
    }

    fn grants<'a>(&'a self, user: &'a User, namespace: &str) -> impl Iterator<Item = &'a Grant> {
        let local = self.namespaces.get(namespace).into_iter().flat_map(|own| own.subjects.of(user));
        self.cluster.of(user).chain(local)
    }

    pub(crate) fn rules_of<'a>(&'a self, user: &'a User, namespace: &str) -> impl Iterator<Item = &'a Rule> {
        self.grants(user, namespace).flat_map(|grant| match grant {
            Grant::Rules(rules, _) => &rules[..],
            Grant::Missing(_) => &[],
        })
    }

    /// Who allows it, if anybody does.
    pub(crate) fn allows(&self, user: &User, attributes: &Attributes<'_>) -> Option<Text> {
        let question = Question::new(attributes);
        self.grants(user, attributes.namespace).find_map(|grant| match grant {
            Grant::Rules(rules, why) => rules.iter().any(|rule| rule.matches(&question)).then(|| why.clone()),
            Grant::Missing(_) => None,
        })
    }

    /// What upstream adds to a refusal when some of the user's bindings name roles that do not exist.
    pub(crate) fn unresolved(&self, user: &User, namespace: &str) -> Option<String> {
        let missing = self.grants(user, namespace).filter_map(|grant| match grant {
            Grant::Missing(why) => Some(&**why),
            Grant::Rules(..) => None,
        });
        let missing: Vec<&str> = missing.collect();
        match missing.as_slice() {
            [] => None,
            [one] => Some(format!("RBAC: {one}")),
            many => Some(format!("RBAC: [{}]", many.join(", "))),
        }
    }

    pub(crate) fn rules_of_role(&self, namespace: &str, role: &RoleRef) -> Option<Vec<PolicyRule>> {
        let none = HashMap::new();
        let roles = self.namespaces.get(namespace).map_or(&none, |own| &own.roles);
        let rules = self.rules(roles, role).ok()?;
        Some(rules.iter().map(Rule::policy).collect())
    }
}

//! Whether a FlowSchema is of a request: its rules, compiled.

use crate::http::RequestInfo;
use api::user::User;
use k8s_openapi::api::flowcontrol::v1 as flowcontrol;
use k8s_openapi::api::flowcontrol::v1::{NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule};

const ALL: &str = "*";

/// A list of names, or all.
struct Names {
    all: bool,
    names: Vec<String>,
}

impl Names {
    fn of(names: &[String]) -> Names {
        Names { all: names.iter().any(|name| name == ALL), names: names.to_vec() }
    }

    fn any(&self, has: impl Fn(&str) -> bool) -> bool {
        self.all || self.names.iter().any(|name| has(name))
    }

    fn has(&self, name: &str) -> bool {
        self.any(|own| own == name)
    }
}

enum Subject {
    Everybody,
    User(String),
    Group(String),
    /// All service accounts of a namespace, by the beginning of their names.
    Accounts(String),
}

impl Subject {
    fn of(subject: &flowcontrol::Subject) -> Option<Subject> {
        let (user, group, account) = (&subject.user, &subject.group, &subject.service_account);
        match (subject.kind.as_str(), user, group, account) {
            ("User", Some(user), ..) if user.name == ALL => Some(Subject::Everybody),
            ("User", Some(user), ..) => Some(Subject::User(user.name.clone())),
            ("Group", _, Some(group), _) if group.name == ALL => Some(Subject::Everybody),
            ("Group", _, Some(group), _) => Some(Subject::Group(group.name.clone())),
            ("ServiceAccount", .., Some(account)) => {
                let prefix = format!("system:serviceaccount:{}:", account.namespace);
                Some(match account.name.as_str() {
                    ALL => Subject::Accounts(prefix),
                    name => Subject::User(prefix + name),
                })
            }
            _ => None,
        }
    }

    fn is(&self, user: &User) -> bool {
        match self {
            Subject::Everybody => true,
            Subject::User(name) => user.name == *name,
            Subject::Group(group) => user.in_group(group),
            Subject::Accounts(prefix) => user.name.starts_with(prefix.as_str()),
        }
    }
}

struct ResourceRule {
    verbs: Names,
    groups: Names,
    /// `pods`, or `pods/status`.
    resources: Names,
    namespaces: Names,
    cluster_scope: bool,
}

impl ResourceRule {
    fn of(rule: &ResourcePolicyRule) -> ResourceRule {
        ResourceRule {
            verbs: Names::of(&rule.verbs),
            groups: Names::of(&rule.api_groups),
            resources: Names::of(&rule.resources),
            namespaces: Names::of(rule.namespaces.as_deref().unwrap_or_default()),
            cluster_scope: rule.cluster_scope.unwrap_or(false),
        }
    }

    fn is(&self, info: &RequestInfo<'_>) -> bool {
        let resource = |own: &str| match own.split_once('/') {
            Some((resource, subresource)) => resource == info.resource && subresource == info.subresource,
            None => own == info.resource && info.subresource.is_empty(),
        };
        let place = if info.namespace.is_empty() { self.cluster_scope } else { self.namespaces.has(info.namespace) };
        place && self.verbs.has(info.verb) && self.groups.has(info.group) && self.resources.any(resource)
    }
}

struct OtherRule {
    verbs: Names,
    /// A path, or with a star at its end all that begin so.
    paths: Names,
}

impl OtherRule {
    fn of(rule: &NonResourcePolicyRule) -> OtherRule {
        OtherRule { verbs: Names::of(&rule.verbs), paths: Names::of(&rule.non_resource_urls) }
    }

    fn is(&self, info: &RequestInfo<'_>) -> bool {
        let path = |own: &str| match own.strip_suffix(ALL) {
            Some(prefix) => info.path.starts_with(prefix),
            None => own == info.path,
        };
        self.verbs.has(info.verb) && self.paths.any(path)
    }
}

pub(super) struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<ResourceRule>,
    others: Vec<OtherRule>,
}

impl Rule {
    pub(super) fn of(rule: &PolicyRulesWithSubjects) -> Rule {
        Rule {
            subjects: rule.subjects.iter().filter_map(Subject::of).collect(),
            resources: rule.resource_rules.iter().flatten().map(ResourceRule::of).collect(),
            others: rule.non_resource_rules.iter().flatten().map(OtherRule::of).collect(),
        }
    }

    pub(super) fn is(&self, user: &User, info: &RequestInfo<'_>) -> bool {
        if !self.subjects.iter().any(|subject| subject.is(user)) {
            return false;
        }
        match info.is_resource {
            true => self.resources.iter().any(|rule| rule.is(info)),
            false => self.others.iter().any(|rule| rule.is(info)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(rule: serde_json::Value, user: &User, method: &str, path: &str) -> bool {
        let rule: PolicyRulesWithSubjects = serde_json::from_value(rule).unwrap();
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        Rule::of(&rule).is(user, &RequestInfo::parse(&method, path, false))
    }

    fn user(name: &str, group: &str) -> User {
        User { name: name.to_owned(), groups: vec![group.to_owned()], ..User::default() }
    }

    #[test]
    fn subjects_are_users_groups_and_service_accounts() {
        let account = |name: &str| json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": name}});
        let named = |kind: &str, name: &str| json!({"kind": kind, kind.to_lowercase(): {"name": name}});
        let (dns, other) = ("system:serviceaccount:kube-system:dns", "system:serviceaccount:kube-system-2:dns");
        for (subject, name, group, matches) in [
            (named("User", "ann"), "ann", "g", true),
            (named("User", "ann"), "bob", "ann", false),
            (named("User", "*"), "bob", "g", true),
            (named("Group", "g"), "bob", "g", true),
            (named("Group", "g"), "g", "h", false),
            (named("Group", "*"), "g", "h", true),
            (account("dns"), dns, "g", true),
            (account("dns"), other, "g", false),
            (account("*"), dns, "g", true),
            (account("*"), other, "g", false),
        ] {
            let all = json!([{"verbs": ["*"], "nonResourceURLs": ["*"]}]);
            let rule = json!({"subjects": [subject], "nonResourceRules": all});
            assert_eq!(check(rule.clone(), &user(name, group), "GET", "/version"), matches, "{rule} {name}");
        }
    }

    #[test]
    fn rules_are_by_verb_group_resource_and_place() {
        let rule = |namespaces: &[&str], cluster: bool, resources: &[&str]| {
            json!({
                "subjects": [{"kind": "User", "user": {"name": "*"}}],
                "resourceRules": [{"verbs": ["get", "list", "update"], "apiGroups": [""], "resources": resources,
                    "namespaces": namespaces, "clusterScope": cluster}],
                "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/livez/*"]}],
            })
        };
        let pod = "/api/v1/namespaces/a/pods/p";
        for (rule, method, path, matches) in [
            (rule(&["a"], false, &["pods"]), "GET", pod, true),
            (rule(&["b"], false, &["pods"]), "GET", pod, false),
            (rule(&["*"], false, &["*"]), "GET", pod, true),
            (rule(&["*"], false, &["*"]), "DELETE", pod, false),
            (rule(&["*"], false, &["*"]), "GET", "/api/v1/pods", false),
            (rule(&[], true, &["*"]), "GET", "/api/v1/pods", true),
            (rule(&[], true, &["*"]), "GET", pod, false),
            (rule(&["*"], false, &["pods"]), "PUT", "/api/v1/namespaces/a/pods/p/status", false),
            (rule(&["*"], false, &["pods/status"]), "PUT", "/api/v1/namespaces/a/pods/p/status", true),
            (rule(&["*"], true, &["*"]), "GET", "/apis/apps/v1/namespaces/a/deployments/d", false),
            (rule(&["*"], true, &["*"]), "GET", "/healthz", true),
            (rule(&["*"], true, &["*"]), "GET", "/healthz/ping", false),
            (rule(&["*"], true, &["*"]), "GET", "/livez/ping", true),
            (rule(&["*"], true, &["*"]), "POST", "/healthz", false),
        ] {
            assert_eq!(check(rule.clone(), &User::anonymous(), method, path), matches, "{rule} {method} {path}");
        }
    }
}

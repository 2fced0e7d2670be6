//! One policy rule, compiled: what a request is compared with.
//!
//! Invariant: matching allocates nothing. A decision compares a request with every rule of the user's roles, so the
//! verb, which most rules fail on, is one bit test.

use super::attributes::Attributes;
use k8s_openapi::api::rbac::v1::PolicyRule;

/// Verbs that have a bit of their own; any other is compared as text.
const VERBS: [&str; 17] = [
    "get",
    "list",
    "watch",
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "post",
    "put",
    "head",
    "options",
    "use",
    "bind",
    "escalate",
    "impersonate",
    "proxy",
];
const ALL: &str = "*";
const EVERY_VERB: u32 = u32::MAX;

#[derive(Debug, PartialEq, Eq)]
enum Resource {
    All,
    /// `*/scale`: the subresource of whatever resource.
    Any(Box<str>),
    /// The subresource is empty for the resource itself.
    One(Box<str>, Box<str>),
}

impl Resource {
    fn compile(text: &str) -> Resource {
        match text.split_once('/') {
            None if text == ALL => Resource::All,
            None => Resource::One(text.into(), "".into()),
            Some((ALL, subresource)) => Resource::Any(subresource.into()),
            Some((resource, subresource)) => Resource::One(resource.into(), subresource.into()),
        }
    }

    fn text(&self) -> String {
        match self {
            Resource::All => ALL.to_owned(),
            Resource::Any(subresource) => format!("*/{subresource}"),
            Resource::One(resource, subresource) if subresource.is_empty() => resource.to_string(),
            Resource::One(resource, subresource) => format!("{resource}/{subresource}"),
        }
    }

    fn matches(&self, attributes: &Attributes<'_>) -> bool {
        match self {
            Resource::All => true,
            Resource::Any(subresource) => !subresource.is_empty() && **subresource == *attributes.subresource,
            Resource::One(resource, subresource) => {
                **resource == *attributes.resource && **subresource == *attributes.subresource
            }
        }
    }
}

/// One rule of a role.
#[derive(Debug)]
pub(crate) struct Rule {
    verbs: u32,
    other_verbs: Box<[Box<str>]>,
    groups: Box<[Box<str>]>,
    resources: Box<[Resource]>,
    /// Empty: every name.
    names: Box<[Box<str>]>,
    urls: Box<[Box<str>]>,
}

fn bit(verb: &str) -> u32 {
    VERBS.iter().position(|known| *known == verb).map_or(0, |position| 1 << position)
}

/// A request as rules are compared with it: its verb is looked up once.
pub(crate) struct Question<'a> {
    verb: u32,
    attributes: &'a Attributes<'a>,
}

impl<'a> Question<'a> {
    pub(crate) fn new(attributes: &'a Attributes<'a>) -> Question<'a> {
        Question { verb: bit(attributes.verb), attributes }
    }
}

fn boxed(texts: Option<&Vec<String>>) -> Box<[Box<str>]> {
    texts.into_iter().flatten().map(|text| text.as_str().into()).collect()
}

fn texts(boxes: &[Box<str>]) -> Option<Vec<String>> {
    (!boxes.is_empty()).then(|| boxes.iter().map(ToString::to_string).collect())
}

fn has(list: &[Box<str>], text: &str) -> bool {
    list.iter().any(|one| **one == *text)
}

/// Whether a rule's URL (exact, `*`, or a prefix before a final `*`) covers a path.
pub(crate) fn url_matches(pattern: &str, path: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(_) => path.starts_with(pattern.trim_end_matches('*')),
        None => pattern == path,
    }
}

impl Rule {
    pub(crate) fn compile(rule: &PolicyRule) -> Rule {
        let all = rule.verbs.iter().any(|verb| verb == ALL);
        let known = rule.verbs.iter().fold(0, |bits, verb| bits | bit(verb));
        let others = rule.verbs.iter().filter(|verb| !all && bit(verb) == 0);
        Rule {
            verbs: if all { EVERY_VERB } else { known },
            other_verbs: others.map(|verb| verb.as_str().into()).collect(),
            groups: boxed(rule.api_groups.as_ref()),
            resources: rule.resources.iter().flatten().map(|text| Resource::compile(text)).collect(),
            names: boxed(rule.resource_names.as_ref()),
            urls: boxed(rule.non_resource_urls.as_ref()),
        }
    }

    /// The rule as the API spells it, for reviews and for the comparison of rights.
    pub(crate) fn policy(&self) -> PolicyRule {
        let verbs = if self.verbs == EVERY_VERB {
            vec![ALL.to_owned()]
        } else {
            let known = VERBS.iter().filter(|verb| self.verbs & bit(verb) != 0).map(|verb| (*verb).to_owned());
            known.chain(self.other_verbs.iter().map(ToString::to_string)).collect()
        };
        let resources: Vec<String> = self.resources.iter().map(Resource::text).collect();
        PolicyRule {
            verbs,
            api_groups: texts(&self.groups),
            resources: (!resources.is_empty()).then_some(resources),
            resource_names: texts(&self.names),
            non_resource_urls: texts(&self.urls),
        }
    }

    fn verb_matches(&self, question: &Question<'_>) -> bool {
        self.verbs == EVERY_VERB
            || self.verbs & question.verb != 0
            || (question.verb == 0 && has(&self.other_verbs, question.attributes.verb))
    }

    pub(crate) fn matches(&self, question: &Question<'_>) -> bool {
        if !self.verb_matches(question) {
            return false;
        }
        let asked = question.attributes;
        if !asked.is_resource {
            return self.urls.iter().any(|url| url_matches(url, asked.path));
        }
        self.groups.iter().any(|group| **group == *ALL || **group == *asked.group)
            && self.resources.iter().any(|resource| resource.matches(asked))
            && (self.names.is_empty() || has(&self.names, asked.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(groups: &[&str], resources: &[&str], names: &[&str], verbs: &[&str]) -> PolicyRule {
        let some = |list: &[&str]| {
            (!list.is_empty()).then(|| list.iter().map(|text| (*text).to_owned()).collect::<Vec<String>>())
        };
        PolicyRule {
            api_groups: some(groups),
            resources: some(resources),
            resource_names: some(names),
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            non_resource_urls: None,
        }
    }

    #[test]
    fn resource_rules_match_by_verb_group_resource_and_name() {
        // rule's groups, resources, names, verbs; asked verb, group, resource, subresource, name; allowed
        let table: &[(&[&str], &[&str], &[&str], &[&str], [&str; 5], bool)] = &[
            (&[""], &["pods"], &[], &["get"], ["get", "", "pods", "", "web"], true),
            (&[""], &["pods"], &[], &["get"], ["get", "", "pods", "log", "web"], false),
            (&[""], &["pods/log"], &[], &["get"], ["get", "", "pods", "log", "web"], true),
            (&[""], &["pods/log"], &[], &["get"], ["get", "", "pods", "", "web"], false),
            (&[""], &["pods/*"], &[], &["get"], ["get", "", "pods", "log", "web"], false),
            (&["*"], &["*/scale"], &[], &["update"], ["update", "apps", "deployments", "scale", "a"], true),
            (&["*"], &["*/scale"], &[], &["update"], ["update", "apps", "deployments", "", "a"], false),
            (&[""], &["*"], &[], &["get"], ["get", "", "pods", "exec", "a"], true),
            (&["apps"], &["*"], &[], &["get"], ["get", "", "pods", "", "a"], false),
            (&["*"], &["*"], &[], &["*"], ["approve", "x", "signers", "", "a"], true),
            (&["x"], &["signers"], &["a"], &["approve"], ["approve", "x", "signers", "", "a"], true),
            (&["x"], &["signers"], &["a"], &["approve"], ["sign", "x", "signers", "", "a"], false),
            (&[""], &["configmaps"], &["one"], &["get"], ["get", "", "configmaps", "", "one"], true),
            (&[""], &["configmaps"], &["one"], &["get"], ["get", "", "configmaps", "", "two"], false),
            (&[""], &["configmaps"], &["one"], &["list"], ["list", "", "configmaps", "", ""], false),
            (&[], &["pods"], &[], &["get"], ["get", "", "pods", "", "a"], false),
        ];
        for (groups, resources, names, verbs, [verb, group, resource, subresource, name], allowed) in table {
            let rule = Rule::compile(&rule(groups, resources, names, verbs));
            let asked =
                Attributes { verb, group, resource, subresource, name, is_resource: true, ..Attributes::default() };
            assert_eq!(rule.matches(&Question::new(&asked)), *allowed, "{rule:?} on {asked:?}");
        }
    }

    #[test]
    fn url_rules_match_whole_paths_and_final_stars() {
        let table = [
            ("/healthz", "/healthz", true),
            ("/healthz", "/healthz/", false),
            ("/healthz/*", "/healthz/etcd", true),
            ("/healthz/*", "/healthz", false),
            ("/api*", "/apis/apps", true),
            ("*", "/anything", true),
            ("/a/*/b", "/a/x/b", false),
        ];
        for (pattern, path, matches) in table {
            assert_eq!(url_matches(pattern, path), matches, "{pattern} on {path}");
        }
    }

    #[test]
    fn a_compiled_rule_reads_back_as_it_was() {
        for verbs in [&["get", "list", "approve"][..], &["*"]] {
            let source = rule(&["", "apps"], &["*", "pods/log", "*/scale"], &["a"], verbs);
            assert_eq!(Rule::compile(&source).policy(), source);
        }
    }
}

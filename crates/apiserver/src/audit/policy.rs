//! Which requests are told of, and how much of each: a Policy of `audit.k8s.io/v1`.
//!
//! Invariants: the first rule that fits decides; what no rule fits is not told of; fields that a policy has not are
//! errors, so that a slip of the pen does not leave requests untold.

use crate::authz::Attributes;
use crate::configuration_file::{self, ConfigurationError};
use api::field::{FieldError, FieldPath};
use api::user::User;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::Path;

const VERSION: &str = "audit.k8s.io/v1";

/// How much is told of a request; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    None,
    Metadata,
    Request,
    RequestResponse,
}

impl Level {
    pub(super) const ALL: [Level; 4] = [Level::None, Level::Metadata, Level::Request, Level::RequestResponse];

    pub(super) fn name(self) -> &'static str {
        match self {
            Level::None => "None",
            Level::Metadata => "Metadata",
            Level::Request => "Request",
            Level::RequestResponse => "RequestResponse",
        }
    }
}

/// When in a request's life an event is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    const ALL: [Stage; 4] = [Stage::RequestReceived, Stage::ResponseStarted, Stage::ResponseComplete, Stage::Panic];

    pub(super) fn name(self) -> &'static str {
        match self {
            Stage::RequestReceived => "RequestReceived",
            Stage::ResponseStarted => "ResponseStarted",
            Stage::ResponseComplete => "ResponseComplete",
            Stage::Panic => "Panic",
        }
    }
}

/// What the policy says of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judgement {
    pub(super) level: Level,
    /// One bit per stage, in the order of `Stage::ALL`.
    omitted: u8,
    pub(super) omit_managed_fields: bool,
}

impl Judgement {
    pub(super) fn omits(self, stage: Stage) -> bool {
        self.omitted & (1 << stage as u8) != 0
    }
}

#[derive(Debug)]
pub(super) struct Policy {
    rules: Vec<(RuleFile, Judgement)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct PolicyFile {
    api_version: String,
    kind: String,
    #[serde(rename = "metadata")]
    _metadata: Option<IgnoredAny>,
    rules: Vec<RuleFile>,
    omit_stages: Vec<String>,
    omit_managed_fields: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct RuleFile {
    level: String,
    users: Vec<String>,
    user_groups: Vec<String>,
    verbs: Vec<String>,
    resources: Vec<GroupResources>,
    namespaces: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    omit_stages: Vec<String>,
    omit_managed_fields: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
struct GroupResources {
    group: String,
    resources: Vec<String>,
    resource_names: Vec<String>,
}

impl Policy {
    pub(super) fn read(path: &Path) -> Result<Policy, ConfigurationError> {
        Policy::parse(path, &configuration_file::text(path)?)
    }

    /// `path` is what errors name.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Policy, ConfigurationError> {
        let bad = |why: String| ConfigurationError::Decode { path: path.to_owned(), why };
        let file: PolicyFile = serde_saphyr::from_str(text).map_err(|error| bad(error.to_string()))?;
        if file.kind != "Policy" || file.api_version != VERSION {
            let (kind, version) = (&file.kind, &file.api_version);
            return Err(bad(format!("no kind {kind:?} is registered for version {version:?}: a policy is {VERSION}")));
        }
        if file.rules.is_empty() {
            return Err(bad("loaded illegal policy with 0 rules".to_owned()));
        }
        let mut errors = Vec::new();
        let everywhere = stages(&file.omit_stages, &FieldPath::new("omitStages"), &mut errors);
        let mut rules = Vec::with_capacity(file.rules.len());
        for (index, rule) in file.rules.into_iter().enumerate() {
            let own = rule.judgement(&FieldPath::new("rules").index(index), &mut errors);
            let omitted = own.omitted | everywhere;
            let omit_managed_fields = rule.omit_managed_fields.unwrap_or(file.omit_managed_fields);
            rules.push((rule, Judgement { omitted, omit_managed_fields, ..own }));
        }
        match errors.is_empty() {
            true => Ok(Policy { rules }),
            false => Err(ConfigurationError::Invalid { path: path.to_owned(), errors }),
        }
    }

    /// `user` is `None` where the request did not prove who sent it.
    pub(super) fn judge(&self, user: Option<&User>, asked: &Attributes<'_>) -> Judgement {
        let fits = self.rules.iter().find(|(rule, _)| rule.fits(user, asked));
        fits.map_or(Judgement { level: Level::None, omitted: 0, omit_managed_fields: false }, |(_, judgement)| {
            *judgement
        })
    }
}

fn stages(names: &[String], path: &FieldPath, errors: &mut Vec<FieldError>) -> u8 {
    let mut omitted = 0;
    for (index, name) in names.iter().enumerate() {
        match Stage::ALL.into_iter().find(|stage| stage.name() == name) {
            Some(stage) => omitted |= 1 << stage as u8,
            None => {
                let allowed = Stage::ALL.map(Stage::name).join(",");
                errors.push(FieldError::invalid(path.index(index), name, format!("allowed stages are {allowed}")));
            }
        }
    }
    omitted
}

fn has(list: &[String], value: &str) -> bool {
    list.iter().any(|own| own == value)
}

impl RuleFile {
    /// What the rule says by itself; what is wrong with it goes to `errors`.
    fn judgement(&self, path: &FieldPath, errors: &mut Vec<FieldError>) -> Judgement {
        let level = Level::ALL.into_iter().find(|level| level.name() == self.level);
        match (level, self.level.as_str()) {
            (Some(_), _) => {}
            (None, "") => errors.push(FieldError::required(path.child("level"), "")),
            (None, other) => {
                errors.push(FieldError::not_supported(path.child("level"), other, &Level::ALL.map(Level::name)));
            }
        }
        self.check_urls(&path.child("nonResourceURLs"), errors);
        for resources in &self.resources {
            resources.check(&path.child("resources"), errors);
        }
        let omitted = stages(&self.omit_stages, &path.child("omitStages"), errors);
        Judgement { level: level.unwrap_or(Level::None), omitted, omit_managed_fields: false }
    }

    fn check_urls(&self, path: &FieldPath, errors: &mut Vec<FieldError>) {
        for (index, url) in self.non_resource_urls.iter().enumerate().filter(|(_, url)| *url != "*") {
            if !url.starts_with('/') {
                let why = "non-resource URL rules must begin with a '/' character";
                errors.push(FieldError::invalid(path.index(index), url, why));
            }
            if url.strip_suffix('*').unwrap_or(url).contains('*') {
                let why = "non-resource URL wildcards '*' must be the final character of the rule";
                errors.push(FieldError::invalid(path.index(index), url, why));
            }
        }
        let of_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if of_resources && !self.non_resource_urls.is_empty() {
            let why = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(path.clone(), &self.non_resource_urls, why));
        }
    }

    fn fits(&self, user: Option<&User>, asked: &Attributes<'_>) -> bool {
        let by_name = self.users.is_empty() || user.is_some_and(|user| has(&self.users, &user.name));
        let in_group = |user: &User| user.groups.iter().any(|group| has(&self.user_groups, group));
        let by_group = self.user_groups.is_empty() || user.is_some_and(in_group);
        if !by_name || !by_group || !(self.verbs.is_empty() || has(&self.verbs, asked.verb)) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return asked.is_resource && self.fits_resource(asked);
        }
        self.non_resource_urls.is_empty()
            || !asked.is_resource && self.non_resource_urls.iter().any(|url| fits_path(url, asked.path))
    }

    fn fits_resource(&self, asked: &Attributes<'_>) -> bool {
        let by_namespace = self.namespaces.is_empty() || has(&self.namespaces, asked.namespace);
        by_namespace && (self.resources.is_empty() || self.resources.iter().any(|resources| resources.fit(asked)))
    }
}

fn fits_path(url: &str, path: &str) -> bool {
    url == path || url.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

impl GroupResources {
    fn check(&self, path: &FieldPath, errors: &mut Vec<FieldError>) {
        let wrong = if self.group.is_empty() { Vec::new() } else { api::labels::dns1123_subdomain(&self.group, false) };
        if !wrong.is_empty() {
            errors.push(FieldError::invalid(path.child("group"), &self.group, wrong.join(",")));
        }
        if !self.resource_names.is_empty() && self.resources.is_empty() {
            let why = "using resourceNames requires at least one resource";
            errors.push(FieldError::invalid(path.child("resourceNames"), &self.resource_names, why));
        }
    }

    fn fit(&self, asked: &Attributes<'_>) -> bool {
        if self.group != asked.group {
            return false;
        }
        let named = self.resource_names.is_empty() || has(&self.resource_names, asked.name);
        self.resources.is_empty() || named && self.resources.iter().any(|pattern| fits_pattern(pattern, asked))
    }
}

/// `pods`, `pods/log`, `pods/*` (the pods themselves too), `*/scale`, `*`.
fn fits_pattern(pattern: &str, asked: &Attributes<'_>) -> bool {
    match pattern.split_once('/') {
        None => pattern == "*" || pattern == asked.resource && asked.subresource.is_empty(),
        Some(("*", subresource)) if subresource == asked.subresource => !subresource.is_empty(),
        Some((resource, "*")) => resource == asked.resource,
        Some((resource, subresource)) => resource == asked.resource && subresource == asked.subresource,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &str) -> Result<Policy, String> {
        let text = format!("apiVersion: {VERSION}\nkind: Policy\n{rules}\n");
        Policy::parse(Path::new("/policy.yaml"), &text).map_err(|error| error.to_string())
    }

    /// `who verb what`: `what` is a path, or `group/resource[/subresource] namespace/name`.
    fn level(policy: &Policy, who: &str, verb: &str, what: &str) -> &'static str {
        let user = User { name: who.to_owned(), groups: vec![format!("{who}s")], ..User::default() };
        let mut asked = Attributes { verb, path: what, ..Attributes::default() };
        if let Some((resource, object)) = what.split_once(' ') {
            let mut parts = resource.split('/');
            asked.is_resource = true;
            asked.group = parts.next().unwrap();
            asked.resource = parts.next().unwrap();
            asked.subresource = parts.next().unwrap_or_default();
            (asked.namespace, asked.name) = object.split_once('/').unwrap();
        }
        policy.judge(Some(&user).filter(|user| !user.name.is_empty()), &asked).level.name()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let table: &[(&str, &[(&str, &str, &str, bool)])] = &[
            ("", &[("ann", "get", "/pods a/b", true), ("ann", "get", "/version", true), ("", "get", "/x", true)]),
            (
                "users: [ann]",
                &[("ann", "get", "/version", true), ("bob", "get", "/version", false), ("", "get", "/x", false)],
            ),
            (
                "userGroups: [anns]",
                &[("ann", "get", "/x", true), ("bob", "get", "/x", false), ("", "get", "/x", false)],
            ),
            ("verbs: [get, list]", &[("ann", "list", "/pods a/", true), ("ann", "watch", "/pods a/", false)]),
            (
                "namespaces: [a]",
                &[("x", "get", "/pods a/b", true), ("x", "get", "/pods b/b", false), ("x", "get", "/a", false)],
            ),
            ("namespaces: ['']", &[("x", "get", "/nodes /n", true), ("x", "get", "/pods b/b", false)]),
            (
                "resources: [{group: apps}]",
                &[
                    ("x", "get", "apps/deployments a/b", true),
                    ("x", "get", "apps/deployments/scale a/b", true),
                    ("x", "get", "/pods a/b", false),
                    ("x", "get", "/apis/apps", false),
                ],
            ),
            (
                "resources: [{group: '', resources: [pods]}]",
                &[
                    ("x", "get", "/pods a/b", true),
                    ("x", "get", "/pods/log a/b", false),
                    ("x", "get", "metrics/pods a/b", false),
                ],
            ),
            (
                "resources: [{resources: [pods/log]}]",
                &[
                    ("x", "get", "/pods/log a/b", true),
                    ("x", "get", "/pods a/b", false),
                    ("x", "get", "/pods/exec a/b", false),
                ],
            ),
            (
                "resources: [{resources: ['pods/*']}]",
                &[
                    ("x", "get", "/pods/exec a/b", true),
                    ("x", "get", "/pods a/b", true),
                    ("x", "get", "/nodes/status /b", false),
                ],
            ),
            (
                "resources: [{resources: ['*/status']}]",
                &[
                    ("x", "get", "/pods/status a/b", true),
                    ("x", "get", "/nodes/status /b", true),
                    ("x", "get", "/pods a/b", false),
                    ("x", "get", "/pods/log a/b", false),
                ],
            ),
            (
                "resources: [{resources: ['*']}]",
                &[
                    ("x", "get", "/pods/status a/b", true),
                    ("x", "get", "/pods a/b", true),
                    ("x", "get", "apps/deployments a/b", false),
                ],
            ),
            (
                "resources: [{resources: [configmaps], resourceNames: [c]}]",
                &[
                    ("x", "get", "/configmaps a/c", true),
                    ("x", "get", "/configmaps a/d", false),
                    ("x", "list", "/configmaps a/", false),
                ],
            ),
            (
                "nonResourceURLs: ['/healthz*', /version]",
                &[
                    ("x", "get", "/healthz", true),
                    ("x", "get", "/healthz/ping", true),
                    ("x", "get", "/version", true),
                    ("x", "get", "/version/", false),
                    ("x", "get", "/pods a/b", false),
                ],
            ),
            ("nonResourceURLs: ['*']", &[("x", "get", "/any", true), ("x", "get", "/pods a/b", false)]),
        ];
        for (rule, requests) in table {
            let policy = policy(&format!("rules: [{{level: Metadata, {rule}}}]")).unwrap();
            for (who, verb, what, told) in *requests {
                let wanted = if *told { "Metadata" } else { "None" };
                assert_eq!(level(&policy, who, verb, what), wanted, "{rule}: {who} {verb} {what}");
            }
        }
        let policy =
            policy("rules: [{level: None, users: [ann]}, {level: RequestResponse}, {level: Request}]").unwrap();
        assert_eq!(level(&policy, "ann", "get", "/x"), "None");
        assert_eq!(level(&policy, "bob", "get", "/x"), "RequestResponse");
    }

    #[test]
    fn stages_and_managed_fields_are_the_policys_or_the_rules() {
        let policy = policy(
            "omitStages: [RequestReceived]\nomitManagedFields: true\n\
             rules: [{level: Request, users: [a], omitStages: [Panic], omitManagedFields: false}, {level: Request}]",
        );
        let policy = policy.unwrap();
        let of = |name: &str| {
            let user = User { name: name.to_owned(), ..User::default() };
            let judged = policy.judge(Some(&user), &Attributes::default());
            (Stage::ALL.map(|stage| judged.omits(stage)), judged.omit_managed_fields)
        };
        assert_eq!(of("a"), ([true, false, false, true], false));
        assert_eq!(of("b"), ([true, false, false, false], true));
    }

    #[test]
    fn a_wrong_policy_is_refused_with_its_path() {
        for (rules, why) in [
            ("rules: []", "decoding /policy.yaml: loaded illegal policy with 0 rules"),
            ("rules: [{}]", "/policy.yaml: rules[0].level: Required value"),
            ("rules: [{level: All}]", "rules[0].level: Unsupported value: \"All\": supported values: \"Metadata\", "),
            (
                "rules: [{level: None, omitStages: [Never]}]",
                "rules[0].omitStages[0]: Invalid value: \"Never\": allowed",
            ),
            ("rules: [{level: None, nonResourceURLs: [healthz]}]", "must begin with a '/' character"),
            ("rules: [{level: None, nonResourceURLs: ['/a*b']}]", "must be the final character of the rule"),
            (
                "rules: [{level: None, nonResourceURLs: [/a], namespaces: [a]}]",
                "both regular resources and non-resource",
            ),
            ("rules: [{level: None, resources: [{resourceNames: [a]}]}]", "requires at least one resource"),
            ("rules: [{level: None, resources: [{group: Apps/v1}]}]", "rules[0].resources.group: Invalid value"),
            ("rules: [{level: None, user: [a]}]", "user"),
        ] {
            let said = policy(rules).unwrap_err();
            assert!(said.contains("/policy.yaml") && said.contains(why), "{rules}: {said}");
        }
        let other = Policy::parse(Path::new("/p"), "apiVersion: v1\nkind: Pod\nrules: []\n").unwrap_err().to_string();
        assert!(other.starts_with("decoding /p: no kind \"Pod\" is registered for version \"v1\""), "{other}");
    }
}

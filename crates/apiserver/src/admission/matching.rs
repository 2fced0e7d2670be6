//! Which writes a webhook or a policy is about: rules, selectors, and versions that mean the same.
//!
//! Invariant: criteria are compiled once per revision of the object that says them; what asks for them never sees the
//! writes of what itself configures webhooks and policies: nobody could take back a judge that refuses everything.

use super::find;
use super::request::{Judged, Seen};
use api::resource::ResourceDef;
use api::selector::{Selector, SelectorError};
use api::{Kind, Object, Registered, Status, Subresource};
use client::{Cache, Client};
use k8s_openapi::api::admissionregistration::v1::{
    MatchResources, MutatingWebhookConfiguration, NamedRuleWithOperations, RuleWithOperations,
};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use registry::{Attempt, Operation, Registry};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

/// What configures judges, and so is judged by none of those it configures.
const EXEMPT: [&str; 6] = [
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "MutatingAdmissionPolicy",
    "MutatingAdmissionPolicyBinding",
];

pub(crate) fn is_exempt(attempt: &Attempt<'_>) -> bool {
    attempt.def.group == MutatingWebhookConfiguration::DEF.group && EXEMPT.contains(&attempt.def.kind)
}

const ALL: &str = "*";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    All,
    Namespaced,
    Cluster,
    /// Said by a name that means nothing, which validation keeps out.
    None,
}

/// Which operations on which resources.
#[derive(Debug)]
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    /// With the subresource, empty for none.
    resources: Vec<(String, String)>,
    scope: Scope,
    /// Of objects; empty for all.
    names: Vec<String>,
}

type Texts = Option<Vec<String>>;

impl Rule {
    fn new(operations: &Texts, groups: &Texts, versions: &Texts, resources: &Texts, scope: Option<&str>) -> Rule {
        let split = |text: &String| {
            let (resource, subresource) = text.split_once('/').unwrap_or((text, ""));
            (resource.to_owned(), subresource.to_owned())
        };
        Rule {
            operations: operations.clone().unwrap_or_default(),
            groups: groups.clone().unwrap_or_default(),
            versions: versions.clone().unwrap_or_default(),
            resources: resources.iter().flatten().map(split).collect(),
            scope: match scope {
                None | Some(ALL) => Scope::All,
                Some("Namespaced") => Scope::Namespaced,
                Some("Cluster") => Scope::Cluster,
                Some(_) => Scope::None,
            },
            names: Vec::new(),
        }
    }

    fn matches(&self, judged: &Judged<'_>, def: &ResourceDef) -> bool {
        let has = |list: &[String], own: &str| list.iter().any(|item| item == ALL || item == own);
        let subresource = judged.subresource();
        let resource = |(resource, sub): &(String, String)| {
            (resource == ALL || resource == def.plural) && (sub == ALL || sub == subresource)
        };
        // Namespaces are of the cluster, though each is in itself.
        let of_cluster = judged.is_namespace() || judged.namespace().is_empty();
        has(&self.operations, judged.attempt.operation.name())
            && has(&self.groups, def.group)
            && has(&self.versions, def.version)
            && self.resources.iter().any(resource)
            && match self.scope {
                Scope::All => true,
                Scope::Namespaced => !of_cluster,
                Scope::Cluster => of_cluster,
                Scope::None => false,
            }
            && (self.names.is_empty() || self.names.iter().any(|name| name == judged.name()))
    }
}

impl From<&RuleWithOperations> for Rule {
    fn from(own: &RuleWithOperations) -> Rule {
        Rule::new(&own.operations, &own.api_groups, &own.api_versions, &own.resources, own.scope.as_deref())
    }
}

impl From<&NamedRuleWithOperations> for Rule {
    fn from(own: &NamedRuleWithOperations) -> Rule {
        let rule = Rule::new(&own.operations, &own.api_groups, &own.api_versions, &own.resources, own.scope.as_deref());
        Rule { names: own.resource_names.clone().unwrap_or_default(), ..rule }
    }
}

/// Which writes somebody wants to judge.
#[derive(Debug)]
pub(crate) struct Criteria {
    namespaces: Selector,
    objects: Selector,
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    /// Without rules: everything, or nothing.
    without_rules: bool,
    /// Whether a rule means its resource in all versions.
    is_equivalent: bool,
}

const EXACT: &str = "Exact";

fn selector(source: Option<&LabelSelector>) -> Result<Selector, SelectorError> {
    source.map_or_else(|| Ok(Selector::everything()), Selector::from_label_selector)
}

impl Criteria {
    /// A webhook's. Without rules it is never asked.
    pub(crate) fn of_webhook(
        rules: &[RuleWithOperations],
        match_policy: Option<&str>,
        namespaces: Option<&LabelSelector>,
        objects: Option<&LabelSelector>,
    ) -> Result<Criteria, SelectorError> {
        Ok(Criteria {
            namespaces: selector(namespaces)?,
            objects: selector(objects)?,
            rules: rules.iter().map(Rule::from).collect(),
            excluded: Vec::new(),
            without_rules: false,
            is_equivalent: match_policy != Some(EXACT),
        })
    }

    /// A policy's, or a binding's. Without rules it is about everything.
    pub(crate) fn of_resources(resources: &MatchResources) -> Result<Criteria, SelectorError> {
        let rules = |rules: &Option<Vec<NamedRuleWithOperations>>| rules.iter().flatten().map(Rule::from).collect();
        Ok(Criteria {
            namespaces: selector(resources.namespace_selector.as_ref())?,
            objects: selector(resources.object_selector.as_ref())?,
            rules: rules(&resources.resource_rules),
            excluded: rules(&resources.exclude_resource_rules),
            without_rules: true,
            is_equivalent: resources.match_policy.as_deref() != Some(EXACT),
        })
    }

    /// The version in which the write is to be judged; `None` where it is not to be.
    ///
    /// # Errors
    /// When a namespace whose labels decide is not there, or cannot be read.
    pub(crate) async fn matches(&self, judged: &Judged<'_>, world: &World) -> Result<Option<Seen>, Status> {
        let Some(seen) = self.seen(judged, world) else { return Ok(None) };
        if !self.selects_object(judged) || !self.selects_namespace(judged, world).await? {
            return Ok(None);
        }
        Ok(Some(seen))
    }

    fn seen(&self, judged: &Judged<'_>, world: &World) -> Option<Seen> {
        if self.by_rules(&self.excluded, judged, world).is_some() {
            return None;
        }
        if self.rules.is_empty() {
            return self.without_rules.then(|| judged.own());
        }
        self.by_rules(&self.rules, judged, world)
    }

    /// The request's own version where a rule names it; else the first that means the same, by the first rule.
    fn by_rules(&self, rules: &[Rule], judged: &Judged<'_>, world: &World) -> Option<Seen> {
        if rules.iter().any(|rule| rule.matches(judged, judged.attempt.def)) {
            return Some(judged.own());
        }
        if rules.is_empty() || !self.is_equivalent {
            return None;
        }
        let versions = world.equivalents(judged.attempt);
        let named = rules.iter().flat_map(|rule| versions.iter().filter(|kind| rule.matches(judged, kind.def())));
        named.map(|kind| seen_as(judged.attempt, *kind)).next()
    }

    fn selects_object(&self, judged: &Judged<'_>) -> bool {
        let selected = |object: Option<&dyn Object>| {
            let labels = object.map(|object| object.meta().labels.as_ref());
            labels.is_some_and(|labels| self.objects.matches(labels.unwrap_or(&NO_LABELS)))
        };
        let is_options = judged.attempt.operation == Operation::Connect;
        self.objects.is_empty() || (!is_options && (selected(judged.object) || selected(judged.old())))
    }

    async fn selects_namespace(&self, judged: &Judged<'_>, world: &World) -> Result<bool, Status> {
        let name = judged.namespace();
        if self.namespaces.is_empty() || (name.is_empty() && !judged.is_namespace()) {
            return Ok(true);
        }
        // What a namespace is about to be counts, not what it was.
        let changing = matches!(judged.attempt.operation, Operation::Create | Operation::Update);
        if judged.is_namespace() && changing && judged.attempt.subresource.is_none() {
            let labels = judged.object.and_then(|object| object.meta().labels.as_ref());
            return Ok(self.namespaces.matches(labels.unwrap_or(&NO_LABELS)));
        }
        let namespace = world.namespace(name).await?.ok_or_else(|| Status::not_found(&Namespace::DEF, name))?;
        Ok(self.namespaces.matches(namespace.metadata.labels.as_ref().unwrap_or(&NO_LABELS)))
    }
}

static NO_LABELS: BTreeMap<String, String> = BTreeMap::new();

fn seen_as(attempt: &Attempt<'_>, version: &'static dyn Registered) -> Seen {
    let of_subresource = attempt.subresource.and_then(Subresource::kind).is_some();
    Seen { resource: version.def(), kind: if of_subresource { attempt.kind } else { version } }
}

/// What matching looks things up in.
#[derive(Clone)]
pub(crate) struct World {
    client: Client,
    namespaces: Cache<Namespace>,
    registry: Arc<Registry>,
}

/// By what a resource's versions are known as one: where they are stored.
type Stored = (&'static str, &'static str);

fn stored(kind: &dyn Registered) -> Stored {
    let def = kind.stored().map_or(kind.def(), |stored| stored.def());
    (def.group, def.plural)
}

/// The built-in kinds that are served in several versions.
fn builtin_versions() -> &'static HashMap<Stored, Vec<&'static dyn Registered>> {
    static VERSIONS: OnceLock<HashMap<Stored, Vec<&'static dyn Registered>>> = OnceLock::new();
    VERSIONS.get_or_init(|| {
        let mut versions: HashMap<Stored, Vec<&'static dyn Registered>> = HashMap::new();
        for kind in api::object::builtin() {
            versions.entry(stored(*kind)).or_default().push(*kind);
        }
        versions
    })
}

impl World {
    pub(crate) fn new(client: &Client, registry: &Arc<Registry>) -> World {
        World { client: client.clone(), namespaces: client.cache(), registry: registry.clone() }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) async fn namespace(&self, name: &str) -> Result<Option<Arc<Namespace>>, Status> {
        find(&self.client, &self.namespaces, "", name).await
    }

    /// The other versions of what is written to.
    fn equivalents(&self, attempt: &Attempt<'_>) -> Vec<&'static dyn Registered> {
        let own = attempt.def;
        let is_other = |kind: &&'static dyn Registered| {
            let def = kind.def();
            (def.group, def.version) != (own.group, own.version)
        };
        if let Some(kind) = api::object::find(own.group, own.version, own.plural) {
            let versions = builtin_versions().get(&stored(kind));
            return versions.into_iter().flatten().copied().filter(is_other).collect();
        }
        let served = self.registry.served();
        let same = served.iter().map(|resource| resource.kind).filter(|kind| {
            let def = kind.def();
            (def.group, def.plural) == (own.group, own.plural)
        });
        let mut versions: Vec<&'static dyn Registered> = same.filter(is_other).collect();
        versions.sort_by_key(|kind| kind.def().version);
        versions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::user::User;
    use registry::{Books, Notes};
    use serde_json::json;

    /// Whether a rule on these resources, of this scope, is about a subresource of a kind in a namespace.
    #[track_caller]
    fn check(resources: &[&str], scope: &str, plural: &str, subresource: Option<Subresource>, namespace: &str) -> bool {
        let rule: NamedRuleWithOperations = serde_json::from_value(json!({"operations": ["UPDATE"],
            "apiGroups": [""], "apiVersions": ["*"], "resources": resources, "scope": scope,
            "resourceNames": ["o"]}))
        .unwrap();
        let (user, kind) = (User::default(), api::object::find("", "v1", plural).unwrap());
        let attempt = Attempt {
            def: kind.def(),
            kind,
            operation: Operation::Update,
            namespace,
            name: "o",
            subresource,
            user: &user,
            dry_run: false,
            options: None,
            notes: Notes::unheard(),
            books: Books::default(),
        };
        let matches = |attempt: &Attempt<'_>| {
            Rule::from(&rule).matches(&Judged { attempt, object: None, old: None }, attempt.def)
        };
        assert!(!matches(&Attempt { operation: Operation::Delete, ..attempt }), "another operation");
        assert!(!matches(&Attempt { name: "other", ..attempt }), "another object");
        matches(&attempt)
    }

    #[test]
    fn rules_name_resources_and_subresources() {
        let (none, status) = (None, Some(Subresource::Status));
        for (resources, plain, sub) in [
            (&["pods"][..], true, false),
            (&["pods/status"], false, true),
            (&["pods/*"], true, true),
            (&["*"], true, false),
            (&["*/*"], true, true),
            (&["*/status"], false, true),
            (&["services", "pods/scale"], false, false),
        ] {
            assert_eq!(check(resources, "*", "pods", none, "a"), plain, "{resources:?}");
            assert_eq!(check(resources, "*", "pods", status, "a"), sub, "{resources:?}/status");
        }
    }

    #[test]
    fn a_namespace_is_of_the_cluster() {
        for (scope, pods, nodes, namespaces) in
            [("*", true, true, true), ("Namespaced", true, false, false), ("Cluster", false, true, true)]
        {
            assert_eq!(check(&["*"], scope, "pods", None, "a"), pods, "{scope}");
            assert_eq!(check(&["*"], scope, "nodes", None, ""), nodes, "{scope}");
            assert_eq!(check(&["*"], scope, "namespaces", None, ""), namespaces, "{scope}");
        }
    }
}

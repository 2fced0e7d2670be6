//! `create role`, `create clusterrole`, their bindings, and `create token`.

use super::{make, typed};
use crate::calls::{At, text};
use crate::commands::output::{Creation, Printing, exactly_one};
use crate::context::Context;
use crate::duration;
use crate::failure::{Failure, Result};
use api::Kind;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1 as rbac;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const GROUP: &str = "rbac.authorization.k8s.io";

/// What may be done to what.
#[derive(clap::Args)]
struct Rules {
    /// get, list, watch, create, update, patch, delete, …
    #[arg(long, value_delimiter = ',')]
    verb: Vec<String>,
    /// RESOURCE, RESOURCE.GROUP, RESOURCE/SUBRESOURCE
    #[arg(long, value_delimiter = ',')]
    resource: Vec<String>,
    /// Only objects of this name
    #[arg(long)]
    resource_name: Vec<String>,
}

impl Rules {
    fn verbs(&self) -> Result<Vec<String>> {
        let mut verbs: Vec<String> = Vec::new();
        for verb in &self.verb {
            if verb == "*" {
                return Ok(vec!["*".to_owned()]);
            }
            if !verbs.contains(verb) {
                verbs.push(verb.clone());
            }
        }
        if verbs.is_empty() {
            return Err(Failure::message("at least one verb must be specified"));
        }
        Ok(verbs)
    }

    /// A rule for each group.
    async fn resolve(&self, context: &Context, verbs: &[String]) -> Result<Vec<Value>> {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for named in &self.resource {
            let (resource, subresource) = named.split_once('/').unwrap_or((named, ""));
            let (group, mut name) = if resource == "*" {
                ("*".to_owned(), "*".to_owned())
            } else {
                let def = context.resources.named(resource).await;
                let def = def.map_err(|failure| Failure::Verbatim(failure.to_string()))?;
                (def.group.to_owned(), def.plural.to_owned())
            };
            if !subresource.is_empty() {
                name = format!("{name}/{subresource}");
            }
            let names = groups.entry(group).or_default();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let rules = groups.into_iter().map(|(group, resources)| {
            let mut rule = json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
            if !self.resource_name.is_empty() {
                rule["resourceNames"] = self.resource_name.clone().into();
            }
            rule
        });
        Ok(rules.collect())
    }
}

#[derive(clap::Args)]
pub(super) struct Role {
    name: Vec<String>,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    creation: Creation,
}

impl Role {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create role")?;
        let verbs = self.rules.verbs()?;
        if self.rules.resource.is_empty() {
            return Err(Failure::message("at least one resource must be specified"));
        }
        let rules = self.rules.resolve(context, &verbs).await?;
        make::<rbac::Role>(context, &self.creation, "", json!({"metadata": {"name": name}, "rules": rules})).await
    }
}

#[derive(clap::Args)]
pub(super) struct ClusterRole {
    name: Vec<String>,
    #[command(flatten)]
    rules: Rules,
    /// A path of the server that is no resource
    #[arg(long = "non-resource-url", value_delimiter = ',')]
    non_resource_url: Vec<String>,
    /// LABEL=VALUE of the cluster roles whose rules it takes over
    #[arg(long, value_delimiter = ',')]
    aggregation_rule: Vec<String>,
    #[command(flatten)]
    creation: Creation,
}

impl ClusterRole {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create clusterrole")?;
        if !self.aggregation_rule.is_empty() {
            return self.aggregated(context, name).await;
        }
        let verbs = self.rules.verbs()?;
        if self.rules.resource.is_empty() && self.non_resource_url.is_empty() {
            return Err(Failure::message("at least one resource or nonResourceURL must be specified"));
        }
        let mut rules = self.rules.resolve(context, &verbs).await?;
        if !self.non_resource_url.is_empty() {
            rules.push(json!({"nonResourceURLs": self.non_resource_url, "verbs": verbs}));
        }
        let object = json!({"metadata": {"name": name}, "rules": rules});
        make::<rbac::ClusterRole>(context, &self.creation, "", object).await
    }

    async fn aggregated(&self, context: &Context, name: &str) -> Result<()> {
        let rules = &self.rules;
        if !rules.verb.is_empty() || !rules.resource.is_empty() || !rules.resource_name.is_empty() {
            let text = "aggregation rule must be specified without nonResourceURLs, resources, verbs or resourceNames";
            return Err(Failure::message(text));
        }
        let pairs = self.aggregation_rule.iter().filter_map(|pair| pair.split_once('='));
        let labels: Map<String, Value> = pairs.map(|(key, value)| (key.to_owned(), value.into())).collect();
        let object = json!({
            "metadata": {"name": name}, "rules": null,
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": labels}]},
        });
        make::<rbac::ClusterRole>(context, &self.creation, "", object).await
    }
}

/// Who gets a role.
#[derive(clap::Args, Debug)]
pub(in crate::commands) struct Subjects {
    /// Users. The flag of the same name that every command has is empty where it is not given, and arrives here.
    #[arg(long, value_delimiter = ',')]
    user: Vec<String>,
    /// Groups of users
    #[arg(long, value_delimiter = ',')]
    group: Vec<String>,
    /// NAMESPACE:NAME of service accounts
    #[arg(long, value_delimiter = ',')]
    serviceaccount: Vec<String>,
}

impl Subjects {
    pub(in crate::commands) fn is_empty(&self) -> bool {
        self.user.iter().all(String::is_empty) && self.group.is_empty() && self.serviceaccount.is_empty()
    }

    pub(in crate::commands) fn all(&self) -> Result<Vec<Value>> {
        let of = |kind: &'static str, names: &[String]| {
            names
                .iter()
                .filter(|name| !name.is_empty())
                .map(move |name| json!({"apiGroup": GROUP, "kind": kind, "name": name}))
                .collect::<Vec<_>>()
        };
        let mut subjects = of("User", &self.user);
        subjects.extend(of("Group", &self.group));
        for account in &self.serviceaccount {
            let parts: Vec<&str> = account.split(':').collect();
            let [namespace, name] = parts.as_slice() else {
                return Err(Failure::message("serviceaccount must be <namespace>:<name>"));
            };
            subjects.push(json!({"kind": "ServiceAccount", "name": name, "namespace": namespace}));
        }
        Ok(subjects)
    }
}

#[derive(clap::Args)]
pub(super) struct Binding {
    name: Vec<String>,
    /// The cluster role to bind
    #[arg(long, default_value = "", hide_default_value = true)]
    clusterrole: String,
    /// The role to bind
    #[arg(long, default_value = "", hide_default_value = true)]
    role: String,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    creation: Creation,
}

impl Binding {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create rolebinding")?;
        let (kind, role) = match (self.clusterrole.as_str(), self.role.as_str()) {
            ("", role) if !role.is_empty() => ("Role", role),
            (role, "") if !role.is_empty() => ("ClusterRole", role),
            _ => return Err(Failure::message("exactly one of clusterrole or role must be specified")),
        };
        let object = binding(name, kind, role, self.subjects.all()?);
        make::<rbac::RoleBinding>(context, &self.creation, "rolebinding", object).await
    }
}

fn binding(name: &str, kind: &str, role: &str, subjects: Vec<Value>) -> Value {
    let mut object = json!({"metadata": {"name": name}, "roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}});
    if !subjects.is_empty() {
        object["subjects"] = subjects.into();
    }
    object
}

#[derive(clap::Args)]
pub(super) struct ClusterBinding {
    name: Vec<String>,
    /// The cluster role to bind
    #[arg(long, required = true)]
    clusterrole: String,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    creation: Creation,
}

impl ClusterBinding {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create clusterrolebinding")?;
        let object = binding(name, "ClusterRole", &self.clusterrole, self.subjects.all()?);
        make::<rbac::ClusterRoleBinding>(context, &self.creation, "clusterrolebinding", object).await
    }
}

#[derive(clap::Args)]
pub(super) struct Token {
    name: Vec<String>,
    #[command(flatten)]
    printing: Printing,
    /// For whom; may be repeated
    #[arg(long)]
    audience: Vec<String>,
    /// How long it holds; 0 is the server's choice
    #[arg(long, default_value = "0s")]
    duration: String,
    /// Pod, Secret or Node: the token ends with the object
    #[arg(long, default_value = "", hide_default_value = true)]
    bound_object_kind: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    bound_object_name: String,
    #[arg(long, default_value = "", hide_default_value = true)]
    bound_object_uid: String,
}

impl Token {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create token")?;
        let request = typed(&TokenRequest::DEF, json!({"spec": self.spec()?}));
        let at = At { def: &ServiceAccount::DEF, namespace: &context.namespace, name, subresource: "token" };
        let answer = context.create(at, &request, &[]).await.map_err(|failure| match failure {
            Failure::Api(status) => Failure::message(format!("failed to create token: {}", status.message)),
            other => other,
        })?;
        match self.printing.chosen()? {
            Some(format) => self.printing.show(context, &format, &answer),
            None => context.line(text(&answer, "/status/token")),
        }
    }

    fn spec(&self) -> Result<Value> {
        const KINDS: [(&str, &str); 3] = [("Node", "v1"), ("Pod", "v1"), ("Secret", "v1")];
        let seconds = match duration::parse(&self.duration)? {
            Some(duration) if duration.subsec_nanos() == 0 => duration.as_secs(),
            Some(_) => return Err(Failure::message("--duration must be a whole number of seconds")),
            None => return Err(Failure::message("--duration must be greater than or equal to 0")),
        };
        let mut spec = json!({"audiences": self.audience});
        if seconds > 0 {
            spec["expirationSeconds"] = seconds.into();
        }
        let kind = self.bound_object_kind.as_str();
        if kind.is_empty() {
            if !self.bound_object_name.is_empty() || !self.bound_object_uid.is_empty() {
                return Err(Failure::message(
                    "--bound-object-name and --bound-object-uid can only be set if --bound-object-kind is provided",
                ));
            }
            return Ok(spec);
        }
        let Some((kind, version)) = KINDS.iter().find(|(known, _)| *known == kind) else {
            return Err(Failure::message("supported --bound-object-kind values are Node, Pod, Secret"));
        };
        if self.bound_object_name.is_empty() {
            return Err(Failure::message("--bound-object-name is required if --bound-object-kind is provided"));
        }
        let mut bound = json!({"kind": kind, "apiVersion": version, "name": self.bound_object_name});
        if !self.bound_object_uid.is_empty() {
            bound["uid"] = self.bound_object_uid.clone().into();
        }
        spec["boundObjectRef"] = bound;
        Ok(spec)
    }
}

//! From what users call a kind to its row: the builtin table first, discovery for what it lacks.
//!
//! Invariant: discovery is asked at most once per command, and never for a name the builtin table knows.

use crate::failure::{Failure, Result};
use crate::server::{Ask, DISCOVERY, Server, whole};
use api::resource::Verbs;
use api::{ResourceDef, Scope, Subresource};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// A kind that the server serves.
#[derive(Clone, Debug)]
pub(crate) struct Served {
    pub(crate) def: &'static ResourceDef,
    pub(crate) verbs: Vec<String>,
}

pub(crate) struct Resources {
    server: Arc<dyn Server>,
    served: OnceCell<Vec<Served>>,
}

/// `pods`, `deployments.apps` or `deployments.v1.apps`, taken apart.
struct Named<'a> {
    resource: String,
    group: Option<&'a str>,
    version: Option<&'a str>,
}

impl<'a> Named<'a> {
    /// All that a name may mean: a group of several parts begins where a version might.
    fn readings(name: &'a str) -> Vec<Named<'a>> {
        let Some((resource, rest)) = name.split_once('.') else {
            return vec![Named { resource: name.to_lowercase(), group: None, version: None }];
        };
        let resource = resource.to_lowercase();
        let versioned = rest.split_once('.').map(|(version, group)| (Some(group), Some(version)));
        let readings = [versioned, Some((Some(rest), None))].into_iter().flatten();
        readings.map(|(group, version)| Named { resource: resource.clone(), group, version }).collect()
    }

    fn is(&self, def: &ResourceDef) -> bool {
        // Upstream takes the beginning of a group for it: `deployments.app`.
        let group =
            self.group.is_none_or(|group| def.group == group || (!group.is_empty() && def.group.starts_with(group)));
        let names = [def.plural, def.singular];
        let known = names.contains(&self.resource.as_str())
            || def.short_names.contains(&self.resource.as_str())
            || def.kind.to_lowercase() == self.resource;
        group && known && self.version.is_none_or(|version| def.version == version)
    }
}

impl Resources {
    pub(crate) fn new(server: Arc<dyn Server>) -> Resources {
        Resources { server, served: OnceCell::new() }
    }

    /// One kind by any of its names.
    pub(crate) async fn named(&self, name: &str) -> Result<&'static ResourceDef> {
        let readings = Named::readings(name);
        let meant =
            |def: &&'static ResourceDef| def.verbs == Verbs::Full && readings.iter().any(|reading| reading.is(def));
        if let Some(def) = api::object::builtin().iter().map(|row| row.def()).find(meant) {
            return Ok(def);
        }
        let found = self.served().await?.iter().map(|served| served.def).find(meant);
        found.ok_or_else(|| {
            let (resource, group) = name.split_once('.').unwrap_or((name, ""));
            let group = if group.is_empty() { String::new() } else { format!(" in group {group:?}") };
            Failure::message(format!("the server doesn't have a resource type {resource:?}{group}"))
        })
    }

    /// A comma list of names and categories.
    pub(crate) async fn named_list(&self, list: &str) -> Result<Vec<&'static ResourceDef>> {
        let mut defs: Vec<&'static ResourceDef> = Vec::new();
        for name in list.split(',') {
            let of_category = if is_category(name) { self.category(name).await? } else { Vec::new() };
            let found = if of_category.is_empty() { vec![self.named(name).await?] } else { of_category };
            for def in found {
                if !defs.iter().any(|known| known.group_resource() == def.group_resource()) {
                    defs.push(def);
                }
            }
        }
        Ok(defs)
    }

    async fn category(&self, name: &str) -> Result<Vec<&'static ResourceDef>> {
        let served = self.served().await?.iter().map(|served| served.def);
        Ok(served.filter(|def| def.categories.contains(&name)).collect())
    }

    /// The kind of a manifest; `None` where the server has no such kind.
    pub(crate) async fn of_kind(&self, api_version: &str, kind: &str) -> Result<Option<&'static ResourceDef>> {
        if let Some(row) = api::object::find_kind(api_version, kind) {
            return Ok(Some(row.def()));
        }
        let mut served = self.served().await?.iter().map(|served| served.def);
        Ok(served.find(|def| def.kind == kind && def.api_version() == api_version))
    }

    /// All that the server serves, in its order.
    pub(crate) async fn served(&self) -> Result<&[Served]> {
        self.served.get_or_try_init(|| discover(&*self.server)).await.map(Vec::as_slice)
    }
}

/// Names that no kind has, so that asking for a kind does not need discovery: the categories of builtin kinds, and
/// what is neither a builtin name nor looks like a group's.
fn is_category(name: &str) -> bool {
    let builtin = api::object::builtin().iter().map(|row| row.def());
    !name.contains('.') && !builtin.clone().any(|def| Named::readings(name).iter().any(|reading| reading.is(def)))
}

async fn discover(server: &dyn Server) -> Result<Vec<Served>> {
    let mut served = Vec::new();
    for root in ["/api", "/apis"] {
        let document = document(server, root).await?;
        if document["kind"] == "APIGroupDiscoveryList" {
            served.extend(aggregated(&document));
        } else {
            for version in versions(&document) {
                let path = format!("{root}/{version}");
                served.extend(plain(&document_or_nothing(server, &path).await?));
            }
        }
    }
    Ok(served)
}

async fn document(server: &dyn Server, path: &str) -> Result<Value> {
    let answer = server.ask(Ask::get(path.to_owned()).accept(DISCOVERY)).await?;
    crate::calls::decode(&whole(answer.body).await?)
}

/// A group whose server is away does not hide the others.
async fn document_or_nothing(server: &dyn Server, path: &str) -> Result<Value> {
    match document(server, path).await {
        Err(Failure::Api(_)) => Ok(Value::Null),
        other => other,
    }
}

/// The versions that plain discovery names: `v1`, or each group's preferred first.
fn versions(document: &Value) -> Vec<String> {
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut versions = texts(&document["versions"]);
    for group in document["groups"].as_array().into_iter().flatten() {
        for version in group["versions"].as_array().into_iter().flatten() {
            versions.extend(version["groupVersion"].as_str().map(str::to_owned));
        }
    }
    versions
}

fn aggregated(document: &Value) -> Vec<Served> {
    let mut served = Vec::new();
    for group in document["items"].as_array().into_iter().flatten() {
        let name = crate::calls::text(group, "/metadata/name");
        for version in group["versions"].as_array().into_iter().flatten() {
            let number = version["version"].as_str().unwrap_or_default();
            for resource in version["resources"].as_array().into_iter().flatten() {
                let mut row = row(name, number, resource, "resource");
                row.kind = intern(crate::calls::text(resource, "/responseKind/kind"));
                row.singular = intern(resource["singularResource"].as_str().unwrap_or_default());
                row.scope = if resource["scope"] == "Cluster" { Scope::Cluster } else { Scope::Namespaced };
                let subresources = resource["subresources"].as_array().into_iter().flatten();
                row.subresources = subresources_of(subresources.filter_map(|one| one["subresource"].as_str()));
                served.push(finish(row, resource));
            }
        }
    }
    served
}

fn plain(document: &Value) -> Vec<Served> {
    let group_version = document["groupVersion"].as_str().unwrap_or_default();
    let (group, version) = group_version.split_once('/').unwrap_or(("", group_version));
    let resources: Vec<&Value> = document["resources"].as_array().into_iter().flatten().collect();
    let name = |resource: &Value| resource["name"].as_str().unwrap_or_default().to_owned();
    let objects = resources.iter().filter(|resource| !name(resource).contains('/'));
    objects
        .map(|resource| {
            let mut row = row(group, version, resource, "name");
            row.kind = intern(resource["kind"].as_str().unwrap_or_default());
            row.singular = intern(resource["singularName"].as_str().unwrap_or_default());
            row.scope = if resource["namespaced"] == true { Scope::Namespaced } else { Scope::Cluster };
            let prefix = format!("{}/", row.plural);
            let names: Vec<String> = resources.iter().map(|other| name(other)).collect();
            row.subresources = subresources_of(names.iter().filter_map(|name| name.strip_prefix(prefix.as_str())));
            finish(row, resource)
        })
        .collect()
}

fn row(group: &str, version: &str, resource: &Value, name_key: &str) -> ResourceDef {
    let plural = intern(resource[name_key].as_str().unwrap_or_default());
    let mut row = ResourceDef::new(intern(group), intern(version), "", plural, "", Scope::Namespaced, "");
    row.short_names = texts(&resource["shortNames"]);
    row.categories = texts(&resource["categories"]);
    row
}

/// The builtin row where it is the same kind: it knows more.
fn finish(mut row: ResourceDef, resource: &Value) -> Served {
    let verbs: Vec<String> =
        resource["verbs"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
    if !verbs.iter().any(|verb| verb == "get" || verb == "list") {
        row.verbs = Verbs::CreateOnly;
    }
    let def = match api::object::find(row.group, row.version, row.plural) {
        Some(builtin) => builtin.def(),
        None => &*Box::leak(Box::new(row)),
    };
    Served { def, verbs }
}

fn subresources_of<'a>(names: impl Iterator<Item = &'a str>) -> &'static [Subresource] {
    Box::leak(names.filter_map(Subresource::parse).collect::<Vec<_>>().into_boxed_slice())
}

/// Rows hold texts that live as long as the program, which is a command: there is nothing to give back.
pub(crate) fn intern(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

fn texts(list: &Value) -> &'static [&'static str] {
    let texts: Vec<&'static str> =
        list.as_array().into_iter().flatten().filter_map(Value::as_str).map(intern).collect();
    Box::leak(texts.into_boxed_slice())
}

/// `pod`, `deployment.apps`: how commands name the kind of an object.
pub(crate) fn kind_name(def: &ResourceDef) -> String {
    let kind = def.kind.to_lowercase();
    if def.group.is_empty() { kind } else { format!("{kind}.{}", def.group) }
}

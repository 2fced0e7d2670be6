//! What arguments mean: `TYPE`, `TYPE NAME…`, `TYPE/NAME…`, files, or a selection of objects.

use crate::calls::{At, Page, Selection, name_of, namespace_of};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest::{self, Document, Files};
use crate::resources::kind_name;
use api::ResourceDef;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::Value;

/// One object by name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) def: &'static ResourceDef,
    /// Empty for a kind without namespaces.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Target {
    pub(crate) fn at(&self) -> At<'_> {
        At::object(self.def, &self.namespace, &self.name)
    }

    /// Of an object of this kind as the server gave it.
    pub(crate) fn of(def: &'static ResourceDef, object: &Value) -> Target {
        Target { def, namespace: namespace_of(object).to_owned(), name: name_of(object).to_owned() }
    }
}

/// `deployment.apps/web`.
impl std::fmt::Display for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", kind_name(self.def), self.name)
    }
}

/// What positional arguments name.
pub(crate) enum Named {
    Objects(Vec<Target>),
    /// Kinds without names.
    Kinds(Vec<&'static ResourceDef>),
}

pub(crate) async fn parse(context: &Context, arguments: &[String]) -> Result<Named> {
    let slashed = arguments.iter().filter(|argument| argument.contains('/')).count();
    if slashed > 0 {
        if slashed < arguments.len() {
            return Err(Failure::message(MIXED));
        }
        let mut targets = Vec::new();
        for argument in arguments {
            let parts: Vec<&str> = argument.split('/').collect();
            let [kind, name] = parts.as_slice() else {
                return Err(Failure::message("arguments in resource/name form may not have more than one slash"));
            };
            if kind.is_empty() || name.is_empty() || context.resources.named_list(kind).await?.len() != 1 {
                return Err(Failure::message("arguments in resource/name form must have a single resource and name"));
            }
            targets.push(target(context, context.resources.named(kind).await?, name));
        }
        return Ok(Named::Objects(targets));
    }
    let Some((kinds, names)) = arguments.split_first() else {
        return Ok(Named::Kinds(Vec::new()));
    };
    let kinds = context.resources.named_list(kinds).await?;
    if names.is_empty() {
        return Ok(Named::Kinds(kinds));
    }
    let targets = kinds.iter().flat_map(|def| names.iter().map(|name| target(context, def, name)));
    Ok(Named::Objects(targets.collect()))
}

const MIXED: &str = "there is no need to specify a resource type as a separate argument when passing arguments in \
    resource/name form (e.g. 'kubectl get resource/<resource_name>' instead of 'kubectl get resource \
    resource/<resource_name>'";

fn target(context: &Context, def: &'static ResourceDef, name: &str) -> Target {
    let namespace = if def.namespaced() { context.namespace.clone() } else { String::new() };
    Target { def, namespace, name: name.to_owned() }
}

/// A manifest's object with its kind's row; the namespace is set in it where it names none.
pub(crate) struct Wanted {
    pub(crate) target: Target,
    pub(crate) document: Document,
}

/// The objects of manifests; one that cannot be placed does not hold the others up.
pub(crate) async fn of_files(context: &Context, files: &Files) -> Result<(Vec<Wanted>, Vec<Failure>)> {
    let (mut wanted, mut failures) = (Vec::new(), Vec::new());
    for document in manifest::read(files).await? {
        match place(context, document).await {
            Ok(one) => wanted.push(one),
            Err(failure @ Failure::Message(_)) => failures.push(failure),
            Err(failure) => return Err(failure),
        }
    }
    Ok((wanted, failures))
}

/// The names of manifests' objects, for commands that do not use what else they say.
pub(crate) async fn names_in_files(context: &Context, files: &Files) -> Result<Vec<Target>> {
    let (wanted, failures) = of_files(context, files).await?;
    Failure::of_all(failures)?;
    Ok(wanted.into_iter().map(|wanted| wanted.target).collect())
}

/// Finds the object's kind, and checks its namespace against the one that the command line insists on.
async fn place(context: &Context, mut document: Document) -> Result<Wanted> {
    let object = &mut document.object;
    let (version, kind) = (text(object, "apiVersion"), text(object, "kind"));
    let Some(def) = context.resources.of_kind(&version, &kind).await? else {
        return Err(Failure::message(format!(
            "resource mapping not found for name: {:?} namespace: {:?} from {:?}: no matches for kind {kind:?} in \
             version {version:?}\nensure CRDs are installed first",
            name_of(object),
            namespace_of(object),
            document.source,
        )));
    };
    if def.namespaced() {
        settle_namespace(context, object)?;
    } else if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("namespace");
    }
    Ok(Wanted { target: Target::of(def, object), document })
}

fn text(object: &Value, key: &str) -> String {
    object[key].as_str().unwrap_or_default().to_owned()
}

fn settle_namespace(context: &Context, object: &mut Value) -> Result<()> {
    let own = namespace_of(object).to_owned();
    if own.is_empty() {
        object["metadata"]["namespace"] = context.namespace.clone().into();
    } else if context.namespace_is_named && own != context.namespace {
        return Err(Failure::message(format!(
            "the namespace from the provided object {own:?} does not match the namespace {:?}. You must pass \
             '--namespace={own}' to perform this operation.",
            context.namespace
        )));
    }
    Ok(())
}

/// How a command's arguments choose objects that exist.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Choice {
    /// TYPE NAME…, TYPE/NAME…, or TYPE with --all or --selector
    pub(crate) arguments: Vec<String>,
    #[command(flatten)]
    pub(crate) files: Files,
    /// A label query
    #[arg(short = 'l', long, default_value = "")]
    pub(crate) selector: String,
    /// A field query
    #[arg(long, default_value = "")]
    pub(crate) field_selector: String,
    /// Every object of the kind
    #[arg(long)]
    pub(crate) all: bool,
    /// In every namespace
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,
    #[arg(skip)]
    pub(crate) page: Page,
}

pub(crate) const NOTHING_NAMED: &str = "You must provide one or more resources by argument or filename.\n\
    Example resource specifications include:\n   '-f rsrc.yaml'\n   '--filename=rsrc.json'\n   '<resource> <name>'\n   '<resource>'";

impl Choice {
    pub(crate) fn selects(&self) -> bool {
        self.all || !self.selector.is_empty() || !self.field_selector.is_empty()
    }

    /// The objects' names: as given, from files, or listed where a selection says which.
    pub(crate) async fn targets(&self, context: &Context) -> Result<Vec<Target>> {
        if !self.files.is_empty() {
            if !self.arguments.is_empty() {
                return Err(Failure::message(
                    "when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well",
                ));
            }
            return names_in_files(context, &self.files).await;
        }
        match parse(context, &self.arguments).await? {
            Named::Objects(_) if self.selects() => {
                Err(Failure::message("name cannot be provided when a selector is specified"))
            }
            Named::Objects(_) if self.all_namespaces => {
                Err(Failure::message("a resource cannot be retrieved by name across all namespaces"))
            }
            Named::Objects(targets) => Ok(targets),
            Named::Kinds(kinds) if kinds.is_empty() => Err(Failure::message(NOTHING_NAMED)),
            Named::Kinds(_) if !self.selects() => {
                Err(Failure::message("resource(s) were provided, but no name was specified"))
            }
            Named::Kinds(kinds) => self.listed(context, &kinds).await,
        }
    }

    /// The objects themselves; with `local` as manifests have them.
    pub(crate) async fn objects(&self, context: &Context, local: bool) -> Result<Vec<(Target, Value)>> {
        if local {
            let (wanted, failures) = of_files(context, &self.files).await?;
            Failure::of_all(failures)?;
            return Ok(wanted.into_iter().map(|wanted| (wanted.target, wanted.document.object)).collect());
        }
        let mut objects = Vec::new();
        for target in self.targets(context).await? {
            let object = context.get(target.at()).await?;
            objects.push((target, object));
        }
        Ok(objects)
    }

    /// Returns when one object of a selection is there; at once where nothing is selected.
    pub(crate) async fn appear(&self, context: &Context) -> Result<()> {
        let Named::Kinds(kinds) = parse(context, &self.arguments).await? else { return Ok(()) };
        let selection = self.selection();
        let is_there = async |def: &'static ResourceDef| {
            let mut look = |object: Option<&Value>| Ok(object.map(|_| ()));
            crate::follow::until_any(context, self.collection(context, def), &selection, &mut look).await
        };
        let mut waits: FuturesUnordered<_> = kinds.iter().map(|def| is_there(def)).collect();
        waits.next().await.unwrap_or(Ok(()))
    }

    fn selection(&self) -> Selection {
        Selection { labels: self.selector.clone(), fields: self.field_selector.clone(), page: self.page }
    }

    fn collection<'a>(&self, context: &'a Context, def: &'static ResourceDef) -> At<'a> {
        let namespace = if self.all_namespaces || !def.namespaced() { "" } else { &context.namespace };
        At::collection(def, namespace)
    }

    async fn listed(&self, context: &Context, kinds: &[&'static ResourceDef]) -> Result<Vec<Target>> {
        let selection = self.selection();
        let mut targets = Vec::new();
        for def in kinds {
            let listed = context.list(self.collection(context, def), &selection).await?;
            targets.extend(listed.items.iter().map(|object| Target::of(def, object)));
        }
        Ok(targets)
    }
}

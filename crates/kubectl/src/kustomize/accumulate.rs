//! One kustomization after the other: its resources, what it generates, its components, and then what it changes.

use super::config::Config;
use super::file::{File, Var};
use super::helm::Helm;
use super::loader::Root;
use super::origin::{self, Origin};
use super::resource::{Resource, Set, append};
use super::transform::{self, End, NamespaceOptions};
use super::{generate, patches, plugins, replacements, specs, vars};
use crate::failure::{Failure, Result};
use crate::manifest;
use serde_json::Value;

/// Objects on their way, with what is known of their fields.
#[derive(Default)]
pub(super) struct Accumulated {
    pub(super) set: Set,
    pub(super) config: Config,
    pub(super) vars: Vec<Var>,
}

impl Accumulated {
    fn merge(&mut self, other: Accumulated) -> Result<()> {
        append(&mut self.set, other.set)?;
        self.config.add(other.config);
        for var in other.vars {
            if self.vars.iter().any(|known| known.name == var.name) {
                return Err(Failure::message(format!("var '{}' already encountered", var.name)));
            }
            self.vars.push(var);
        }
        Ok(())
    }
}

/// What is the same for all kustomizations of a build.
pub(super) struct Builder {
    pub(super) helm: Helm,
    pub(super) warnings: Vec<String>,
    /// Whether objects tell where they are from or what changed them.
    pub(super) notes: bool,
}

/// The objects of a folder's kustomization, before hashes are added and references fixed.
pub(super) fn target(root: &Root, builder: &mut Builder) -> Result<(Accumulated, File)> {
    let file = File::read(root, &mut builder.warnings)?;
    builder.notes = file.tells_origins() || file.tells_changes();
    let all = builder.accumulate(root, &file, Accumulated::default(), &Origin::default())?;
    Ok((all, file))
}

fn within(doing: &str, failure: &Failure) -> Failure {
    Failure::message(format!("{doing}: {failure}"))
}

impl Builder {
    /// A component works on the objects of who names it: `all`; others begin with none.
    fn accumulate(&mut self, root: &Root, file: &File, mut all: Accumulated, here: &Origin) -> Result<Accumulated> {
        self.resources(root, &file.resources, &mut all, here)
            .map_err(|failure| within("accumulating resources", &failure))?;
        all.config.add(Config::read(root, file)?);
        self.generate(root, file, &mut all.set, here)?;
        for name in &file.components {
            all =
                self.component(root, name, all, here).map_err(|failure| within("accumulating components", &failure))?;
        }
        self.transform(root, file, &mut all, here)?;
        self.own_transformers(root, file, &mut all.set, here)?;
        for plugin in self.plugins(root, file, &file.validators, here)? {
            plugins::validate(root, &plugin, &all.set)?;
        }
        vars::define(&mut all.set, &mut all.vars, &file.vars)?;
        Ok(all)
    }

    fn resources(&mut self, root: &Root, names: &[String], all: &mut Accumulated, here: &Origin) -> Result<()> {
        names.iter().try_for_each(|name| self.resource(root, name, all, here))
    }

    fn generate(&mut self, root: &Root, file: &File, set: &mut Set, here: &Origin) -> Result<()> {
        for (kind, generators) in [("ConfigMap", &file.config_map_generator), ("Secret", &file.secret_generator)] {
            for generator in generators {
                let mut made = generate::generated(root, kind, generator, file.generator_options.as_ref())?;
                made.origin = Some(here.builtin(&file.name, &format!("{kind}Generator")));
                generate::absorb(set, made)?;
            }
        }
        for chart in &file.helm_charts {
            for mut made in self.helm.inflate(root, chart, file.helm_globals.as_ref())? {
                made.origin = Some(here.builtin(&file.name, "HelmChartInflationGenerator"));
                generate::absorb(set, made)?;
            }
        }
        let loading = |failure: Failure| within("loading generator plugins", &failure);
        for plugin in self.plugins(root, file, &file.generators, here).map_err(loading)? {
            let origin = plugin.origin.as_ref().map(|origin| origin.plugin(&plugin));
            let made = plugins::generated(root, &self.helm, &plugin)
                .map_err(|failure| loading(within("failed to load generator", &failure)))?;
            for mut made in made {
                made.origin = origin.clone();
                generate::absorb(set, made)?;
            }
        }
        Ok(())
    }

    /// What a kustomization's own fields change, in upstream's order.
    fn transform(&self, root: &Root, file: &File, all: &mut Accumulated, here: &Origin) -> Result<()> {
        let Accumulated { set, config, .. } = all;
        let note = |set: &mut Set, kind: &str| {
            if self.notes {
                origin::changed(set, &here.builtin(&file.name, kind));
            }
        };
        if !file.patches_strategic_merge.is_empty() {
            patches::strategic(root, &file.patches_strategic_merge, set)?;
            note(set, "PatchStrategicMergeTransformer");
        }
        for patch in &file.patches {
            patches::apply(root, set, patch)?;
            note(set, "PatchTransformer");
        }
        if !file.namespace.is_empty() {
            let specs = with(specs::namespaces(), &config.namespace);
            transform::namespace(&file.namespace, &specs, NamespaceOptions::default(), set)?;
            note(set, "NamespaceTransformer");
        }
        for (end, kind, text, own) in [
            (End::Prefix, "PrefixTransformer", &file.name_prefix, &config.name_prefix),
            (End::Suffix, "SuffixTransformer", &file.name_suffix, &config.name_suffix),
        ] {
            if !text.is_empty() {
                transform::affix(end, text, &with(specs::names(), own), set)?;
                note(set, kind);
            }
        }
        for labels in &file.labels {
            transform::labels(labels, config, set)?;
            note(set, "LabelTransformer");
        }
        // Where there are labels, upstream counts those of all places too, though there be none.
        if !file.labels.is_empty() || !file.common_labels.is_empty() {
            transform::common_labels(file, config, set)?;
            note(set, "LabelTransformer");
        }
        if !file.common_annotations.is_empty() {
            transform::annotations(file, config, set)?;
            note(set, "AnnotationsTransformer");
        }
        for patch in &file.patches_json6902 {
            patches::apply(root, set, patch)?;
            note(set, "PatchJson6902Transformer");
        }
        for replicas in &file.replicas {
            transform::scale(replicas, &with(specs::replicas(), &config.replicas), set)?;
            note(set, "ReplicaCountTransformer");
        }
        for image in &file.images {
            transform::image(image, &with(specs::images(), &config.images), set)?;
            note(set, "ImageTagTransformer");
        }
        if !file.replacements.is_empty() {
            replacements::apply(root, &file.replacements, set)?;
            note(set, "ReplacementTransformer");
        }
        Ok(())
    }

    fn own_transformers(&mut self, root: &Root, file: &File, set: &mut Set, here: &Origin) -> Result<()> {
        for plugin in self.plugins(root, file, &file.transformers, here)? {
            plugins::transform(root, &plugin, set)?;
            set.retain(|resource| !resource.object.is_null());
            if let Some(origin) = plugin.origin.as_ref().filter(|_| self.notes) {
                origin::changed(set, &origin.plugin(&plugin));
            }
        }
        Ok(())
    }

    /// Those that stand in the kustomization file itself, then those of files and folders.
    fn plugins(&mut self, root: &Root, file: &File, names: &[String], here: &Origin) -> Result<Set> {
        let (mut all, mut elsewhere) = (Accumulated::default(), Vec::new());
        for name in names {
            let inline = manifest::parse_strict(name, "plugin").ok().filter(|all| all.iter().all(Value::is_object));
            match inline.and_then(|documents| objects(documents).ok()).filter(|objects| !objects.is_empty()) {
                Some(mut objects) => {
                    objects.iter_mut().for_each(|one| one.origin = Some(here.below(&file.name)));
                    append(&mut all.set, objects)?;
                }
                None => elsewhere.push(name.clone()),
            }
        }
        self.resources(root, &elsewhere, &mut all, here)?;
        Ok(all.set)
    }

    /// A file with objects, or the folder of another kustomization.
    fn resource(&mut self, root: &Root, name: &str, all: &mut Accumulated, here: &Origin) -> Result<()> {
        let Err(failure) = file(root, name, &mut all.set, here)? else { return Ok(()) };
        // What is no file with objects may be a folder.
        let wrap = |further: Failure| within(&format!("accumulation err='{failure}'"), &further);
        let below = root.folder(name).map_err(wrap)?;
        self.folder(&below, all, &here.below(name)).map_err(wrap)
    }

    fn folder(&mut self, root: &Root, all: &mut Accumulated, here: &Origin) -> Result<()> {
        let file = self.load(root, false)?;
        let place = root.path.display();
        let below = self.accumulate(root, &file, Accumulated::default(), here);
        let below = below.map_err(|failure| within(&format!("recursed accumulation of path '{place}'"), &failure))?;
        all.merge(below).map_err(|failure| within(&format!("recursed merging from path '{place}'"), &failure))
    }

    fn component(&mut self, root: &Root, name: &str, all: Accumulated, here: &Origin) -> Result<Accumulated> {
        let below = root.folder(name)?;
        let file = self.load(&below, true)?;
        let place = below.path.display();
        let all = self.accumulate(&below, &file, all, &here.below(name));
        all.map_err(|failure| within(&format!("recursed accumulation of path '{place}'"), &failure))
    }

    fn load(&mut self, root: &Root, component: bool) -> Result<File> {
        let place = root.path.display();
        let file = File::read(root, &mut self.warnings)
            .map_err(|failure| within(&format!("couldn't make target for path '{place}'"), &failure))?;
        match (component, file.is_component()) {
            (true, false) => {
                let kind = if file.kind.is_empty() { "Kustomization" } else { &file.kind };
                Err(Failure::message(format!("expected kind 'Component' for path '{place}' but got '{kind}'")))
            }
            (false, true) => Err(Failure::message(format!("expected kind != 'Component' for path '{place}'"))),
            _ => Ok(file),
        }
    }
}

fn with(mut specs: Vec<super::file::Spec>, own: &[super::file::Spec]) -> Vec<super::file::Spec> {
    specs.extend(own.iter().cloned());
    specs
}

/// Takes in a file's objects; fails at once only where the file is no YAML.
fn file(root: &Root, name: &str, set: &mut Set, here: &Origin) -> Result<Result<()>> {
    let from = |doing: &str, failure: Failure| within(&format!("{doing} resources from '{name}'"), &failure);
    let text = match root.read_text(name) {
        Ok(text) => text,
        Err(failure) => return Ok(Err(from("accumulating", failure))),
    };
    let documents = manifest::parse_strict(&text, name).map_err(|failure| from("accumulating", failure))?;
    Ok(match objects(documents) {
        Ok(mut objects) => {
            objects.iter_mut().for_each(|one| one.origin = Some(here.below(name)));
            append(set, objects).map_err(|failure| from("merging", failure))
        }
        Err(failure) => Err(from("accumulating", failure)),
    })
}

pub(super) fn objects(documents: Vec<Value>) -> Result<Set> {
    let mut set = Set::new();
    documents.into_iter().try_for_each(|document| flatten(document, &mut set))?;
    Ok(set)
}

/// Lists are taken apart.
fn flatten(mut document: Value, set: &mut Set) -> Result<()> {
    let kind = document["kind"].as_str().unwrap_or_default().to_owned();
    if kind.ends_with("List")
        && let Some(Value::Array(items)) = document.get_mut("items").map(Value::take)
    {
        return items.into_iter().try_for_each(|item| flatten(item, set));
    }
    if kind.is_empty() {
        return Err(Failure::message(format!("missing Resource metadata in object {document}")));
    }
    let resource = Resource::new(document);
    if resource.id().name.is_empty() {
        return Err(Failure::message(format!("missing metadata.name in object {}", resource.object)));
    }
    set.push(resource);
    Ok(())
}

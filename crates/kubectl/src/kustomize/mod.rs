//! Kustomizations: what `kubectl kustomize` prints and `-k` reads.
//!
//! Invariants: nothing outside a kustomization's own folder is read but what it names by URL, and no program is run but
//! git for repositories, and helm for charts where the user lets it; what is not built is refused by name, never left
//! out; names, hashes and order are upstream's to the byte.

mod accumulate;
mod config;
mod file;
mod generate;
mod hash;
mod helm;
mod loader;
mod merge;
mod order;
mod origin;
mod patches;
mod path;
mod plugins;
mod references;
mod remote;
mod replacements;
mod resource;
mod select;
mod specs;
mod transform;
mod vars;

pub(crate) use helm::Helm;

use crate::failure::Result;
use serde_json::Value;
use std::path::Path;

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The kustomize that upstream's client carries, as which this one builds.
const KUSTOMIZE: &str = "kustomize-v5.8.1";

/// The objects of a kustomization, and what was said about it.
pub(crate) struct Built {
    pub(crate) objects: Vec<Value>,
    pub(crate) warnings: Vec<String>,
}

/// Builds a folder's kustomization; `anywhere` lets it read files outside its folder.
pub(crate) fn build(folder: &Path, anywhere: bool, helm: Helm) -> Result<Built> {
    let root = loader::Root::open(folder, anywhere)?;
    let mut builder = accumulate::Builder { helm, warnings: Vec::new(), notes: false };
    let (all, file) = accumulate::target(&root, &mut builder)?;
    let accumulate::Accumulated { mut set, config, vars } = all;
    hash::rename(&mut set)?;
    references::fix(&mut set, &config)?;
    let unused = vars::resolve(&mut set, &vars, &config.var_reference)?;
    if !unused.is_empty() {
        builder.warnings.push(format!("well-defined vars that were never replaced: {}", unused.join(",")));
    }
    set.retain(|resource| !resource.is_local());
    if file.is_signed() {
        set.iter_mut().for_each(sign);
    }
    origin::tell(&mut set, file.tells_origins(), file.tells_changes());
    order::sort(&mut set, file.sort_options.as_ref())?;
    Ok(Built { objects: set.into_iter().map(|resource| resource.object).collect(), warnings: builder.warnings })
}

/// Says by what an object was made.
fn sign(resource: &mut resource::Resource) {
    resource::map_at(&mut resource.object, "metadata");
    resource::map_at(&mut resource.object["metadata"], "labels").insert(MANAGED_BY.to_owned(), KUSTOMIZE.into());
}

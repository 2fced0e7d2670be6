//! `explain`: what a kind's fields are, from the server's OpenAPI.

mod schema;
mod wrap;

use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::resources::kind_name;
use crate::server::Ask;
use api::ResourceDef;
use schema::Schemas;
use serde_json::Value;
use std::fmt::Write;
use wrap::wrapped;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// TYPE[.FIELD…]
    path: Vec<String>,
    /// GROUP/VERSION
    #[arg(long, default_value = "", hide_default_value = true)]
    api_version: String,
    /// plaintext
    #[arg(short = 'o', long, default_value = "plaintext")]
    output: String,
    /// All fields below too, without their descriptions
    #[arg(short = 'R', long)]
    recursive: bool,
    /// With --recursive: no deeper than so many levels; 0 is all
    #[arg(long, default_value_t = 0)]
    max_depth: usize,
}

/// Kinds that hold themselves end here.
const DEPTH_MAX: usize = 40;

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let path = match arguments.path.as_slice() {
        [path] => path,
        [] => {
            return Err(Failure::message(
                "You must specify the type of resource to explain. Use \"kubectl api-resources\" for a complete list of supported resources.\n",
            ));
        }
        _ => return Err(Failure::message("We accept only this format: explain RESOURCE\n")),
    };
    if arguments.output != "plaintext" {
        let text = format!("--output={} is not built into sampan's kubectl; use plaintext", arguments.output);
        return Err(Failure::message(text));
    }
    let (def, fields) = place(context, path, &arguments.api_version).await?;
    let schemas = Schemas::of(document(context, def).await?);
    let root = schemas.of_kind(def).ok_or_else(|| {
        Failure::message(format!("couldn't find resource for \"{}, Kind={}\"", def.api_version(), def.kind))
    })?;
    let mut out = String::new();
    let done = page(&schemas, root, def, &fields, arguments, &mut out);
    context.print(out)?;
    done.map_err(Failure::message)
}

/// The kind, and the fields behind it; a group may have dots too.
async fn place(context: &Context, path: &str, api_version: &str) -> Result<(&'static ResourceDef, Vec<String>)> {
    let parts: Vec<&str> = path.split('.').collect();
    let def = context.resources.named(parts[0]).await;
    let def = def.map_err(|failure| Failure::Verbatim(failure.to_string()))?;
    let rest =
        |taken: usize| parts[taken..].iter().filter(|part| !part.is_empty()).map(|part| (*part).to_owned()).collect();
    // `deployments.apps.spec`: as long a name as the server knows comes first.
    for taken in (2..=parts.len()).rev() {
        let named = parts[..taken].join(".");
        if !def.group.is_empty()
            && (named == format!("{}.{}", parts[0], def.group)
                || named == format!("{}.{}.{}", parts[0], def.version, def.group))
        {
            return Ok((def, rest(taken)));
        }
    }
    if api_version.is_empty() {
        return Ok((def, rest(1)));
    }
    let versioned = context.resources.of_kind(api_version, def.kind).await?;
    let versioned = versioned.ok_or_else(|| {
        Failure::message(format!("couldn't find resource for \"{api_version}, Kind={}\"", kind_name(def)))
    })?;
    Ok((versioned, rest(1)))
}

async fn document(context: &Context, def: &ResourceDef) -> Result<Value> {
    let index = context.ask(Ask::get("/openapi/v3".to_owned())).await?;
    let key = if def.group.is_empty() { format!("api/{}", def.version) } else { format!("apis/{}", def.api_version()) };
    match index["paths"][&key]["serverRelativeURL"].as_str() {
        Some(url) => context.ask(Ask::get(url.to_owned())).await,
        None => Err(Failure::message(format!("couldn't find the OpenAPI of {}", def.api_version()))),
    }
}

fn page(
    schemas: &Schemas,
    root: &Value,
    def: &ResourceDef,
    path: &[String],
    arguments: &Arguments,
    out: &mut String,
) -> Result<(), String> {
    let failed = |error: std::fmt::Error| error.to_string();
    if !def.group.is_empty() {
        writeln!(out, "GROUP:      {}", def.group).map_err(failed)?;
    }
    writeln!(out, "KIND:       {}\nVERSION:    {}\n", def.kind, def.version).map_err(failed)?;
    let mut field = root;
    for name in path {
        let holder = schemas.object(field);
        field = holder["properties"].get(name).ok_or_else(|| {
            // What could be told stands already, as upstream has it.
            format!("field {name:?} does not exist")
        })?;
    }
    if let Some(name) = path.last() {
        writeln!(out, "FIELD: {name} <{}>\n", schemas.type_name(field)).map_err(failed)?;
        enumerated(schemas, field, out).map_err(failed)?;
        out.push('\n');
    }
    out.push_str("DESCRIPTION:\n");
    let described = schemas.descriptions(field);
    let described = if described.is_empty() { vec!["<empty>"] } else { described };
    described.iter().for_each(|text| out.push_str(&wrapped(text, 4)));
    out.push_str("    \n");
    let holder = schemas.object(field);
    if holder.get("properties").is_none() {
        out.push('\n');
        return Ok(());
    }
    out.push_str("FIELDS:\n");
    fields(schemas, holder, arguments, 1, out).map_err(failed)?;
    out.push('\n');
    Ok(())
}

fn is_required(holder: &Value, name: &str) -> bool {
    holder["required"].as_array().into_iter().flatten().any(|one| one == name)
}

fn enumerated(schemas: &Schemas, field: &Value, out: &mut String) -> std::fmt::Result {
    let values = schemas.values(field);
    if values.is_empty() {
        return Ok(());
    }
    out.push_str("ENUM:\n");
    values.iter().try_for_each(|value| writeln!(out, "    {value}"))
}

fn fields(
    schemas: &Schemas,
    holder: &Value,
    arguments: &Arguments,
    depth: usize,
    out: &mut String,
) -> std::fmt::Result {
    let mut members: Vec<(&String, &Value)> = holder["properties"].as_object().into_iter().flatten().collect();
    members.sort_by_key(|(name, _)| *name);
    let indent = "  ".repeat(depth);
    for (name, field) in members {
        let mark = if is_required(holder, name) { " -required-" } else { "" };
        writeln!(out, "{indent}{name}\t<{}>{mark}", schemas.type_name(field))?;
        let values = schemas.values(field);
        if !values.is_empty() {
            writeln!(out, "{indent}enum: {}", values.join(", "))?;
        }
        if !arguments.recursive {
            let described = schemas.descriptions_of_own(field);
            let described = if described.is_empty() { "<no description>" } else { described };
            writeln!(out, "{}", wrapped(described, 4))?;
            continue;
        }
        let deeper = arguments.max_depth == 0 || depth < arguments.max_depth;
        let inner = schemas.object(field);
        if deeper && depth < DEPTH_MAX && inner.get("properties").is_some() && !std::ptr::eq(inner, holder) {
            fields(schemas, inner, arguments, depth + 1, out)?;
        }
    }
    Ok(())
}

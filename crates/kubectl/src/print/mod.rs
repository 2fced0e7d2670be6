//! Output formats: what `-o` may say, and how an object reads in each.

mod columns;
mod custom_columns;
mod go;
mod json;
mod kyaml;
mod table;
mod tabs;
mod tone;
mod yaml;
mod yaml_scalar;

use crate::calls::name_of;
use crate::failure::{Failure, Result};
use crate::gotemplate;
use crate::jsonpath::Template;
use serde_json::Value;

pub(crate) use columns::{fitted, width};
pub(crate) use custom_columns::Columns;
pub(crate) use go::{display, syntax, type_name};
pub(crate) use json::{compact, pretty};
pub(crate) use table::{Shown, Table, Widths, grid};
pub(crate) use tabs::tabbed;
pub(crate) use tone::{Tone, colors_are_wanted, is_dumb, painted, tone};
pub(crate) use yaml::yaml;

const ALLOWED: &str = "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,\
    jsonpath-file,kyaml,name,template,templatefile,wide,yaml";

#[derive(Clone, Debug)]
pub(crate) enum Format {
    /// For people: the server's table.
    Table {
        wide: bool,
    },
    Yaml,
    Kyaml,
    Json,
    Name,
    GoTemplate(gotemplate::Template),
    JsonPath(Template),
    JsonPathAsJson(Template),
    Columns(Columns),
}

fn unread(kind: &str, path: &str, error: &std::io::Error) -> Failure {
    let what = if kind == "custom-columns-file" { "template" } else { "--template" };
    Failure::message(format!("error reading {what} {path}, open {path}: {}", crate::failure::go_words(error)))
}

impl Format {
    /// A template's missing keys are errors.
    pub(crate) fn strict(self) -> Format {
        match self {
            Format::JsonPath(template) => Format::JsonPath(template.strict()),
            Format::JsonPathAsJson(template) => Format::JsonPathAsJson(template.strict()),
            Format::GoTemplate(template) => Format::GoTemplate(template.strict()),
            other => other,
        }
    }

    /// Whether managed fields are left out unless asked for: where people read the whole object.
    pub(crate) fn hides_managed_fields(&self) -> bool {
        matches!(self, Format::Yaml | Format::Kyaml | Format::Json)
    }

    /// `text` as behind `-o`; empty is the table.
    pub(crate) fn parse(text: &str, no_headers: bool) -> Result<Format> {
        let (kind, argument) = match text.split_once('=') {
            Some((kind, argument)) => (kind, Some(argument)),
            None => (text, None),
        };
        let file = |path: &str| std::fs::read_to_string(path).map_err(|error| unread(kind, path, &error));
        let needed = |what: &str| {
            argument.ok_or_else(|| Failure::message(format!("{what} format specified but no template given")))
        };
        Ok(match kind {
            "" => Format::Table { wide: false },
            "wide" => Format::Table { wide: true },
            "yaml" => Format::Yaml,
            "json" => Format::Json,
            "name" => Format::Name,
            "jsonpath" => Format::JsonPath(Template::parse(
                argument.ok_or_else(|| Failure::message("template format specified but no template given"))?,
            )?),
            "jsonpath-as-json" => Format::JsonPathAsJson(Template::parse(needed("template")?)?),
            "jsonpath-file" => Format::JsonPath(Template::parse(file(needed("template")?)?.trim_end_matches('\n'))?),
            "custom-columns" => Format::Columns(Columns::parse(
                argument
                    .filter(|spec| !spec.is_empty())
                    .ok_or_else(|| Failure::message("custom-columns format specified but no custom columns given"))?,
                no_headers,
            )?),
            "custom-columns-file" => {
                Format::Columns(Columns::parse_file(&file(needed("custom-columns")?)?, no_headers)?)
            }
            "kyaml" => Format::Kyaml,
            "go-template" | "template" => Format::GoTemplate(gotemplate::Template::parse(
                argument.ok_or_else(|| Failure::message("template format specified but no template given"))?,
            )?),
            "go-template-file" | "templatefile" => {
                Format::GoTemplate(gotemplate::Template::parse(&file(needed("template")?)?)?)
            }
            _ => {
                return Err(Failure::message(format!(
                    "unable to match a printer suitable for the output format {kind:?}, allowed formats are: {ALLOWED}"
                )));
            }
        })
    }

    pub(crate) fn is_table(&self) -> bool {
        matches!(self, Format::Table { .. })
    }

    /// One object, or a list of them, in any form but a table.
    pub(crate) fn object(&self, object: &Value) -> Result<String> {
        match self {
            Format::Yaml => Ok(yaml(object)),
            Format::Kyaml => Ok(kyaml::document(object)),
            Format::Json => Ok(pretty(object) + "\n"),
            Format::GoTemplate(template) => template.render(object),
            Format::Name => Ok(each(object).map(|one| resource_name(one) + "\n").collect()),
            Format::JsonPath(template) => template.render(object),
            Format::JsonPathAsJson(template) => template.render_json(object),
            Format::Columns(columns) => Ok(columns.render(&each(object).collect::<Vec<_>>())),
            Format::Table { .. } => Err(Failure::message("a table is made of the server's rows, not of objects")),
        }
    }
}

/// The items of a list, or the object itself.
fn each(object: &Value) -> impl Iterator<Item = &Value> {
    let items =
        object["kind"].as_str().filter(|kind| kind.ends_with("List")).and_then(|_| object.get("items")?.as_array());
    let (items, alone) = match items {
        Some(items) => (items.as_slice(), None),
        None => (&[][..], Some(object)),
    };
    items.iter().chain(alone)
}

/// `deployment.apps/web`.
pub(crate) fn resource_name(object: &Value) -> String {
    let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
    match object["apiVersion"].as_str().and_then(|version| version.split_once('/')) {
        Some((group, _)) => format!("{kind}.{group}/{}", name_of(object)),
        None => format!("{kind}/{}", name_of(object)),
    }
}

/// Who wrote which field is noise to most readers.
pub(crate) fn without_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_format_prints_an_object_and_a_list() {
        let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": "a", "labels": {"x": "<1>"}}});
        let web = json!({"kind": "Deployment", "apiVersion": "apps/v1", "metadata": {"name": "w"}});
        let list = crate::calls::list_of(vec![pod.clone(), web]);
        for (format, object, text) in [
            ("name", &list, "pod/a\ndeployment.apps/w\n"),
            ("name", &pod, "pod/a\n"),
            ("jsonpath={.items[*].metadata.name}", &list, "a w"),
            ("custom-columns=N:.metadata.name,L:.metadata.labels", &list, "N     L\na     map[x:<1>]\nw     <none>\n"),
            ("yaml", &pod, "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    x: <1>\n  name: a\n"),
            (
                "json",
                &pod,
                "{\n    \"apiVersion\": \"v1\",\n    \"kind\": \"Pod\",\n    \"metadata\": {\n        \"labels\": {\n            \
                 \"x\": \"\\u003c1\\u003e\"\n        },\n        \"name\": \"a\"\n    }\n}\n",
            ),
        ] {
            assert_eq!(Format::parse(format, false).unwrap().object(object).unwrap(), text, "{format}");
        }
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let error = |text: &str| Format::parse(text, false).unwrap_err().report();
        assert!(error("foo").starts_with("error: unable to match a printer suitable for the output format \"foo\""));
        assert_eq!(error("jsonpath"), "error: template format specified but no template given");
    }
}

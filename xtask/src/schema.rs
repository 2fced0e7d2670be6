//! `cargo xtask schema`: writes the product's own table of API facts from the full one in `../shared/data`.
//!
//! Invariants: the output depends on the input alone and is sorted, so that a newer API shows as a readable diff; the
//! table's grammar is described where it is read, in `crates/api/src/schema/facts.rs`.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

pub(crate) const SOURCE: &str = "../shared/data/api-schema.json";
pub(crate) const FACTS: &str = "crates/api/src/schema/facts.txt";

/// Optional fields whose zero differs from their absence (pointers in Go), which neither `.proto` nor OpenAPI tells:
/// `<alias>.<Message> <field>…` a line.
const MEANINGFUL_ZEROS: &str = include_str!("meaningful_zeros.txt");

/// Kinds that are served though upstream's OpenAPI documents lack them: group, version, kinds, package.
const BESIDE_DOCUMENTS: &[(&str, &str, &[&str], &str)] = &[(
    "metrics.k8s.io",
    "v1beta1",
    &["NodeMetrics", "NodeMetricsList", "PodMetrics", "PodMetricsList"],
    "k8s.io.metrics.pkg.apis.metrics.v1beta1",
)];

/// Fields of one object must fit the decoder's 128-bit set of fields already seen.
const FIELDS_MAX: usize = 128;

/// Writes the table below `root`, the workspace's folder.
pub(crate) fn run(root: &Path) -> Result<()> {
    let source = root.join(SOURCE);
    let text = std::fs::read_to_string(&source).with_context(|| format!("read {}", source.display()))?;
    let facts = compact(&text)?;
    let target = root.join(FACTS);
    std::fs::write(&target, facts).with_context(|| format!("write {}", target.display()))
}

/// The compact table of the full one's JSON.
pub(crate) fn compact(source: &str) -> Result<String> {
    let mut messages: BTreeMap<String, Value> = serde_json::from_str(source).context("parse the full table")?;
    serve_beside_documents(&mut messages)?;
    compact_of(messages)
}

fn serve_beside_documents(messages: &mut BTreeMap<String, Value>) -> Result<()> {
    for (group, version, kinds, package) in BESIDE_DOCUMENTS {
        for kind in *kinds {
            let message = messages.get_mut(&format!("{package}.{kind}")).with_context(|| format!("no {kind}"))?;
            message["gvk"] = serde_json::json!([{"group": group, "version": version, "kind": kind}]);
            for field in ["apiVersion", "kind"] {
                message["fields"][field] = serde_json::json!({"json": "string"});
            }
        }
    }
    Ok(())
}

fn compact_of(messages: BTreeMap<String, Value>) -> Result<String> {
    let messages = Messages { all: messages, zeros: zeros()? };
    let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for name in messages.all.keys() {
        let (package, short) = name.rsplit_once('.').with_context(|| format!("{name} has no package"))?;
        packages.entry(package).or_default().push(short);
    }
    let aliases = aliases(packages.keys().copied())?;
    let mut out = String::new();
    for (package, names) in &packages {
        write!(out, "P {package} {}", aliases[package])?;
        if let Some(version) = messages.group_version(package, names) {
            write!(out, " {version}")?;
        }
        out.push('\n');
        for name in names {
            messages.write(package, name, &aliases, &mut out)?;
        }
    }
    Ok(out)
}

/// Short names of packages: their last two segments.
fn aliases<'a>(packages: impl Iterator<Item = &'a str>) -> Result<BTreeMap<&'a str, String>> {
    let mut seen = BTreeSet::new();
    packages
        .map(|package| {
            let mut tail: Vec<&str> = package.rsplit('.').take(2).collect();
            tail.reverse();
            let alias = tail.join(".");
            ensure!(seen.insert(alias.clone()), "two packages end in {alias}");
            Ok((package, alias))
        })
        .collect()
}

struct Messages {
    all: BTreeMap<String, Value>,
    /// `core.v1.PodSpec.priority`.
    zeros: BTreeSet<String>,
}

fn zeros() -> Result<BTreeSet<String>> {
    let mut zeros = BTreeSet::new();
    for line in MEANINGFUL_ZEROS.lines() {
        let (message, fields) = line.split_once(' ').with_context(|| format!("no field in {line:?}"))?;
        zeros.extend(fields.split(' ').map(|field| format!("{message}.{field}")));
    }
    Ok(zeros)
}

type Fields = Map<String, Value>;

impl Messages {
    fn fields(&self, message: &str) -> Result<&Fields> {
        self.all.get(message).and_then(|m| m["fields"].as_object()).with_context(|| format!("{message} has no fields"))
    }

    /// `apps/v1`, or `/v1` for core, for packages whose messages are kinds of one group version.
    fn group_version(&self, package: &str, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| match self.all[&format!("{package}.{name}")]["gvk"].as_array()?.as_slice() {
            [one] => Some(format!("{}/{}", one["group"].as_str()?, one["version"].as_str()?)),
            _ => None,
        })
    }

    fn write(&self, package: &str, name: &str, aliases: &BTreeMap<&str, String>, out: &mut String) -> Result<()> {
        let full = format!("{package}.{name}");
        let message = &self.all[&full];
        write!(out, "M {name}")?;
        if message.get("openapi").is_some() {
            out.push_str(" openapi");
        }
        if message["gvk"].as_array().is_some_and(|gvk| gvk.len() == 1) {
            out.push_str(" kind");
        }
        if message["mapType"] == "atomic" {
            out.push_str(" atomic");
        }
        out.push('\n');
        let fields = unify(&full, self.fields(&full)?, message.get("openapi").is_some())?;
        ensure!(fields.len() <= FIELDS_MAX, "{full} has more than {FIELDS_MAX} fields");
        for (field, facts) in &fields {
            let kind = self.field_type(&full, field, facts, aliases).with_context(|| format!("{full}.{field}"))?;
            let number = facts["number"].as_u64().map_or_else(|| "-".to_owned(), |n| n.to_string());
            let zero = if self.zeros.contains(&format!("{}.{name}.{field}", aliases[package])) { " zero" } else { "" };
            writeln!(out, "{field} {number} {kind}{}{zero}", attributes(facts)?)?;
        }
        Ok(())
    }

    /// `s`, `[]Container`, `{}api.resource.Quantity`: see the reader for the letters.
    fn field_type(
        &self,
        message: &str,
        field: &str,
        facts: &Value,
        aliases: &BTreeMap<&str, String>,
    ) -> Result<String> {
        if let Some(inline) = facts["via"].as_str() {
            let parent = self.fields(message)?;
            let through =
                parent.get(inline).and_then(|f| f["type"].as_str()).context("its inline field has no type")?;
            let through = self.resolve(message, through)?;
            let inner = self.fields(&through)?.get(field).context("not in its inline field's message")?;
            return Ok(requalify(self.field_type(&through, field, inner, aliases)?, message, &through, aliases));
        }
        let Some(kind) = facts["type"].as_str() else {
            return self.json_type(message, facts, aliases);
        };
        let (prefix, kind) = match kind.strip_prefix("map<string, ").and_then(|k| k.strip_suffix('>')) {
            Some(value) => ("{}", value),
            None if facts["repeated"] == true => ("[]", kind),
            None => ("", kind),
        };
        Ok(format!("{prefix}{}", self.type_name(message, kind, aliases)?))
    }

    /// The type of a field that has no protobuf one yet.
    fn json_type(&self, message: &str, facts: &Value, aliases: &BTreeMap<&str, String>) -> Result<String> {
        let element = match facts["ref"].as_str() {
            Some(reference) => {
                let proto = reference.strip_prefix("io.k8s.").context("a reference outside Kubernetes")?;
                self.type_name(message, &format!("k8s.io.{proto}"), aliases)?
            }
            None => "s".to_owned(),
        };
        Ok(match (facts["json"].as_str(), facts["ref"].is_string()) {
            (Some("array"), _) => format!("[]{element}"),
            (Some("object"), _) => format!("{{}}{element}"),
            (None, true) => element,
            (Some("string"), false) => "s".to_owned(),
            (Some("boolean"), false) => "b".to_owned(),
            (Some("integer"), false) if facts["format"] == "int64" => "l".to_owned(),
            (Some("integer"), false) => "i".to_owned(),
            other => bail!("unknown JSON type {other:?}"),
        })
    }

    fn type_name(&self, message: &str, kind: &str, aliases: &BTreeMap<&str, String>) -> Result<String> {
        Ok(match kind {
            "string" => "s".to_owned(),
            "int32" => "i".to_owned(),
            "int64" => "l".to_owned(),
            "bool" => "b".to_owned(),
            "bytes" => "y".to_owned(),
            "double" => "d".to_owned(),
            other => {
                let full = self.resolve(message, other)?;
                let (package, name) = full.rsplit_once('.').context("a message without a package")?;
                if message.rsplit_once('.').is_some_and(|(own, _)| own == package) {
                    name.to_owned()
                } else {
                    format!("{}.{name}", aliases[package])
                }
            }
        })
    }

    /// The full name of a type as a field of `message` spells it.
    fn resolve(&self, message: &str, kind: &str) -> Result<String> {
        let kind = kind.trim_start_matches('.');
        let package = message.rsplit_once('.').map_or("", |(package, _)| package);
        [kind.to_owned(), format!("{package}.{kind}"), format!("k8s.io.{kind}")]
            .into_iter()
            .find(|name| self.all.contains_key(name))
            .with_context(|| format!("{kind} is no message"))
    }
}

/// A type name taken over from another package's field must name that package.
fn requalify(kind: String, message: &str, through: &str, aliases: &BTreeMap<&str, String>) -> String {
    let (own, theirs) = (package_of(message), package_of(through));
    let name = kind.trim_start_matches("[]").trim_start_matches("{}");
    if own == theirs || name.contains('.') || name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return kind;
    }
    let prefix = &kind[..kind.len() - name.len()];
    format!("{prefix}{}.{name}", aliases[theirs])
}

fn package_of(message: &str) -> &str {
    message.rsplit_once('.').map_or("", |(package, _)| package)
}

/// Fields as JSON has them, for messages that only `.proto` tells of: those of versions no longer in the OpenAPI
/// documents. Their spellings and inline fields are those of the newer versions.
fn as_json(fields: &mut BTreeMap<String, Value>) {
    let respelt: Vec<String> = fields.keys().filter(|name| name.starts_with(char::is_uppercase)).cloned().collect();
    for name in respelt.iter().map(String::as_str).chain(["aPIGroup"]) {
        let spelling = match name {
            // The content of a FieldsV1.
            "Raw" => continue,
            "aPIGroup" => "apiGroup".to_owned(),
            _ => name[..1].to_ascii_lowercase() + &name[1..],
        };
        if let Some(facts) = fields.remove(name) {
            fields.insert(spelling, facts);
        }
    }
    if let Some(rule) = fields.get_mut("ingressRuleValue") {
        rule["inline"] = true.into();
        fields.insert("http".to_owned(), serde_json::json!({"via": "ingressRuleValue"}));
    }
}

/// One entry per field where the source has two: JSONSchemaProps' `$ref` (JSON) and `ref` (protobuf).
fn unify(message: &str, fields: &Fields, in_openapi: bool) -> Result<BTreeMap<String, Value>> {
    let mut unified: BTreeMap<String, Value> = fields.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    if !in_openapi {
        as_json(&mut unified);
    }
    if !message.ends_with(".JSONSchemaProps") {
        return Ok(unified);
    }
    let protobuf: Vec<String> = fields
        .keys()
        .filter(|k| k.starts_with("xKubernetes") || matches!(k.as_str(), "ref" | "schema"))
        .cloned()
        .collect();
    for proto_name in protobuf {
        let mut facts = unified.remove(&proto_name).context("just listed")?;
        let json_name = match proto_name.strip_prefix("x") {
            Some(rest) => kebab(&format!("x{rest}")),
            None => format!("${proto_name}"),
        };
        if let (Some(json), Some(all)) = (fields.get(&json_name).and_then(Value::as_object), facts.as_object_mut()) {
            all.extend(json.clone());
        }
        unified.insert(json_name, facts);
    }
    Ok(unified)
}

/// `xKubernetesListType` as `x-kubernetes-list-type`.
fn kebab(camel: &str) -> String {
    let mut out = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn attributes(facts: &Value) -> Result<String> {
    let mut out = String::new();
    if facts["required"] == true {
        out.push_str(" !");
    }
    if let Some(list) = facts["listType"].as_str() {
        write!(out, " list={list}")?;
        if let Some(keys) = facts["listMapKeys"].as_array() {
            let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
            write!(out, ":{}", keys.join(","))?;
        }
    }
    if let Some(map_type) = facts["mapType"].as_str() {
        write!(out, " {map_type}")?;
    }
    if let Some(strategy) = facts["patchStrategy"].as_str() {
        write!(out, " patch={strategy}")?;
        if let Some(key) = facts["patchMergeKey"].as_str() {
            write!(out, ":{key}")?;
        }
    }
    if facts["inline"] == true {
        out.push_str(" inline");
    }
    if facts["via"].is_string() {
        out.push_str(" via");
    }
    match &facts["default"] {
        Value::Null => {}
        default => {
            let text = default.to_string();
            ensure!(!text.contains(' '), "a default with a space would break the line");
            write!(out, " default={text}")?;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_table_is_what_the_source_gives() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
        let Ok(source) = std::fs::read_to_string(root.join(SOURCE)) else {
            eprintln!("skipped: {SOURCE} is absent");
            return;
        };
        let committed = std::fs::read_to_string(root.join(FACTS)).expect("the table is committed");
        assert!(compact(&source).expect("a table") == committed, "{FACTS} is stale: run `cargo xtask schema`");
    }

    #[test]
    fn both_spellings_of_a_field_become_one() {
        let source = r#"{"a.v1.JSONSchemaProps": {"fields": {"$ref": {"json": "string"}, "ref": {"number": 3, "type": "string"},
            "x-kubernetes-list-type": {"json": "string", "required": true}, "xKubernetesListType": {"number": 42, "type": "string"}}}}"#;
        let expected = "P a.v1 a.v1\nM JSONSchemaProps\n$ref 3 s\nx-kubernetes-list-type 42 s !\n";
        let messages = serde_json::from_str(source).expect("messages");
        assert_eq!(compact_of(messages).expect("a table"), expected);
    }
}

//! The API's descriptions, which `explain` shows: taken from the sources of the `k8s-openapi` crate.
//!
//! Invariants: the output depends on the crate's version alone. It is compressed once here, because the product reads it
//! seldom and carries it always.

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const DOCS: &str = "crates/api/src/openapi/docs.deflate";
/// The folder of the API version that the workspace builds with.
const VERSION: &str = "v1_37";

/// Descriptions by definition name, each with those of its fields; all still escaped as JSON strings are.
type Descriptions = BTreeMap<String, (String, BTreeMap<String, String>)>;

pub(crate) fn run(root: &Path) -> Result<()> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text(&sources(root)?)?.as_bytes()).context("compress")?;
    let target = root.join(DOCS);
    std::fs::write(&target, encoder.finish().context("compress")?)
        .with_context(|| format!("write {}", target.display()))
}

/// All descriptions of the crate with these sources.
fn text(sources: &Path) -> Result<String> {
    let mut found = Descriptions::new();
    collect(&sources.join(VERSION), &mut found)?;
    ensure!(found.len() > 600, "only {} definitions with descriptions: has the crate's layout changed?", found.len());
    Ok(render(&found))
}

/// `M <definition>\t<description>`, then a line `<field>\t<description>` for each field.
fn render(found: &Descriptions) -> String {
    let mut out = String::new();
    for (name, (description, fields)) in found {
        out.push_str(&format!("M {name}\t{description}\n"));
        for (field, description) in fields {
            out.push_str(&format!("{field}\t{description}\n"));
        }
    }
    out
}

/// The `src` folder of the crate that the workspace's lock file names.
fn sources(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // What other platforms need is not on this machine.
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--offline", "--filter-platform", &platform])
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).context("parse cargo's metadata")?;
    let manifest = metadata["packages"]
        .as_array()
        .and_then(|all| all.iter().find(|package| package["name"] == "k8s-openapi"))
        .and_then(|package| package["manifest_path"].as_str())
        .context("the workspace does not depend on k8s-openapi")?;
    Ok(Path::new(manifest).with_file_name("src"))
}

fn collect(folder: &Path, found: &mut Descriptions) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            read(&text, found).with_context(|| format!("in {}", path.display()))?;
        }
    }
    Ok(())
}

/// Reads the generated `JsonSchema` implementations, whose layout is fixed: one member a line, indented by depth.
fn read(source: &str, found: &mut Descriptions) -> Result<()> {
    const DESCRIPTION: &str = "\"description\": \"";
    const INSERTED: &str = "schema_obj.ensure_object().insert(\"description\".into(), \"";
    let (mut definition, mut field) = (String::new(), String::new());
    for line in source.lines() {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let description = text.strip_prefix(DESCRIPTION).and_then(|rest| rest.strip_suffix("\","));
        let inserted = text.strip_prefix(INSERTED).and_then(|rest| rest.strip_suffix("\".into());"));
        if let Some(name) = text.strip_prefix("\"io.k8s.").and_then(|rest| rest.strip_suffix("\".into()")) {
            definition = format!("io.k8s.{name}");
        } else if indent == 12 && !definition.is_empty() {
            if let Some(description) = description {
                found.entry(definition.clone()).or_default().0 = checked(description)?;
            }
        } else if indent == 16 && text.starts_with('"') && text.ends_with('{') {
            field = text[1..].split('"').next().unwrap_or_default().to_owned();
        } else if indent == 20
            && !field.is_empty()
            && let Some(description) = description.or(inserted)
        {
            let fields = &mut found.entry(definition.clone()).or_default().1;
            fields.entry(std::mem::take(&mut field)).or_insert(checked(description)?);
        }
    }
    Ok(())
}

/// Rust's and JSON's escapes agree on all that occur; a new one must be looked at.
fn checked(literal: &str) -> Result<String> {
    let parsed: Result<String, _> = serde_json::from_str(&format!("\"{literal}\""));
    parsed.with_context(|| format!("not a JSON string: {literal}"))?;
    Ok(literal.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_descriptions_are_what_the_crate_gives() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
        let committed = std::fs::read(root.join(DOCS)).expect("the descriptions are committed");
        let mut decompressed = String::new();
        let mut decoder = flate2::read::DeflateDecoder::new(&committed[..]);
        std::io::Read::read_to_string(&mut decoder, &mut decompressed).expect("whole");
        let fresh = text(&sources(root).expect("the crate's sources")).expect("readable");
        assert!(fresh == decompressed, "{DOCS} is stale: run `cargo xtask schema`");
    }

    #[test]
    fn descriptions_are_found_by_definition_and_field() {
        let source = r#"
impl crate::schemars::JsonSchema for Pod {
        "io.k8s.api.core.v1.Pod".into()
        crate::schemars::json_schema!({
            "description": "A \"pod\".",
            "properties": {
                "kind": {
                    "description": "Its kind.",
                    "type": "string",
                },
                "metadata": ({
                    let mut schema_obj = __gen.subschema_for::<M>();
                    schema_obj.ensure_object().insert("description".into(), "Its metadata.".into());
"#;
        let mut found = Descriptions::new();
        read(source, &mut found).expect("readable");
        assert_eq!(
            render(&found),
            "M io.k8s.api.core.v1.Pod\tA \\\"pod\\\".\nkind\tIts kind.\nmetadata\tIts metadata.\n"
        );
    }
}

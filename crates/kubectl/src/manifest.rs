//! Manifests: files, folders, URLs and standard input, several documents each, YAML or JSON.
//!
//! Invariant: documents keep the order of the files and of their places in them; lists are taken apart.

use crate::failure::{Failure, Result};
use crate::kustomize;
use crate::server::fetch;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What a folder is searched for.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Files {
    /// Files, folders or URLs of manifests; `-` is standard input
    #[arg(short = 'f', long = "filename", value_delimiter = ',')]
    pub(crate) names: Vec<String>,
    /// Search folders below the one named too
    #[arg(short = 'R', long)]
    pub(crate) recursive: bool,
    /// The folder of a kustomization
    #[arg(short = 'k', long)]
    pub(crate) kustomize: Option<PathBuf>,
}

impl Files {
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.kustomize.is_none()
    }
}

/// One object and the file it was read from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) source: String,
    pub(crate) object: Value,
}

pub(crate) async fn read(files: &Files) -> Result<Vec<Document>> {
    if let Some(folder) = &files.kustomize {
        return kustomized(files, folder);
    }
    let mut documents = Vec::new();
    for name in &files.names {
        for (source, text) in texts(name, files.recursive).await? {
            for object in parse(&text, &source)? {
                flatten(&source, object, &mut documents)?;
            }
        }
    }
    Ok(documents)
}

fn kustomized(files: &Files, folder: &Path) -> Result<Vec<Document>> {
    if !files.names.is_empty() {
        return Err(Failure::message("only one of -f or -k can be specified"));
    }
    if files.recursive {
        return Err(Failure::message("the -k flag can't be used with -f or -R"));
    }
    let built = kustomize::build(folder, false, kustomize::Helm::default())?;
    for warning in &built.warnings {
        eprintln!("{warning}");
    }
    let source = folder.display().to_string();
    Ok(built.objects.into_iter().map(|object| Document { source: source.clone(), object }).collect())
}

/// The texts of files as they are.
pub(crate) async fn read_raw(files: &Files) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for name in &files.names {
        all.extend(texts(name, files.recursive).await?.into_iter().map(|(_, text)| text));
    }
    Ok(all)
}

async fn texts(name: &str, recursive: bool) -> Result<Vec<(String, String)>> {
    if name == "-" {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        read.map_err(|error| Failure::message(format!("reading standard input: {error}")))?;
        return Ok(vec![("STDIN".to_owned(), text)]);
    }
    if name.starts_with("http://") || name.starts_with("https://") {
        return Ok(vec![(name.to_owned(), fetch(name).await?)]);
    }
    let path = Path::new(name);
    if !path.exists() {
        return Err(Failure::message(format!("the path {name:?} does not exist")));
    }
    let mut paths = Vec::new();
    if path.is_dir() {
        walk(path, recursive, &mut paths)?;
        if paths.is_empty() {
            let known = EXTENSIONS.map(|extension| format!(".{extension}")).join(" ");
            return Err(Failure::message(format!("error reading [{name}]: recognized file extensions are [{known}]")));
        }
    } else {
        paths.push(path.to_owned());
    }
    let text = |path: PathBuf| match std::fs::read_to_string(&path) {
        Ok(text) => Ok((path.display().to_string(), text)),
        Err(error) => Err(unreadable(&path, &error)),
    };
    paths.into_iter().map(text).collect()
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::message(format!("reading {}: {error}", path.display()))
}

/// Files before what lies in sub-folders would be another order than upstream's: names alone decide.
fn walk(folder: &Path, recursive: bool, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable(folder, &error))?;
    let entries = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut entries: Vec<PathBuf> = entries.collect::<Result<_, _>>().map_err(|error| unreadable(folder, &error))?;
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            if recursive {
                walk(&entry, recursive, paths)?;
            }
        } else if entry.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known)) {
            paths.push(entry);
        }
    }
    Ok(())
}

/// Every document that is not empty.
pub(crate) fn parse(text: &str, source: &str) -> Result<Vec<Value>> {
    parse_as(text, source, false)
}

/// Where `yes` and `off` are texts, as kustomize reads objects.
pub(crate) fn parse_strict(text: &str, source: &str) -> Result<Vec<Value>> {
    parse_as(text, source, true)
}

fn parse_as(text: &str, source: &str, strict_booleans: bool) -> Result<Vec<Value>> {
    let failed = |error: &dyn std::fmt::Display| Failure::message(format!("error parsing {source}: {error}"));
    if text.trim_start().starts_with('{') {
        let documents: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
        // A flow mapping of YAML begins as JSON does.
        if let Ok(documents) = documents {
            return Ok(documents);
        }
    }
    let options = serde_saphyr::options! {
        // Modes of volumes: 0644.
        legacy_octal_numbers: true,
        strict_booleans: strict_booleans,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins,
        with_snippet: false,
    };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| failed(&error))?;
    let documents = documents.into_iter().filter(|document| !document.is_null());
    Ok(documents.map(with_whole_numbers).collect())
}

/// `1.0` is 1 to a server that wants an integer, as upstream's reader makes it.
fn with_whole_numbers(value: Value) -> Value {
    /// Below this every whole number has a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < EXACT => Value::from(float as i64),
            _ => Value::Number(number),
        },
        Value::Array(elements) => elements.into_iter().map(with_whole_numbers).collect(),
        Value::Object(members) => members.into_iter().map(|(key, member)| (key, with_whole_numbers(member))).collect(),
        other => other,
    }
}

/// Without its type nothing can be done with an object.
fn missing(object: &Value) -> Option<&'static str> {
    let is_set = |key: &str| object[key].as_str().is_some_and(|text| !text.is_empty());
    match (is_set("apiVersion"), is_set("kind")) {
        (true, true) => None,
        (true, false) => Some("kind not set"),
        (false, true) => Some("apiVersion not set"),
        (false, false) => Some("[apiVersion not set, kind not set]"),
    }
}

fn flatten(source: &str, mut object: Value, documents: &mut Vec<Document>) -> Result<()> {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    if let Some(missing) = missing(&object) {
        return Err(Failure::message(format!(
            "error validating {source:?}: error validating data: {missing}; if you choose to ignore these errors, turn \
             validation off with --validate=false"
        )));
    }
    if kind.ends_with("List")
        && let Some(Value::Array(items)) = object.get_mut("items").map(Value::take)
    {
        return items.into_iter().try_for_each(|item| flatten(source, item, documents));
    }
    documents.push(Document { source: source.to_owned(), object });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_keep_their_order() {
        let yaml = "# a comment\n---\n---\na: 0644\nb: yes\nc: '1'\n---\n{d: [1.5, ~, 1.0, 1e3]}\n...\n---\n";
        assert_eq!(
            parse(yaml, "x").unwrap(),
            [json!({"a": 420, "b": true, "c": "1"}), json!({"d": [1.5, null, 1, 1000]})]
        );
        assert_eq!(parse("{\"a\":1}\n{\"b\":2}", "x").unwrap(), [json!({"a": 1}), json!({"b": 2})]);
        assert!(parse("a: [", "x.yaml").unwrap_err().report().starts_with("error: error parsing x.yaml: "));
    }

    #[tokio::test]
    async fn folders_are_read_by_name_and_lists_taken_apart() {
        let folder = tempfile::tempdir().unwrap();
        let object = |name: &str| format!("apiVersion: v1\nkind: A\nmetadata: {{name: {name}}}\n");
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for (file, text) in [
            ("c.yml", object("c")),
            ("b/deep.yaml", object("b")),
            (
                "a.json",
                r#"{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}]}"#
                    .into(),
            ),
            ("ignored.txt", "?".into()),
        ] {
            std::fs::write(folder.path().join(file), text).unwrap();
        }
        let names = async |recursive| {
            let files = Files { names: vec![folder.path().display().to_string()], recursive, kustomize: None };
            let documents = read(&files).await.unwrap();
            documents.iter().map(|document| crate::calls::name_of(&document.object).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(false).await, ["a", "c"]);
        assert_eq!(names(true).await, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn what_cannot_be_read_says_why() {
        let missing = Files { names: vec!["/nowhere.yaml".into()], ..Files::default() };
        assert_eq!(read(&missing).await.unwrap_err().report(), "error: the path \"/nowhere.yaml\" does not exist");
        let files = Files { kustomize: Some("/nowhere".into()), ..Files::default() };
        assert!(read(&files).await.unwrap_err().report().contains("evalsymlink failure on '/nowhere'"));
    }
}

//! Every built-in kind, held to what its row promises: one walk over the table, a sample and a golden form for each.
//!
//! `testdata/kinds/<group>-<kind>.json` is what a client writes; `<group>-<kind>.golden.json` is what becomes of it,
//! and its table row. `UPDATE_GOLDEN=1` writes the golden forms anew.

use api::object::{Object, Registered, builtin, stored};
use api::resource::Verbs;
use api::schema;
use api::table::Cell;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::path::PathBuf;

fn file(row: &dyn Registered, ending: &str) -> PathBuf {
    let def = row.def();
    let group = if def.group.is_empty() { "core" } else { def.group.split('.').next().unwrap_or_default() };
    // A version beside the stored one has a sample of its own.
    let version = if row.stored().is_some() { format!("-{}", def.version) } else { String::new() };
    let name = format!("{group}-{}{version}{ending}", def.singular);
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/kinds").join(name)
}

fn sample(row: &dyn Registered) -> Vec<u8> {
    let path = file(row, ".json");
    std::fs::read(&path).unwrap_or_else(|error| panic!("{} needs a sample in {path:?}: {error}", row.def().kind))
}

/// As the registry makes a new object of a client's.
fn created(row: &dyn Registered) -> Box<dyn Object> {
    let mut object = row.decode(&sample(row)).expect("a sample decodes");
    object.prepare_create();
    object.defaults();
    object
}

fn errors(row: &dyn Registered, object: &dyn Object) -> Vec<String> {
    let mut errors = Vec::new();
    if row.def().verbs == Verbs::Full {
        errors.extend(api::meta::validate(row, object.meta()));
    }
    errors.extend(object.validate());
    errors.extend(object.validate_create());
    errors.iter().map(ToString::to_string).collect()
}

/// A moment at which the samples are an hour old.
fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().expect("a moment")
}

fn shown_row(row: &dyn Registered, object: &dyn Object) -> Value {
    let columns = row.def().columns;
    let cells = object.row(now());
    assert_eq!(cells.len(), columns.len(), "{}: a cell for each column", row.def().kind);
    let pairs = columns.iter().zip(cells).map(|(column, cell)| {
        let value = match cell {
            Cell::Text(text) => json!(text),
            Cell::Integer(number) => json!(number),
            Cell::Number(number) => json!(number),
            Cell::Flag(flag) => json!(flag),
            Cell::Missing => Value::Null,
        };
        (column.name.to_owned(), value)
    });
    Value::Object(pairs.collect::<Map<_, _>>())
}

#[test]
fn samples_become_what_their_golden_forms_say() {
    for row in builtin().iter().copied() {
        let kind = row.def().kind;
        let object = created(row);
        assert_eq!(errors(row, object.as_ref()), Vec::<String>::new(), "{kind}: a good sample");
        let golden = json!({"object": object.to_value().unwrap(), "row": shown_row(row, object.as_ref())});
        let mut text = serde_json::to_string_pretty(&golden).unwrap();
        text.push('\n');
        let path = file(row, ".golden.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, wanted, "{kind}: {path:?} says otherwise");
    }
}

#[test]
fn objects_survive_encoding() {
    for row in builtin().iter().copied() {
        let object = created(row);
        let again = row.decode(&object.encode().unwrap()).unwrap();
        assert!(object.equals(again.as_ref()), "{}: {object:?} came back as {again:?}", row.def().kind);
    }
}

#[test]
fn defaults_are_filled_in_once() {
    for row in builtin().iter().copied() {
        let object = created(row);
        let mut again = object.boxed();
        again.defaults();
        assert!(object.equals(again.as_ref()), "{}: defaults changed a defaulted object", row.def().kind);
    }
}

#[test]
fn an_unchanged_object_may_be_written_again() {
    for row in builtin().iter().copied().filter(|row| row.def().verbs == Verbs::Full) {
        let old = created(row);
        let mut new = old.boxed();
        new.prepare_update(old.as_ref());
        new.defaults();
        let errors: Vec<String> = new.validate_update(old.as_ref()).iter().map(ToString::to_string).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", row.def().kind);
        assert!(!new.has_generation() || !new.spec_differs(old.as_ref()), "{}: nothing differs", row.def().kind);
        assert!(new.equals(old.as_ref()), "{}: an update without changes changed it", row.def().kind);
    }
}

#[test]
fn objects_show_the_fields_that_their_rows_promise() {
    for row in stored() {
        let fields = created(row).fields();
        let paths: Vec<&str> = fields.iter().map(|(path, _)| *path).collect();
        assert_eq!(paths, row.def().selectable, "{}", row.def().kind);
    }
}

#[test]
fn rows_name_what_the_schema_knows() {
    let (mut plurals, mut kinds) = (HashSet::new(), HashSet::new());
    for row in builtin() {
        let def = row.def();
        assert!(schema::message(def.message).is_some(), "{} is no message of the schema", def.message);
        assert!(
            def.message.ends_with(&format!(".{}.{}", def.version, def.kind)),
            "{} is not {}",
            def.message,
            def.kind
        );
        assert_eq!(def.singular, def.kind.to_lowercase(), "{}: the singular", def.kind);
        assert!(plurals.insert((def.group, def.version, def.plural)), "{} stands twice", def.plural);
        assert!(kinds.insert((def.group, def.version, def.kind)), "{} stands twice", def.kind);
    }
}

#[test]
fn no_two_kinds_share_a_short_name() {
    let mut taken = HashSet::new();
    // Metrics are called as what they are of; the order of groups decides for the core group.
    for def in stored().map(|row| row.def()).filter(|def| def.group != api::metrics::GROUP) {
        for name in def.short_names.iter().chain([&def.plural, &def.singular]).collect::<HashSet<_>>() {
            assert!(taken.insert(*name), "{}: {name} is another's", def.kind);
        }
    }
}

#[test]
fn every_version_shows_and_takes_back_what_is_stored() {
    let versions: Vec<_> = builtin().iter().copied().filter(|row| row.stored().is_some()).collect();
    assert!(versions.len() >= 2);
    for row in versions {
        let kind = row.def().api_version();
        let object = created(row);
        let shown = row.present(&object.encode().unwrap()).unwrap();
        let value: Value = serde_json::from_slice(&shown).unwrap();
        assert_eq!(value["apiVersion"], kind);
        let again = row.decode(&shown).unwrap();
        assert!(object.equals(again.as_ref()), "{kind}: {object:?} came back as {again:?}");
        let stored = row.stored().unwrap();
        assert!(stored.stored().is_none(), "{kind}: what it is stored as is stored");
        for own in row.def().selectable {
            let path = row.stored_field(own).unwrap_or(own);
            assert!(stored.def().selectable.contains(&path), "{kind}: {own} selects nothing");
        }
    }
}

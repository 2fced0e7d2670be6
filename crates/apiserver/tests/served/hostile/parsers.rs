//! The parsers by themselves: many inputs in little time.

use super::{assert_memory_was_bounded, rounds, samples, timed};
use api::schema;
use api::selector::{FieldSelector, Selector};
use serde_json::Value;

/// The beginning of an input, to find it again by.
fn shown(input: &[u8]) -> String {
    String::from_utf8_lossy(&input[..input.len().min(2000)]).into_owned()
}

#[test]
fn json() {
    let samples = samples();
    for mut chaos in rounds(80_000) {
        let (message, sample) = chaos.pick(&samples);
        let input = chaos.damage(sample);
        let checked = timed(|| schema::check(message, &input), || shown(&input));
        let custom = timed(|| schema::decode::check_custom(&input), || shown(&input));
        // What the one takes is JSON, and the other takes it too, but for an object that is none.
        let is_none = input.trim_ascii() == b"null";
        assert!(checked.is_err() || custom.is_ok() || is_none, "{}", shown(&input));
    }
    assert_memory_was_bounded();
}

#[test]
fn protobuf() {
    let encoded: Vec<_> = samples()
        .into_iter()
        .map(|(message, sample)| {
            let value: Value = serde_json::from_slice(&sample).unwrap();
            (message, schema::proto::encode(message, &value).unwrap())
        })
        .collect();
    let mut understood = 0;
    for mut chaos in rounds(150_000) {
        let (message, sample) = chaos.pick(&encoded);
        let input = chaos.damage(sample);
        let decoded = timed(|| schema::proto::decode(message, &input), || format!("{message} {input:?}"));
        if let Ok(value) = decoded {
            // What is understood can be said again, and is then the same.
            let again = timed(|| schema::proto::encode(message, &value), || format!("{message} {input:?}"));
            if let Ok(again) = again {
                let value_again = schema::proto::decode(message, &again);
                assert_eq!(value_again.as_ref().ok(), Some(&value), "{message} {input:?}");
                understood += 1;
            }
        }
    }
    assert!(understood > 100, "{understood}: nearly nothing gets past the envelope");
    assert_memory_was_bounded();
}

#[test]
fn strategic_merge_patches() {
    let samples = samples();
    for mut chaos in rounds(50_000) {
        let (message, sample) = chaos.pick(&samples);
        let original: Value = serde_json::from_slice(sample).unwrap();
        let input = chaos.damage(sample);
        let Ok(patch) = serde_json::from_slice::<Value>(&input) else { continue };
        let merged = timed(|| schema::strategic_merge(message, original.clone(), patch.clone()), || shown(&input));
        // A patch that is no more than the object itself changes nothing, where it can be merged at all: upstream's
        // merge does not know the inside of what has no schema.
        if let (Ok(merged), true) = (merged, patch == original) {
            assert_eq!(merged, original);
        }
    }
    assert_memory_was_bounded();
}

#[test]
fn selectors() {
    let labels = ["a=b,c!=d,e in (f,g),h notin (i),j,!k", "example.com/x>5,y<7", "a==b", "x in (),y"];
    let fields = ["metadata.name=a,spec.nodeName!=b", "status.phase==Running", r"metadata.name=a\,b\=c"];
    for mut chaos in rounds(40_000) {
        let known = *chaos.pick(&labels);
        let text = chaos.damage_text(known);
        if let Ok(selector) = timed(|| Selector::parse(&text), || shown(text.as_bytes())) {
            let again = selector.to_string();
            assert_eq!(Selector::parse(&again).map(|own| own.to_string()).ok(), Some(again), "{text}");
        }
        let known = *chaos.pick(&fields);
        let text = chaos.damage_text(known);
        if let Err(error) = timed(|| FieldSelector::parse(&text), || shown(text.as_bytes())) {
            assert!(error.to_string().contains("invalid"), "{error}");
        }
    }
    assert_memory_was_bounded();
}

#[test]
fn expressions() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../cel/testdata");
    let tables = ["macros", "operators", "optionals", "strings", "kubernetes", "literals"];
    let tables = tables.map(|name| std::fs::read_to_string(format!("{folder}/{name}.txt")).unwrap());
    let known: Vec<&str> = tables
        .iter()
        .flat_map(|table| table.lines())
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| [" => ", " !> ", " !! "].iter().fold(line, |rest, arrow| rest.split(arrow).next().unwrap()))
        .collect();
    assert!(known.len() > 100, "{}", known.len());
    let env = cel::Env::kubernetes().variable("self", cel::Type::Dyn);
    let mut compiled = 0;
    for mut chaos in rounds(20_000) {
        let known = *chaos.pick(&known);
        let source = chaos.damage_text(known);
        let Ok(program) = timed(|| env.compile(&source), || shown(source.as_bytes())) else { continue };
        compiled += 1;
        let activation = cel::Activation::new().bind("self", cel::Value::text("a"));
        let limits = cel::Limits { cost: 100_000, interrupt: None };
        let outcome = timed(|| program.evaluate(&activation, limits), || shown(source.as_bytes()));
        drop(outcome);
    }
    assert!(compiled > 20, "{compiled}: nearly nothing compiles");
    assert_memory_was_bounded();
}

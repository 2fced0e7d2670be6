//! What holds for any objects: generated ones of a schema with every kind of list and map, and JSON of no schema at all.

use super::super::*;
use super::{author, time};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use std::sync::LazyLock;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = json!({"type": "string"});
    json!({"type": "object", "properties": {
        "text": text, "number": {"type": "integer"},
        "labels": {"type": "object", "additionalProperties": text},
        "block": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": text},
        "struct": {"type": "object", "properties": {"one": text, "two": text}},
        "plain": {"type": "array", "items": text},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": text},
        "items": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "port"],
            "items": {"type": "object", "properties": {
                "name": text, "port": {"type": "integer", "default": 1}, "value": text,
                "inner": {"type": "array", "x-kubernetes-list-type": "set", "items": text}}}},
        "free": {"x-kubernetes-preserve-unknown-fields": true},
    }})
});

fn schema() -> Schema<'static> {
    Schema::Open { schema: &SCHEMA, resource: false }
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn words() -> impl Strategy<Value = Value> {
    prop::collection::vec(word(), 0..4).prop_map(|mut words| {
        words.sort();
        words.dedup();
        json!(words)
    })
}

fn map_of_words() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(word(), word(), 0..3).prop_map(|map| json!(map))
}

fn some<S: Strategy<Value = Value>>(strategy: S) -> impl Strategy<Value = Option<Value>> {
    prop::option::weighted(0.5, strategy)
}

fn object(fields: Vec<(&'static str, Option<Value>)>) -> Value {
    let members: Map<String, Value> =
        fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    Value::Object(members)
}

fn items() -> impl Strategy<Value = Value> {
    let item = (word(), prop::option::of(1..3i64), some(word().prop_map(Value::from)), some(words()));
    prop::collection::vec(item, 0..4).prop_map(|items| {
        let mut seen = Vec::new();
        let items = items.into_iter().filter_map(|(name, port, value, inner)| {
            let key = (name.clone(), port.unwrap_or(1));
            if seen.contains(&key) {
                return None;
            }
            seen.push(key);
            Some(object(vec![
                ("name", Some(name.into())),
                ("port", port.map(Value::from)),
                ("value", value),
                ("inner", inner),
            ]))
        });
        Value::Array(items.collect())
    })
}

/// An object of the schema.
fn typed() -> impl Strategy<Value = Value> {
    let pair = (some(word().prop_map(Value::from)), some(word().prop_map(Value::from)))
        .prop_map(|(one, two)| object(vec![("one", one), ("two", two)]));
    let first = (
        some(word().prop_map(Value::from)),
        some((0..3i64).prop_map(Value::from)),
        some(map_of_words()),
        some(map_of_words()),
        some(pair),
    );
    let second = (some(words()), some(words()), some(items()), some(any_json()));
    (first, second).prop_map(|((text, number, labels, block, pair), (plain, set, items, free))| {
        object(vec![
            ("text", text),
            ("number", number),
            ("labels", labels),
            ("block", block),
            ("struct", pair),
            ("plain", plain),
            ("set", set),
            ("items", items),
            ("free", free),
        ])
    })
}

/// Any JSON, with the names of the schema and of a Deployment among its members, so that it gets past the first level.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3i64).prop_map(Value::from),
        (0..4i64).prop_map(|quarters| Value::from(quarters as f64 / 4.0)),
        word().prop_map(Value::from),
    ];
    let names = vec![
        "spec",
        "metadata",
        "containers",
        "ports",
        "name",
        "items",
        "set",
        "labels",
        "port",
        "template",
        "finalizers",
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((prop::sample::select(names.clone()), inner), 0..4).prop_map(|members| {
                Value::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

fn set() -> impl Strategy<Value = Set> {
    (typed(), any::<bool>()).prop_map(
        |(value, whole)| {
            if whole { created(schema(), &value) } else { extract(schema(), &value) }
        },
    )
}

/// Applies, by force.
fn apply(managed: &Managed, live: &Value, manager: &str, intent: &Value, now: i64) -> Applied {
    let nothing = Set::default();
    let intent = Intent { value: intent, author: author(manager), force: true, ignored: &nothing, allowed: &nothing };
    managed.apply(schema(), live, &intent, time(now)).unwrap()
}

/// The fields of a manager.
fn fields(managed: &Managed, manager: &str) -> Set {
    let own = managed.entries.iter().filter(|entry| entry.manager == manager);
    own.fold(Set::default(), |all, entry| all.union(&entry.set))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn sets_obey_their_algebra(a in set(), b in set(), c in set()) {
        prop_assert_eq!(a.union(&b), b.union(&a));
        prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
        prop_assert_eq!(a.intersection(&b), b.intersection(&a));
        prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
        prop_assert!(a.difference(&b).intersection(&b).is_empty());
        prop_assert_eq!(a.difference(&b.union(&c)), a.difference(&b).difference(&c));
        prop_assert!(a.without(&b).is_subset(&a.difference(&b)));
        prop_assert_eq!(a.union(&b).len(), a.len() + b.len() - a.intersection(&b).len());
        prop_assert_eq!(a.paths().len(), a.len());
        prop_assert_eq!(Set::decode(&a.encode()).unwrap(), a);
    }

    #[test]
    fn no_json_is_too_odd(live in any_json(), intent in any_json(), gone in any_json()) {
        for schema in [schema(), Schema::Unknown, Schema::of_message("k8s.io.api.apps.v1.Deployment"),
            Schema::of_message("k8s.io.api.core.v1.PodSpec")] {
            let merged = merge(schema, live.clone(), &intent);
            let set = extract(schema, &gone);
            prop_assert_eq!(&Set::decode(&set.encode()).unwrap(), &set);
            let changes = compare(schema, &live, &merged);
            prop_assert!(compare(schema, &live, &live).is_empty());
            let _left = remove(schema, merged, &set.with_named_fields(schema));
            let _complaints = validate(schema, &intent);
            let mut managed = Managed::default();
            managed.update(&author("u"), changes, time(1));
            let nothing = Set::default();
            let intent = Intent { value: &intent, author: author("a"), force: true, ignored: &nothing, allowed: &nothing };
            let applied = managed.apply(schema, &live, &intent, time(2)).unwrap();
            prop_assert_eq!(&Managed::decode(&applied.managed.encode()).unwrap(), &applied.managed);
        }
    }

    #[test]
    fn bytes_are_booked_as_values_are(first in typed(), second in typed(), third in typed(), same in any::<bool>()) {
        let text = first.to_string();
        prop_assert_eq!(created_of_json(schema(), text.as_bytes()).unwrap(), created(schema(), &first));
        let one = apply(&Managed::default(), &json!({}), "a", &first, 1);
        let mut books = one.managed.encode();
        let mut managed = one.managed;
        let names = if same { ["u", "u"] } else { ["u", "v"] };
        for (old, new, (name, second)) in [(&first, &second, (names[0], 2)), (&second, &third, (names[1], 3))] {
            let changes = compare(schema(), old, new);
            books = update_of_json(&books, &author(name), changes.clone(), time(second)).unwrap();
            managed.update(&author(name), changes, time(second));
            prop_assert_eq!(String::from_utf8(books.clone()).unwrap(), String::from_utf8(managed.encoded()).unwrap());
        }
    }

    #[test]
    fn what_differs_is_what_was_written(old in typed(), new in typed()) {
        let changes = compare(schema(), &old, &new);
        prop_assert_eq!(changes.is_empty(), old == new);
        let back = compare(schema(), &new, &old);
        prop_assert_eq!(&changes.added, &back.removed);
        prop_assert_eq!(&changes.removed, &back.added);
        prop_assert_eq!(&changes.modified, &back.modified);
    }

    #[test]
    fn an_apply_is_idempotent_and_says_what_it_says(live in typed(), first in typed(), second in typed()) {
        let mut managed = Managed::default();
        managed.update(&author("u"), compare(schema(), &json!({}), &live), time(1));
        let one = apply(&managed, &live, "a", &first, 2);
        prop_assert_eq!(&merge(schema(), one.value.clone(), &first), &one.value, "the intent is in it");
        let two = apply(&one.managed, &one.value, "a", &second, 3);
        prop_assert_eq!(&merge(schema(), two.value.clone(), &second), &two.value, "the second intent is in it");
        let again = apply(&two.managed, &two.value, "a", &second, 4);
        prop_assert_eq!(&again.value, &two.value);
        prop_assert_eq!(&again.managed, &two.managed, "times as well");
        prop_assert_eq!(fields(&two.managed, "a"), extract(schema(), &second));
    }

    #[test]
    fn nobody_loses_what_was_not_changed(first in typed(), other in typed(), second in typed()) {
        let one = apply(&Managed::default(), &json!({}), "a", &first, 1);
        let two = apply(&one.managed, &one.value, "b", &other, 2);
        let three = apply(&two.managed, &two.value, "a", &second, 3);
        let changes = compare(schema(), &two.value, &three.value);
        let lost = fields(&two.managed, "b").difference(&fields(&three.managed, "b"));
        prop_assert!(lost.is_subset(&changes.changed().union(&changes.removed)), "{}", lost.encode());
        // What only the other said, and the second intent does not, is as the other said it.
        let untouched = fields(&two.managed, "b").without(&extract(schema(), &second));
        prop_assert!(untouched.intersection(&changes.removed).is_empty(), "{}", untouched.encode());
    }

    #[test]
    fn an_applier_that_says_nothing_more_leaves_nothing(base in typed(), intent in typed()) {
        let before = apply(&Managed::default(), &json!({}), "base", &base, 1);
        let with = apply(&before.managed, &before.value, "a", &intent, 2);
        let without = apply(&with.managed, &with.value, "a", &json!({}), 3);
        let left = extract(schema(), &without.value);
        let own = extract(schema(), &intent).difference(&extract(schema(), &base).with_named_fields(schema()));
        prop_assert!(left.intersection(&own).is_empty(), "{}", left.intersection(&own).encode());
    }
}

//! An intent laid over an object: what it says is set, what it does not say stays.
//!
//! Invariants: maps and associative lists merge, all else is replaced; items keep the intent's order among each other
//! and the object's own keep theirs.

use super::element::PathElement;
use super::items;
use super::schema::{Form, Kind, Schema};
use serde_json::{Map, Value};

/// `live` with all that `intent` says.
pub fn merge(schema: Schema<'_>, live: Value, intent: &Value) -> Value {
    let (live_form, form) = (schema.form(Kind::of(&live)), schema.form(Kind::of(intent)));
    match ((live_form, live), (form, intent)) {
        ((Form::Map, Value::Object(live)), (Form::Map, intent)) if !live.is_empty() => match intent {
            Value::Object(intent) => Value::Object(maps(schema, live, intent)),
            // To say nothing of a map's members is not to have none.
            _ => Value::Object(live),
        },
        ((Form::Keyed(_) | Form::Set, Value::Array(live)), (form @ (Form::Keyed(_) | Form::Set), intent))
            if !live.is_empty() =>
        {
            match intent {
                Value::Array(intent) => Value::Array(lists(schema, &form, live, intent)),
                _ => Value::Array(live),
            }
        }
        _ => intent.clone(),
    }
}

fn maps(schema: Schema<'_>, mut live: Map<String, Value>, intent: &Map<String, Value>) -> Map<String, Value> {
    for (name, value) in intent {
        match live.get_mut(name) {
            Some(own) => *own = merge(schema.below(name).schema, own.take(), value),
            None => {
                live.insert(name.clone(), value.clone());
            }
        }
    }
    live
}

/// The order is the intent's; items that only the object has come before the next one that both have.
fn lists(schema: Schema<'_>, form: &Form<'_>, live: Vec<Value>, intent: &[Value]) -> Vec<Value> {
    let item_schema = schema.item();
    let name = |item: &Value| items::element(form, item_schema, item).ok();
    let wanted: Vec<(Option<PathElement>, &Value)> = intent.iter().map(|item| (name(item), item)).collect();
    let own: Vec<Option<PathElement>> = live.iter().map(name).collect();
    let is_wanted = |element: &PathElement| wanted.iter().any(|(other, _)| other.as_ref() == Some(element));
    let mut live: Vec<Option<Value>> = live.into_iter().map(Some).collect();
    let mut out = Vec::with_capacity(live.len().max(intent.len()));
    let mut next = 0;
    for position in 0..live.len() {
        let shared = own[position].as_ref().filter(|element| is_wanted(element));
        let Some(element) = shared else {
            out.extend(live[position].take());
            continue;
        };
        let following = wanted[next..]
            .iter()
            .position(|(other, _)| other.as_ref().is_some_and(|other| own.contains(&Some(other.clone()))));
        let Some(following) = following.map(|ahead| next + ahead) else { continue };
        if wanted[following].0.as_ref() != Some(element) {
            continue;
        }
        for (element, item) in &wanted[next..=following] {
            out.push(merge_item(item_schema, &own, &mut live, element.as_ref(), item));
        }
        next = following + 1;
    }
    for (element, item) in &wanted[next..] {
        out.push(merge_item(item_schema, &own, &mut live, element.as_ref(), item));
    }
    out
}

fn merge_item(
    schema: Schema<'_>,
    own: &[Option<PathElement>],
    live: &mut [Option<Value>],
    element: Option<&PathElement>,
    intent: &Value,
) -> Value {
    let at = element.and_then(|element| own.iter().position(|other| other.as_ref() == Some(element)));
    match at.and_then(|at| live[at].take()) {
        Some(live) => merge(schema, live, intent),
        None => intent.clone(),
    }
}

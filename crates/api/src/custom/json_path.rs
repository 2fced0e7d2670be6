//! The JSONPaths that definitions use: `.spec.replicas`, `.status.conditions[?(@.type=="Ready")].status`.
//!
//! What upstream's language has beyond fields, indexes, wildcards and one comparison is refused where it is parsed.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    All,
    /// Items of which the value at a path compares so.
    Where {
        path: Vec<Step>,
        equal: bool,
        value: Value,
    },
    /// Items that have a path.
    Has(Vec<Step>),
}

/// A parsed path.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonPath {
    steps: Vec<Step>,
}

/// A path that is none, or beyond what is understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct BadPath {
    pub path: String,
    pub why: &'static str,
}

impl JsonPath {
    pub fn parse(text: &str) -> Result<JsonPath, BadPath> {
        let bad = |why| BadPath { path: text.to_owned(), why };
        let inner = text.trim();
        let inner = inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or(inner);
        let steps = steps(inner.strip_prefix('$').unwrap_or(inner)).map_err(bad)?;
        Ok(JsonPath { steps })
    }

    /// Everything that the path leads to.
    pub fn find<'v>(&self, root: &'v Value) -> Vec<&'v Value> {
        walk(&self.steps, root)
    }

    /// The names of the fields, where it is nothing but fields.
    pub fn fields(&self) -> Option<Vec<&str>> {
        self.steps
            .iter()
            .map(|step| match step {
                Step::Field(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }
}

fn walk<'v>(steps: &[Step], root: &'v Value) -> Vec<&'v Value> {
    let mut found = vec![root];
    for step in steps {
        found = found.into_iter().flat_map(|value| one(step, value)).collect();
    }
    found
}

fn one<'v>(step: &Step, value: &'v Value) -> Vec<&'v Value> {
    let items = || -> Vec<&'v Value> {
        match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        }
    };
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(index) => {
            let Value::Array(list) = value else { return Vec::new() };
            let length = i64::try_from(list.len()).unwrap_or(i64::MAX);
            let at = if *index < 0 { length + index } else { *index };
            usize::try_from(at).ok().and_then(|at| list.get(at)).into_iter().collect()
        }
        Step::All => items(),
        Step::Where { path, equal, value } => {
            let suits = |item: &&Value| walk(path, item).first().is_some_and(|own| (*own == value) == *equal);
            items().into_iter().filter(suits).collect()
        }
        Step::Has(path) => items().into_iter().filter(|item| !walk(path, item).is_empty()).collect(),
    }
}

fn steps(text: &str) -> Result<Vec<Step>, &'static str> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after).ok_or("unterminated array")?;
            steps.push(bracket(after[..end].trim())?);
            rest = &after[end + 1..];
            continue;
        }
        let after = rest.strip_prefix('.').unwrap_or(rest);
        if after.starts_with('.') {
            return Err("recursive descent is not supported");
        }
        if after.starts_with('[') {
            rest = after;
            continue;
        }
        let (name, end) = field(after);
        match name.as_str() {
            "" if steps.is_empty() && after.is_empty() => break,
            "" => return Err("a field name is missing"),
            "*" => steps.push(Step::All),
            _ => steps.push(Step::Field(name)),
        }
        rest = &after[end..];
    }
    Ok(steps)
}

/// A field's name, its `\.` read as a dot, and where it ends.
fn field(text: &str) -> (String, usize) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '.' | '[' => return (name, at),
            '\\' => name.extend(characters.next().map(|(_, next)| next)),
            other => name.push(other),
        }
    }
    (name, text.len())
}

/// Where the bracket ends that a text begins in.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quote) = (0usize, None);
    for (at, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    None
}

fn bracket(text: &str) -> Result<Step, &'static str> {
    if text == "*" {
        return Ok(Step::All);
    }
    if let Some(condition) = text.strip_prefix("?(").and_then(|text| text.strip_suffix(')')) {
        return filter(condition.trim());
    }
    if let Some(Value::String(name)) = literal(text) {
        return Ok(Step::Field(name));
    }
    text.parse().map(Step::Index).map_err(|_| "invalid array index")
}

fn filter(condition: &str) -> Result<Step, &'static str> {
    let side = |text: &str| steps(text.trim().strip_prefix('@').ok_or("a filter compares what begins with @")?);
    for (operator, equal) in [("==", true), ("!=", false)] {
        if let Some((path, value)) = condition.split_once(operator) {
            let value = literal(value.trim()).ok_or("a filter compares with a literal")?;
            return Ok(Step::Where { path: side(path)?, equal, value });
        }
    }
    if condition.contains(['<', '>']) {
        return Err("only == and != compare in filters");
    }
    side(condition).map(Step::Has)
}

fn literal(text: &str) -> Option<Value> {
    let quoted = |mark: char| text.strip_prefix(mark)?.strip_suffix(mark);
    if let Some(inner) = quoted('\'').or_else(|| quoted('"')) {
        return Some(Value::String(inner.to_owned()));
    }
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        number => serde_json::from_str::<serde_json::Number>(number).ok().map(Value::Number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_to_values() {
        let object = json!({"spec": {"replicas": 3, "a.b": "dotted"},
            "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Other", "status": "False"}]}});
        for (path, wanted) in [
            (".spec.replicas", json!([3])),
            ("{.spec.replicas}", json!([3])),
            (".spec.missing", json!([])),
            (".spec['a.b']", json!(["dotted"])),
            (".spec.a\\.b", json!(["dotted"])),
            (".status.conditions[?(@.type==\"Ready\")].status", json!(["True"])),
            (".status.conditions[?(@.type!='Ready')].status", json!(["False"])),
            (".status.conditions[*].type", json!(["Ready", "Other"])),
            (".status.conditions[-1].type", json!(["Other"])),
            (".status.conditions[0].type", json!(["Ready"])),
        ] {
            let path = JsonPath::parse(path).unwrap();
            assert_eq!(json!(path.find(&object)), wanted, "{path:?}");
        }
        for bad in [".spec[", ".spec..x", ".a[x]", ".a[?(@.n>3)]"] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
    }
}

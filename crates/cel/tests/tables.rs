//! Tables of expressions in `testdata`: what each comes to, costs, or is refused for.
//!
//! `expression => expression of the value`, `expression !> part of the error when it runs`, `expression !! the message of
//! its first issue`, `expression $> least..most actual` for costs. Lines that begin with `#` are comments.

use cel::{Activation, CostRange, Env, Library, Limits, Type, Value, authorizer};
use std::sync::Arc;

const LIBRARIES: &[Library] = &[
    Library::Lists,
    Library::Regex,
    Library::Urls,
    Library::Strings,
    Library::Sets,
    Library::Optionals,
    Library::Addresses,
    Library::Quantity,
    Library::Semver,
    Library::Formats,
    Library::Authorizer,
    Library::TwoVariableComprehensions,
    Library::JsonPatch,
];

/// Allows what begins with `get`, and says what it was asked.
struct GetOnly;

impl authorizer::Authorizer for GetOnly {
    fn authorize(&self, attributes: &authorizer::Attributes) -> authorizer::CheckDecision {
        let of = match (&attributes.path, &attributes.service_account) {
            (Some(path), _) => path.clone(),
            (None, account) => format!(
                "{}/{}/{}/{}/{}{}{}",
                attributes.group,
                attributes.namespace,
                attributes.resource,
                attributes.name,
                attributes.subresource,
                attributes.label_selector,
                account.as_ref().map_or(String::new(), |(namespace, name)| format!(" as {namespace}:{name}")),
            ),
        };
        authorizer::CheckDecision {
            allowed: attributes.verb.starts_with("get"),
            reason: format!("{} {of}", attributes.verb),
            error: (attributes.verb == "fail").then(|| "failed".to_owned()),
        }
    }
}

fn env() -> Env {
    let env = LIBRARIES.iter().fold(Env::standard(), |env, library| env.library(*library));
    env.variable("authorizer", Type::Opaque(authorizer::AUTHORIZER))
        .variable("x", Type::Dyn)
        .variable("unbound", Type::Bool)
        .open_structures("Object")
}

fn activation<'v>() -> Activation<'v> {
    Activation::new().bind("authorizer", authorizer::authorizer_value(Arc::new(GetOnly))).bind("x", Value::Int(7))
}

enum Case<'t> {
    Value(&'t str),
    Error(&'t str),
    Issue(&'t str),
    Cost(CostRange, u64),
}

fn parse(line: &str) -> (&str, Case<'_>) {
    const SEPARATORS: [&str; 4] = [" => ", " !> ", " !! ", " $> "];
    let (separator, (expression, expected)) = SEPARATORS
        .iter()
        .find_map(|separator| Some((*separator, line.split_once(separator)?)))
        .unwrap_or_else(|| panic!("no expectation: {line}"));
    let (expression, expected) = (expression.trim(), expected.trim());
    match separator.trim() {
        "=>" => (expression, Case::Value(expected)),
        "!>" => (expression, Case::Error(expected)),
        "!!" => (expression, Case::Issue(expected)),
        _ => (expression, cost(expected)),
    }
}

fn cost(expected: &str) -> Case<'_> {
    let (range, actual) = expected.split_once(' ').expect("a range and a number");
    let (min, max) = range.split_once("..").expect("a range");
    let max = if max == "max" { u64::MAX } else { max.parse().expect("a number") };
    Case::Cost(CostRange { min: min.parse().expect("a number"), max }, actual.parse().expect("a number"))
}

/// What is wrong with a case, if anything is.
fn check(env: &Env, expression: &str, case: &Case<'_>) -> Result<(), String> {
    let program = match (env.compile(expression), case) {
        (Ok(program), Case::Issue(_)) => return Err(format!("compiled: {}", program.output_type())),
        (Ok(program), _) => program,
        (Err(issues), Case::Issue(message)) => {
            let first = &issues.0[0].message;
            return if first == message { Ok(()) } else { Err(format!("issue: {first}")) };
        }
        (Err(issues), _) => return Err(issues.to_string()),
    };
    let activation = activation();
    let outcome = program.evaluate(&activation, Limits::default());
    match (case, outcome.result) {
        (Case::Error(part), Err(error)) if error.to_string().contains(part) => Ok(()),
        (Case::Error(_), result) => Err(format!("{result:?}")),
        (Case::Cost(estimate, actual), result) => {
            let (estimated, counted) = (program.cost_estimate(), outcome.cost);
            match result {
                Err(error) => Err(error.to_string()),
                Ok(_) if estimated == *estimate && counted == *actual => Ok(()),
                Ok(_) => Err(format!("{}..{} {counted}", estimated.min, estimated.max)),
            }
        }
        (Case::Value(expected), result) => {
            let value = result.map_err(|error| error.to_string())?;
            let wanted = env.compile(expected).map_err(|issues| issues.to_string())?;
            let wanted = wanted.evaluate(&activation, Limits::default()).result.map_err(|error| error.to_string())?;
            // Numbers of different types are equal to the language, but not here.
            let (found, wanted) = (format!("{value:?}"), format!("{wanted:?}"));
            if normal(&found) == normal(&wanted) { Ok(()) } else { Err(format!("{found} is not {wanted}")) }
        }
        (Case::Issue(_), _) => Err("compiled".to_owned()),
    }
}

/// Where a text lives does not matter.
fn normal(debug: &str) -> String {
    debug.replace("Borrowed(", "Shared(")
}

fn table(name: &str) {
    let path = format!("{}/testdata/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect("a table");
    let env = env();
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let mut wrong = Vec::new();
    let mut count = 0;
    for (number, line) in lines {
        count += 1;
        let (expression, case) = parse(line);
        if let Err(why) = check(&env, expression, &case) {
            wrong.push(format!("{name}.txt:{}: {expression}\n    {why}", number + 1));
        }
    }
    assert!(count > 0, "{name} is empty");
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn literals() {
    table("literals");
}

#[test]
fn operators() {
    table("operators");
}

#[test]
fn macros() {
    table("macros");
}

#[test]
fn conversions() {
    table("conversions");
}

#[test]
fn times() {
    table("times");
}

#[test]
fn optionals() {
    table("optionals");
}

#[test]
fn strings() {
    table("strings");
}

#[test]
fn kubernetes_libraries() {
    table("kubernetes");
}

#[test]
fn issues() {
    table("issues");
}

#[test]
fn costs() {
    table("costs");
}

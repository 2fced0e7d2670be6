//! Expressions that mean harm: each must be refused or end, in bounded time and space, on a thread's usual stack.

use cel::{Activation, Env, Limits, Type, Value};
use proptest::prelude::*;

fn env() -> Env {
    Env::kubernetes().variable("x", Type::Dyn).variable("s", Type::String)
}

/// Compiles and runs; what comes out does not matter, only that something does.
fn survive(expression: &str) {
    if let Ok(program) = env().compile(expression) {
        let text = "abc".repeat(50);
        let activation = Activation::new().bind("x", Value::Int(1)).bind("s", Value::text(&text));
        let outcome = program.evaluate(&activation, Limits { cost: 100_000, interrupt: None });
        assert!(outcome.result.is_ok() || outcome.result.is_err());
    }
}

fn refused(expression: &str, message: &str) {
    let issues = env().compile(expression).expect_err("too deep or too large").to_string();
    assert!(issues.contains(message), "{issues}");
}

#[test]
fn brackets_nest_so_far() {
    for (open, inner, close) in
        [("(", "1", ")"), ("[", "", "]"), ("-(", "1", ")"), ("{1: ", "2", "}"), ("size(", "x", ")")]
    {
        refused(&(open.repeat(1000) + inner + &close.repeat(1000)), "recursion limit exceeded");
        survive(&(open.repeat(120) + inner + &close.repeat(120)));
    }
    refused(&format!("true{}", " ? true : true".repeat(5_000)), "recursion limit exceeded");
    survive(&("[1].all(a, true && ".repeat(40) + "true" + &")".repeat(40)));
}

#[test]
fn chains_grow_so_long() {
    for link in [" + 1", ".a", "[0]", ".?a", ".size()", " == x"] {
        refused(&format!("x{}", link.repeat(10_000)), "recursion limit exceeded");
        survive(&format!("x{}", link.repeat(240)));
    }
    refused(&"a".repeat(100_001), "size exceeds limit");
    survive(&format!("{}x", "!".repeat(50_000)));
    survive(&vec!["true"; 10_000].join(" && "));
    survive(&vec!["false"; 10_000].join(" || "));
}

#[test]
fn size_is_bounded() {
    // Each step doubles its target's tree.
    refused(&format!("optional.of(1){}", ".optMap(a, a)".repeat(60)), "limit exceeded");
    // Each level doubles the type of the one before.
    let nested = (0..60).fold("1".to_owned(), |inner, level| {
        let before = if level == 0 { "1".to_owned() } else { format!("v{}", level - 1) };
        format!("[{{'a': {before}}}].map(v{level}, {inner})")
    });
    survive(&nested);
    survive("[{}].all(a, a[[1]] == [1] && [{}].all(b, b[a] == a && [{}].all(c, c[b] == b && [{}].all(d, d[c] == c))))");
}

#[test]
fn results_are_bounded() {
    let text = "x".repeat(1_000_000);
    let env = Env::kubernetes().variable("s", Type::String);
    for expression in [
        "s.replace('', s)",
        "[s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s].join(s)",
        "'%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s%s'.format([s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s])",
        "[s].map(a, a + a + a + a).map(a, a + a + a + a).map(a, a + a + a + a).map(a, a + a)",
        "[s.split('')].map(a, a + a + a + a).map(a, a + a)",
    ] {
        let program = env.compile(expression).unwrap_or_else(|issues| panic!("{issues}"));
        let activation = Activation::new().bind("s", Value::text(&text));
        let outcome = program.evaluate(&activation, Limits { cost: u64::MAX, interrupt: None });
        let error = outcome.result.unwrap_err().to_string();
        assert!(error.contains("too large"), "{expression}: {error}");
    }
}

#[test]
fn patterns_are_bounded() {
    for pattern in ["(a{1000}){1000}", "((((((((((a{9}){9}){9}){9}){9}){9}){9}){9}){9}){9})", "(a*)*b"] {
        survive(&format!("s.matches('{pattern}')"));
        survive(&format!("s.matches('{pattern}' + '')"));
    }
}

const FRAGMENTS: &[&str] = &[
    "x",
    "s",
    "1",
    "1u",
    "1.5",
    "'a'",
    "b'a'",
    "true",
    "null",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    ".",
    ",",
    ":",
    "?",
    "+",
    "-",
    "*",
    "/",
    "%",
    "!",
    "&&",
    "||",
    "==",
    "!=",
    "<",
    "in",
    ".?a",
    "[?0]",
    "all(e, ",
    "map(e, ",
    "exists_one(i, v, ",
    "has(",
    "size(",
    "optional.of(",
    "optMap(e, ",
    "duration(",
    "timestamp('2020-01-01T00:00:00Z')",
    "split(",
    "e",
    "Object",
    "matches(",
    "format(",
    "quantity('1')",
    "ip('::1')",
    "'''",
    "\\",
    "\n",
    "//",
    "é",
    "0x",
    "9223372036854775807",
    "type(",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, rng_seed: prop::test_runner::RngSeed::Fixed(7), ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in "\\PC{0,80}") {
        survive(&text);
    }

    #[test]
    fn fragments_are_survived(parts in prop::collection::vec(prop::sample::select(FRAGMENTS), 0..25)) {
        survive(&parts.concat());
    }

    #[test]
    fn proper_expressions_cost_within_their_estimate(expression in expressions()) {
        let env = Env::kubernetes();
        if let Ok(program) = env.compile(&expression) {
            let outcome = program.evaluate(&Activation::new(), Limits { cost: u64::MAX, interrupt: None });
            let estimate = program.cost_estimate();
            if outcome.result.is_ok() {
                prop_assert!(outcome.cost <= estimate.max, "{}: {} of {:?}", expression, outcome.cost, estimate);
                prop_assert!(outcome.cost >= estimate.min, "{}: {} of {:?}", expression, outcome.cost, estimate);
            }
        }
    }
}

/// Expressions of whole numbers, lists of them, and truths.
fn expressions() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![Just("1"), Just("2"), Just("true"), Just("[1, 2]"), Just("[3]"), Just("'ab'")]
        .prop_map(str::to_owned);
    leaf.prop_recursive(4, 32, 3, |inner| {
        prop_oneof![
            (inner.clone(), prop::sample::select(&["+", "-", "==", "<", "&&", "||", "in"][..]), inner.clone())
                .prop_map(|(a, operator, b)| format!("({a} {operator} {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.map(e, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.all(e, {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.filter(e, {b})")),
            (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            inner.clone().prop_map(|a| format!("size({a})")),
            inner.clone().prop_map(|a| format!("[{a}]")),
            inner.prop_map(|a| format!("{a}.sum()")),
        ]
    })
}

//! Queries with known answers: `testdata/promql.txt`, whose head explains its form.

use super::source::{Matchers, Point};
use super::{Allowance, Labels, QueryError, Row, Source, Steps, Value, instant, is_absent, over_range, parse_selector};
use crate::exposition::Number;
use std::time::{Duration, Instant};

const CORPUS: &str = include_str!("../../testdata/promql.txt");
const LOOKBACK_MS: i64 = 300_000;

#[derive(Default)]
struct Fixture {
    series: Vec<(Labels, Vec<Point>)>,
}

impl Source for Fixture {
    fn series(
        &self,
        matchers: &Matchers,
        from_ms: i64,
        to_ms: i64,
        each: &mut dyn FnMut(Labels, Vec<Point>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        for (labels, points) in self.series.iter().filter(|(labels, _)| matchers.matches(labels)) {
            let within = points.iter().copied().filter(|(time, _)| (from_ms..=to_ms).contains(time)).collect();
            each(labels.clone(), within)?;
        }
        Ok(())
    }
}

/// `90s`, `5m`, `1h`, or seconds without a unit.
fn milliseconds(text: &str) -> i64 {
    let (number, unit) = match text.strip_suffix(['s', 'm', 'h']) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let factor = match unit {
        "s" => 1000.0,
        "m" => 60_000.0,
        _ => 3_600_000.0,
    };
    (number.parse::<f64>().unwrap_or_else(|_| panic!("{text:?} is no duration")) * factor) as i64
}

fn number(text: &str) -> f64 {
    match text {
        "NaN" => f64::NAN,
        "Inf" | "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        other => other.parse().unwrap_or_else(|_| panic!("{other:?} is no number")),
    }
}

/// Labels as a selector spells them.
fn labels(text: &str) -> Labels {
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let mut pairs = vec![("__name__", name)];
    for pair in rest.trim_end_matches('}').split(", ").filter(|pair| !pair.is_empty()) {
        let (label, value) = pair.split_once('=').unwrap_or_else(|| panic!("{text:?}"));
        pairs.push((label, value.trim_matches('"')));
    }
    Labels::of(pairs)
}

/// `1 2 _ 0+10x5`: values, nothing, a value and five more that grow.
fn values(text: &str) -> Vec<Option<f64>> {
    let mut all = Vec::new();
    for word in text.split_whitespace() {
        let Some((range, times)) = word.split_once('x').filter(|_| word != "_") else {
            all.push((word != "_").then(|| number(word)));
            continue;
        };
        let sign = range.rfind(['+', '-']).unwrap_or_else(|| panic!("{word:?}"));
        let (first, step) = (number(&range[..sign]), number(&range[sign..]));
        let times: u32 = times.parse().unwrap_or_else(|_| panic!("{word:?}"));
        all.extend((0..=times).map(|index| Some(first + step * f64::from(index))));
    }
    all
}

/// Series and values of a line.
fn series(line: &str) -> (Labels, &str) {
    let end = line.rfind('}').map_or_else(|| line.find(' ').unwrap_or(line.len()), |end| end + 1);
    (labels(line[..end].trim()), line[end..].trim())
}

fn load(fixture: &mut Fixture, step_ms: i64, line: &str) {
    let (labels, text) = series(line);
    let points = values(text).into_iter().enumerate();
    let points = points.filter_map(|(index, value)| Some((index as i64 * step_ms, value?)));
    fixture.series.push((labels, points.collect()));
}

fn near(one: f64, other: f64) -> bool {
    one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

fn shown(rows: &[Row]) -> String {
    let row = |row: &Row| {
        let values =
            row.values.iter().map(|value| if is_absent(*value) { "_".into() } else { Number(*value).to_string() });
        format!("  {} {}\n", row.labels, values.collect::<Vec<_>>().join(" "))
    };
    rows.iter().map(row).collect()
}

fn check(line: &str, got: Value, wanted: &[&str], ordered: bool) {
    let rows = match got {
        Value::Vector(rows) => rows,
        Value::Scalar(values) => vec![Row { labels: Labels::default(), values }],
        Value::Text(text) => return assert_eq!(wanted, [format!("{text:?}")], "{line}"),
        Value::Matrix(series) => {
            let row = |(labels, points): (Labels, Vec<Point>)| Row {
                labels,
                values: points.iter().map(|point| point.1).collect(),
            };
            series.into_iter().map(row).collect()
        }
    };
    let fail = || panic!("{line}\nwanted:\n  {}\ngot:\n{}", wanted.join("\n  "), shown(&rows));
    if rows.len() != wanted.len() {
        fail();
    }
    for (place, text) in wanted.iter().enumerate() {
        let (labels, text) = series(text);
        let found = rows.iter().position(|row| row.labels == labels).filter(|found| !ordered || *found == place);
        let Some(row) = found.map(|found| &rows[found]) else { return fail() };
        let values = values(text);
        let same = |(own, wanted): (&f64, &Option<f64>)| match wanted {
            None => is_absent(*own),
            Some(wanted) => !is_absent(*own) && near(*own, *wanted),
        };
        if row.values.len() != values.len() || !row.values.iter().zip(&values).all(same) {
            return fail();
        }
    }
}

fn allowance() -> Allowance<'static> {
    Allowance::new(Instant::now() + Duration::from_secs(600), &|| false)
}

fn evaluate(fixture: &Fixture, words: &str) -> Result<Value, QueryError> {
    if let Some(rest) = words.strip_prefix("at ") {
        let (time, query) = rest.split_once(' ').expect("at TIME QUERY");
        return instant(query, milliseconds(time), LOOKBACK_MS, fixture, &allowance());
    }
    let mut words = words.splitn(7, ' ');
    let mut next = || words.next().expect("from TIME to TIME step TIME QUERY");
    let (_, start, _, end, _, step, query) = (next(), next(), next(), next(), next(), next(), next());
    let steps = Steps::between(milliseconds(start), milliseconds(end), milliseconds(step))?;
    over_range(query, steps, LOOKBACK_MS, fixture, &allowance())
}

#[test]
fn queries_have_their_known_answers() {
    let mut fixture = Fixture::default();
    let mut lines = CORPUS.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')).peekable();
    let mut queries = 0;
    while let Some(line) = lines.next() {
        let mut below = Vec::new();
        while let Some(more) = lines.next_if(|line| line.starts_with(' ')) {
            below.push(more.trim());
        }
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "clear" => fixture = Fixture::default(),
            "load" => below.iter().for_each(|line| load(&mut fixture, milliseconds(rest), line)),
            "eval" | "ordered" => {
                let got = evaluate(&fixture, rest).unwrap_or_else(|error| panic!("{line}: {error}"));
                check(line, got, &below, verb == "ordered");
            }
            "fail" => match evaluate(&fixture, rest) {
                Err(error) => assert!(error.to_string().contains(below[0]), "{line}: {error}"),
                Ok(got) => panic!("{line}: {got:?}"),
            },
            _ => panic!("{line:?}"),
        }
        queries += usize::from(matches!(verb, "eval" | "ordered" | "fail"));
    }
    assert!(queries > 100, "{queries}");
}

#[test]
fn selectors_stand_alone() {
    let matchers = parse_selector("up{job=~\"a|b\", env!=\"x\"}").unwrap();
    assert!(matchers.matches(&labels("up{job=\"a\"}")) && !matchers.matches(&labels("up{job=\"c\"}")));
    assert!(parse_selector("sum(up)").is_err() && parse_selector("{").is_err());
}

#[test]
fn nesting_beyond_the_bound_is_refused() {
    let depth = |depth: usize| format!("{}1{}", "abs(vector(".repeat(depth), "))".repeat(depth));
    let evaluate =
        move |levels: usize| instant(&depth(levels), 0, LOOKBACK_MS, &Fixture::default(), &allowance()).map(drop);
    let big = std::thread::Builder::new().stack_size(64 << 20);
    let checked = big.spawn(move || (evaluate(1).is_err(), evaluate(1000).is_err())).unwrap();
    assert_eq!(checked.join().unwrap(), (false, true));
}

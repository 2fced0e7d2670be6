//! Walks an expression.

use super::functions;
use super::labels::Labels;
use super::range::{self, Window};
use super::source::{Matchers, Point, Source};
use super::value::{ABSENT, Row, SAME_LABELS, Steps, Value, merged};
use super::{Allowance, DEPTH_MAX, QUERY_BYTES_MAX, QueryError, aggregate, bad, binary};
use promql_parser::parser::{
    AtModifier, Call, Expr, MatrixSelector, Offset, SubqueryExpr, VectorSelector, parse as parse_promql,
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The step of subqueries that name none.
const SUBQUERY_STEP_MS: i64 = 60_000;
/// Windows of one series between two looks at the clock: one may have all the points of a day.
const WINDOWS_UNLOOKED: usize = 32;

pub(super) fn parse(text: &str) -> Result<Expr, QueryError> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(bad(format!("a query is at most {QUERY_BYTES_MAX} bytes long")));
    }
    parse_promql(text).map_err(|error| bad(format!("parse error: {error}")))
}

/// The value of a query at a moment. How old a series' last point may be is `lookback_ms`.
pub fn instant(
    query: &str,
    time_ms: i64,
    lookback_ms: i64,
    source: &dyn Source,
    allowance: &Allowance<'_>,
) -> Result<Value, QueryError> {
    let expression = parse(query)?;
    let steps = Steps::instant(time_ms);
    let evaluation = Evaluation { source, whole: steps, lookback_ms, allowance };
    if let Some(selector) = matrix(&expression) {
        return evaluation.matrix(selector, steps);
    }
    evaluation.eval(&expression, steps, 0)
}

/// The values of a query at all steps.
pub fn range(
    query: &str,
    steps: Steps,
    lookback_ms: i64,
    source: &dyn Source,
    allowance: &Allowance<'_>,
) -> Result<Value, QueryError> {
    let expression = parse(query)?;
    let refused =
        |kind: &str| bad(format!("invalid expression type {kind:?} for range query, must be Scalar or instant Vector"));
    if is_range(&expression) {
        return Err(refused("range vector"));
    }
    match (Evaluation { source, whole: steps, lookback_ms, allowance }).eval(&expression, steps, 0)? {
        value @ (Value::Scalar(_) | Value::Vector(_)) => Ok(value),
        other => Err(refused(other.kind())),
    }
}

fn matrix(expression: &Expr) -> Option<&MatrixSelector> {
    match expression {
        Expr::MatrixSelector(selector) => Some(selector),
        Expr::Paren(inner) => matrix(&inner.expr),
        _ => None,
    }
}

struct Evaluation<'a> {
    source: &'a dyn Source,
    /// Of the whole query: what `start()` and `end()` mean.
    whole: Steps,
    lookback_ms: i64,
    allowance: &'a Allowance<'a>,
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn since_1970(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => milliseconds(after),
        Err(before) => -milliseconds(before.duration()),
    }
}

/// Points of a series that lie in `(start, end]`, for windows that only move forward.
struct Windows<'a> {
    points: &'a [Point],
    from: usize,
    to: usize,
}

impl<'a> Windows<'a> {
    fn at(&mut self, start_ms: i64, end_ms: i64) -> &'a [Point] {
        while self.points.get(self.to).is_some_and(|point| point.0 <= end_ms) {
            self.to += 1;
        }
        while self.from < self.to && self.points[self.from].0 <= start_ms {
            self.from += 1;
        }
        &self.points[self.from..self.to]
    }
}

impl<'a> Evaluation<'a> {
    fn eval(&self, expression: &Expr, steps: Steps, depth: usize) -> Result<Value, QueryError> {
        if depth > DEPTH_MAX {
            return Err(bad("the query is nested too deeply"));
        }
        let before = self.allowance.held();
        let value = self.part(expression, steps, depth)?;
        self.allowance.done(before, value.cells())?;
        Ok(value)
    }

    fn part(&self, expression: &Expr, steps: Steps, depth: usize) -> Result<Value, QueryError> {
        let inner = |expression: &Expr| self.eval(expression, steps, depth + 1);
        match expression {
            Expr::NumberLiteral(number) => {
                self.allowance.check_rows(1, steps)?;
                Ok(Value::Scalar(vec![number.val; steps.count]))
            }
            Expr::StringLiteral(text) => Ok(Value::Text(text.val.clone())),
            Expr::Paren(paren) => inner(&paren.expr),
            Expr::Unary(unary) => negated(inner(&unary.expr)?),
            Expr::VectorSelector(selector) => self.selected(selector, steps).map(Value::Vector),
            Expr::Binary(own) => {
                let (left, right) = (inner(&own.lhs)?, inner(&own.rhs)?);
                binary::binary(own.op, left, right, own.modifier.as_ref(), steps, self.allowance)
            }
            Expr::Aggregate(own) => {
                let parameter = own.param.as_deref().map(inner).transpose()?;
                let Value::Vector(rows) = inner(&own.expr)? else {
                    return Err(bad("expected type instant vector in aggregation expression"));
                };
                let modifier = own.modifier.as_ref();
                aggregate::aggregate(own.op, modifier, parameter, rows, steps, self.allowance).map(Value::Vector)
            }
            Expr::Call(call) => self.call(call, steps, depth),
            Expr::MatrixSelector(_) | Expr::Subquery(_) => Err(bad("a range vector is only good for a function")),
            Expr::Extension(_) => Err(bad("extensions are not known here")),
        }
    }

    /// Where a selector looks at a step: moved by `@` and `offset`.
    fn moved(&self, steps: Steps, at: Option<&AtModifier>, offset: Option<&Offset>) -> Steps {
        let fixed = at.map(|at| match at {
            AtModifier::Start => self.whole.start_ms,
            AtModifier::End => self.whole.end_ms(),
            AtModifier::At(time) => since_1970(*time),
        });
        let back_ms = match offset {
            None => 0,
            Some(Offset::Pos(by)) => milliseconds(*by),
            Some(Offset::Neg(by)) => -milliseconds(*by),
        };
        // Looked at from one moment, every step is the same.
        let (start_ms, step_ms) = fixed.map_or((steps.start_ms, steps.step_ms), |fixed| (fixed, 0));
        Steps { start_ms: start_ms.saturating_sub(back_ms), step_ms, count: steps.count }
    }

    fn read(
        &self,
        selector: &VectorSelector,
        from_ms: i64,
        to_ms: i64,
        each: &mut dyn FnMut(Labels, Vec<Point>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let matchers = Matchers::of(selector)?;
        self.source.series(&matchers, from_ms, to_ms, &mut |labels, points| {
            self.allowance.check_points(points.len())?;
            self.allowance.check_time()?;
            each(labels, points)
        })
    }

    /// At each step the last point that is not too old.
    fn selected(&self, selector: &VectorSelector, steps: Steps) -> Result<Vec<Row>, QueryError> {
        let looked = self.moved(steps, selector.at.as_ref(), selector.offset.as_ref());
        let mut rows = Vec::new();
        self.read(
            selector,
            looked.start_ms.saturating_sub(self.lookback_ms),
            looked.end_ms(),
            &mut |labels, points| {
                let mut windows = Windows { points: &points, from: 0, to: 0 };
                let at = |time: i64| {
                    windows.at(time.saturating_sub(self.lookback_ms), time).last().map_or(ABSENT, |last| last.1)
                };
                let row = Row { labels, values: looked.times().map(at).collect() };
                if !row.is_empty() {
                    rows.push(row);
                }
                self.allowance.check_rows(rows.len(), steps)
            },
        )?;
        Ok(rows)
    }

    fn matrix(&self, selector: &MatrixSelector, steps: Steps) -> Result<Value, QueryError> {
        let looked = self.moved(steps, selector.vs.at.as_ref(), selector.vs.offset.as_ref());
        let start_ms = looked.start_ms.saturating_sub(milliseconds(selector.range));
        let mut rows = Vec::new();
        let mut held = 0;
        self.read(&selector.vs, start_ms.saturating_add(1), looked.start_ms, &mut |labels, points| {
            held += points.len();
            self.allowance.check_cells(held)?;
            if !points.is_empty() {
                rows.push((labels, points));
            }
            Ok(())
        })?;
        Ok(Value::Matrix(rows))
    }

    fn call(&self, call: &Call, steps: Steps, depth: usize) -> Result<Value, QueryError> {
        let arguments = &call.args.args;
        let name = call.func.name;
        let over_range = arguments.iter().position(|argument| is_range(argument));
        if let Some(place) = over_range {
            return self.over_range(name, &arguments[place], arguments, place, steps, depth);
        }
        if name == "absent" {
            let Some(argument) = arguments.first() else { return Err(bad("absent() needs a vector")) };
            let Value::Vector(rows) = self.eval(argument, steps, depth + 1)? else {
                return Err(bad("expected type instant vector in call to function \"absent\""));
            };
            return Ok(functions::absent(&rows, demanded(argument)?, steps));
        }
        if name == "timestamp"
            && let Some(Expr::VectorSelector(selector)) = arguments.first().map(|argument| unwrapped(argument))
        {
            return self.timestamps(selector, steps);
        }
        let values: Result<Vec<Value>, _> =
            arguments.iter().map(|argument| self.eval(argument, steps, depth + 1)).collect();
        if name == "timestamp" {
            return timestamps_of(values?, steps);
        }
        functions::call(name, values?, steps)
    }

    /// When the points were taken that a selector shows.
    fn timestamps(&self, selector: &VectorSelector, steps: Steps) -> Result<Value, QueryError> {
        let looked = self.moved(steps, selector.at.as_ref(), selector.offset.as_ref());
        let mut rows = Vec::new();
        self.read(
            selector,
            looked.start_ms.saturating_sub(self.lookback_ms),
            looked.end_ms(),
            &mut |labels, points| {
                let mut windows = Windows { points: &points, from: 0, to: 0 };
                let at = |time: i64| {
                    let last = windows.at(time.saturating_sub(self.lookback_ms), time).last();
                    last.map_or(ABSENT, |last| last.0 as f64 / 1000.0)
                };
                rows.push(Row { labels: labels.nameless(), values: looked.times().map(at).collect() });
                self.allowance.check_rows(rows.len(), steps)
            },
        )?;
        merged(rows, SAME_LABELS).map(Value::Vector)
    }

    fn over_range(
        &self,
        name: &str,
        argument: &Expr,
        arguments: &[Box<Expr>],
        place: usize,
        steps: Steps,
        depth: usize,
    ) -> Result<Value, QueryError> {
        let is_absence = name == "absent_over_time";
        let asked = if is_absence { "present_over_time" } else { name };
        let (function, keeps_name) =
            range::find(asked).ok_or_else(|| bad(format!("function {name} is not known here")))?;
        let numbers = arguments.iter().enumerate().find(|(other, _)| *other != place);
        let numbers = match numbers.map(|(_, argument)| self.eval(argument, steps, depth + 1)).transpose()? {
            Some(Value::Scalar(numbers)) => numbers,
            Some(other) => {
                return Err(bad(format!("expected type scalar in call to function {name:?}, got {}", other.kind())));
            }
            None => vec![f64::NAN; steps.count],
        };
        let mut rows = Vec::new();
        let mut each = |labels: Labels, points: &[Point], looked: Steps, range_ms: i64| {
            let mut windows = Windows { points, from: 0, to: 0 };
            let values = (0..steps.count).map(|step| {
                if step % WINDOWS_UNLOOKED == 0 {
                    self.allowance.check_time()?;
                }
                let end_ms = looked.time(step);
                let start_ms = end_ms.saturating_sub(range_ms);
                Ok(match windows.at(start_ms, end_ms) {
                    [] => ABSENT,
                    points => function(&Window { points, start_ms, end_ms, number: numbers[step] }).unwrap_or(ABSENT),
                })
            });
            let values = values.collect::<Result<_, QueryError>>()?;
            let row = Row { labels: if keeps_name { labels } else { labels.nameless() }, values };
            if !row.is_empty() {
                rows.push(row);
            }
            self.allowance.check_rows(rows.len(), steps)
        };
        match unwrapped(argument) {
            Expr::MatrixSelector(selector) => {
                let looked = self.moved(steps, selector.vs.at.as_ref(), selector.vs.offset.as_ref());
                let range_ms = milliseconds(selector.range);
                let from_ms = looked.start_ms.saturating_sub(range_ms);
                self.read(&selector.vs, from_ms, looked.end_ms(), &mut |labels, points| {
                    each(labels, &points, looked, range_ms)
                })?;
            }
            Expr::Subquery(subquery) => self.subquery(subquery, steps, depth, &mut each)?,
            _ => return Err(bad("expected type range vector")),
        }
        if is_absence {
            return Ok(functions::absent(&rows, demanded(argument)?, steps));
        }
        merged(rows, SAME_LABELS).map(Value::Vector)
    }

    /// The inner expression's values, at moments that are whole multiples of the step.
    fn subquery(
        &self,
        subquery: &SubqueryExpr,
        steps: Steps,
        depth: usize,
        each: &mut dyn FnMut(Labels, &[Point], Steps, i64) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        let looked = self.moved(steps, subquery.at.as_ref(), subquery.offset.as_ref());
        let range_ms = milliseconds(subquery.range);
        let step_ms = subquery.step.map_or(SUBQUERY_STEP_MS, milliseconds).max(1);
        let first_ms = looked.start_ms.saturating_sub(range_ms).div_euclid(step_ms).saturating_add(1) * step_ms;
        let inner = Steps::between(first_ms, looked.end_ms().max(first_ms), step_ms)?;
        let rows = match self.eval(&subquery.expr, inner, depth + 1)? {
            Value::Vector(rows) => rows,
            Value::Scalar(values) => vec![Row { labels: Labels::default(), values }],
            other => return Err(bad(format!("subquery is only allowed on instant vector, got {}", other.kind()))),
        };
        for row in rows {
            let points = inner.times().zip(&row.values).filter(|(_, value)| !super::is_absent(**value));
            let points: Vec<Point> = points.map(|(time, value)| (time, *value)).collect();
            each(row.labels, &points, looked, range_ms)?;
        }
        Ok(())
    }
}

fn timestamps_of(values: Vec<Value>, steps: Steps) -> Result<Value, QueryError> {
    let Some(Value::Vector(rows)) = values.into_iter().next() else {
        return Err(bad("expected type instant vector in call to function \"timestamp\""));
    };
    let times: Vec<f64> = steps.times().map(|time| time as f64 / 1000.0).collect();
    let rows = rows.into_iter().map(|mut row| {
        let present = row.values.iter_mut().zip(&times).filter(|(value, _)| !super::is_absent(**value));
        present.for_each(|(value, time)| *value = *time);
        Row { labels: row.labels.nameless(), values: row.values }
    });
    merged(rows.collect(), SAME_LABELS).map(Value::Vector)
}

fn unwrapped(expression: &Expr) -> &Expr {
    match expression {
        Expr::Paren(inner) => unwrapped(&inner.expr),
        other => other,
    }
}

fn is_range(expression: &Expr) -> bool {
    matches!(unwrapped(expression), Expr::MatrixSelector(_) | Expr::Subquery(_))
}

/// The labels that the absence of a selector's series is told under.
fn demanded(expression: &Expr) -> Result<Labels, QueryError> {
    match unwrapped(expression) {
        Expr::VectorSelector(selector) => Ok(Matchers::of(selector)?.equal()),
        Expr::MatrixSelector(selector) => Ok(Matchers::of(&selector.vs)?.equal()),
        _ => Ok(Labels::default()),
    }
}

fn negated(value: Value) -> Result<Value, QueryError> {
    match value {
        Value::Scalar(values) => Ok(Value::Scalar(values.into_iter().map(|value| -value).collect())),
        Value::Vector(rows) => {
            let rows = rows.into_iter().map(|row| {
                let row = row.map(|value| -value);
                Row { labels: row.labels.nameless(), values: row.values }
            });
            merged(rows.collect(), SAME_LABELS).map(Value::Vector)
        }
        other => Err(bad(format!(
            "unary expression only allowed on expressions of type scalar or instant vector, got {}",
            other.kind()
        ))),
    }
}

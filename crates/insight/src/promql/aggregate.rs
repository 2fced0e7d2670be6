//! Aggregations: what groups of series come to at each step.

use super::labels::Labels;
use super::range::{precise_sum, quantile, variance};
use super::value::{ABSENT, Row, Steps, Value, is_absent, merged};
use super::{Allowance, QueryError, bad};
use crate::exposition::Number;
use promql_parser::parser::LabelModifier;
use promql_parser::parser::token::{
    T_AVG, T_BOTTOMK, T_COUNT, T_COUNT_VALUES, T_GROUP, T_LIMITK, T_MAX, T_MIN, T_QUANTILE, T_STDDEV, T_STDVAR, T_SUM,
    T_TOPK, TokenType,
};
use std::collections::HashMap;

type Fold = fn(&mut dyn Iterator<Item = f64>) -> f64;

/// Of the values that a group has at one step, at least one.
fn fold(op: TokenType) -> Option<Fold> {
    Some(match op.id() {
        T_SUM => |values| precise_sum(values),
        T_AVG => |values| {
            let all: Vec<f64> = values.collect();
            precise_sum(all.iter().copied()) / all.len() as f64
        },
        T_MIN => |values| {
            values
                .reduce(|least, value| if value < least || least.is_nan() { value } else { least })
                .unwrap_or(f64::NAN)
        },
        T_MAX => |values| {
            values.reduce(|most, value| if value > most || most.is_nan() { value } else { most }).unwrap_or(f64::NAN)
        },
        T_COUNT => |values| values.count() as f64,
        T_GROUP => |_| 1.0,
        T_STDDEV => |values| variance(values).sqrt(),
        T_STDVAR => |values| variance(values),
        _ => return None,
    })
}

pub(super) fn aggregate(
    op: TokenType,
    modifier: Option<&LabelModifier>,
    parameter: Option<Value>,
    rows: Vec<Row>,
    steps: Steps,
    allowance: &Allowance<'_>,
) -> Result<Vec<Row>, QueryError> {
    let count = rows.len();
    let groups = grouped(modifier, rows);
    // What is chosen or folded is at most as many rows as there are; what is counted is looked at as it grows.
    allowance.check_rows(if fold(op).is_some() { groups.len() } else { count }, steps)?;
    if let Some(fold) = fold(op) {
        return Ok(folded(groups, steps, |_, values| fold(values)));
    }
    match (op.id(), parameter) {
        (T_QUANTILE, Some(Value::Scalar(share))) => {
            Ok(folded(groups, steps, |step, values| quantile(share[step], values.collect())))
        }
        (T_TOPK, Some(Value::Scalar(most))) => chosen(groups, steps, &most, Some(true), allowance),
        (T_BOTTOMK, Some(Value::Scalar(most))) => chosen(groups, steps, &most, Some(false), allowance),
        (T_LIMITK, Some(Value::Scalar(most))) => chosen(groups, steps, &most, None, allowance),
        (T_COUNT_VALUES, Some(Value::Text(label))) => counted(groups, steps, &label, allowance),
        _ => Err(bad(format!("aggregation {op} is not known here, or lacks its parameter"))),
    }
}

fn grouped(modifier: Option<&LabelModifier>, rows: Vec<Row>) -> Vec<(Labels, Vec<Row>)> {
    let mut places: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<(Labels, Vec<Row>)> = Vec::new();
    for row in rows {
        let labels = match modifier {
            None => Labels::default(),
            Some(LabelModifier::Include(names)) => row.labels.only(&names.labels),
            Some(LabelModifier::Exclude(names)) => row.labels.without(&names.labels),
        };
        let place = *places.entry(labels.clone()).or_insert(groups.len());
        if place == groups.len() {
            groups.push((labels, Vec::new()));
        }
        groups[place].1.push(row);
    }
    groups
}

fn folded(
    groups: Vec<(Labels, Vec<Row>)>,
    steps: Steps,
    fold: impl Fn(usize, &mut dyn Iterator<Item = f64>) -> f64,
) -> Vec<Row> {
    let fold = &fold;
    let rows = groups.into_iter().map(|(labels, rows)| {
        let values = (0..steps.count).map(|step| {
            let mut present = rows.iter().map(|row| row.values[step]).filter(|value| !is_absent(*value)).peekable();
            if present.peek().is_none() { ABSENT } else { fold(step, &mut present) }
        });
        Row { values: values.collect(), labels }
    });
    rows.collect()
}

/// The largest of each group at each step, the smallest, or any.
fn chosen(
    groups: Vec<(Labels, Vec<Row>)>,
    steps: Steps,
    most: &[f64],
    largest: Option<bool>,
    allowance: &Allowance<'_>,
) -> Result<Vec<Row>, QueryError> {
    let mut out = Vec::new();
    for (_, mut rows) in groups {
        let mut kept = vec![vec![ABSENT; steps.count]; rows.len()];
        // A place in the result is that at the last step, as an instant shows it.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        for step in 0..steps.count {
            allowance.check_time()?;
            let mut present: Vec<usize> = (0..rows.len()).filter(|row| !is_absent(rows[*row].values[step])).collect();
            let value = |row: &usize| rows[*row].values[step];
            if let Some(largest) = largest {
                present.sort_by(|one, other| {
                    let by_value = value(one).partial_cmp(&value(other)).unwrap_or_else(|| {
                        // NaN is chosen last either way.
                        value(other).is_nan().cmp(&value(one).is_nan()).reverse()
                    });
                    let nan = value(one).is_nan() || value(other).is_nan();
                    if nan || !largest { by_value } else { by_value.reverse() }
                });
            }
            // A negative number, or none, is as nothing.
            present.truncate(most[step] as usize);
            present.iter().for_each(|row| kept[*row][step] = value(row));
            if step + 1 == steps.count {
                let mut places = vec![usize::MAX; rows.len()];
                present.iter().enumerate().for_each(|(place, row)| places[*row] = place);
                order.sort_by_key(|row| places[*row]);
            }
        }
        for row in order {
            let labels = std::mem::take(&mut rows[row].labels);
            out.push(Row { labels, values: std::mem::take(&mut kept[row]) });
        }
    }
    out.retain(|row| !row.is_empty());
    Ok(out)
}

fn counted(
    groups: Vec<(Labels, Vec<Row>)>,
    steps: Steps,
    label: &str,
    allowance: &Allowance<'_>,
) -> Result<Vec<Row>, QueryError> {
    let mut out = Vec::new();
    for (labels, rows) in groups {
        let mut counts: HashMap<String, Vec<f64>> = HashMap::new();
        for row in &rows {
            for (step, value) in row.values.iter().enumerate().filter(|(_, value)| !is_absent(**value)) {
                let counts = counts.entry(Number(*value).to_string());
                let count = &mut counts.or_insert_with(|| vec![ABSENT; steps.count])[step];
                *count = if is_absent(*count) { 1.0 } else { *count + 1.0 };
            }
            allowance.check_rows(out.len() + counts.len(), steps)?;
        }
        for (value, values) in counts {
            let mut labels = labels.clone();
            labels.set(label, &value);
            out.push(Row { labels, values });
        }
    }
    out.sort_by(|one, other| one.labels.cmp(&other.labels));
    merged(out, super::value::SAME_LABELS)
}

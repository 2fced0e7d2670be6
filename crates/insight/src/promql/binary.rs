//! Operators between two values: arithmetic, comparison, sets.

use super::labels::{Labels, NAME};
use super::value::{ABSENT, Row, SAME_LABELS, Steps, Value, is_absent, merged};
use super::{Allowance, QueryError, bad};
use promql_parser::parser::token::{
    T_ADD, T_ATAN2, T_DIV, T_EQLC, T_GTE, T_GTR, T_LAND, T_LOR, T_LSS, T_LTE, T_LUNLESS, T_MOD, T_MUL, T_NEQ, T_POW,
    T_SUB, TokenType,
};
use promql_parser::parser::{BinModifier, LabelModifier, VectorMatchCardinality};
use std::collections::HashMap;

#[derive(Clone, Copy)]
enum Operator {
    Arithmetic(fn(f64, f64) -> f64),
    Comparison(fn(f64, f64) -> bool),
}

fn operator(op: TokenType) -> Option<Operator> {
    use Operator::{Arithmetic, Comparison};
    Some(match op.id() {
        T_ADD => Arithmetic(|left, right| left + right),
        T_SUB => Arithmetic(|left, right| left - right),
        T_MUL => Arithmetic(|left, right| left * right),
        T_DIV => Arithmetic(|left, right| left / right),
        T_MOD => Arithmetic(|left, right| left % right),
        T_POW => Arithmetic(f64::powf),
        T_ATAN2 => Arithmetic(f64::atan2),
        T_EQLC => Comparison(|left, right| left == right),
        T_NEQ => Comparison(|left, right| left != right),
        T_GTR => Comparison(|left, right| left > right),
        T_LSS => Comparison(|left, right| left < right),
        T_GTE => Comparison(|left, right| left >= right),
        T_LTE => Comparison(|left, right| left <= right),
        _ => return None,
    })
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

impl Operator {
    /// `kept` is what a comparison that holds keeps.
    fn apply(self, left: f64, right: f64, kept: f64, as_flag: bool) -> f64 {
        match self {
            Operator::Arithmetic(apply) => apply(left, right),
            Operator::Comparison(holds) if as_flag => flag(holds(left, right)),
            Operator::Comparison(holds) if holds(left, right) => kept,
            Operator::Comparison(_) => ABSENT,
        }
    }

    fn drops_name(self, as_flag: bool) -> bool {
        as_flag || matches!(self, Operator::Arithmetic(_))
    }
}

pub(super) fn binary(
    op: TokenType,
    left: Value,
    right: Value,
    modifier: Option<&BinModifier>,
    steps: Steps,
    allowance: &Allowance<'_>,
) -> Result<Value, QueryError> {
    let as_flag = modifier.is_some_and(|modifier| modifier.return_bool);
    if modifier.is_some_and(|modifier| modifier.fill_values.rhs.is_some() || modifier.fill_values.lhs.is_some()) {
        return Err(bad("`fill` is not known here"));
    }
    if let (Value::Vector(left), Value::Vector(right)) = (&left, &right)
        && let Some(rows) = set(op, left, right, modifier, steps, allowance)?
    {
        return Ok(Value::Vector(rows));
    }
    let operator = operator(op).ok_or_else(|| bad(format!("operator {op} is not known here")))?;
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => {
            let pairs = left.into_iter().zip(right);
            Ok(Value::Scalar(pairs.map(|(left, right)| operator.apply(left, right, left, true)).collect()))
        }
        (Value::Vector(rows), Value::Scalar(right)) => {
            let each = |left, step: usize| operator.apply(left, right[step], left, as_flag);
            with_scalar(rows, each, operator.drops_name(as_flag))
        }
        (Value::Scalar(left), Value::Vector(rows)) => {
            let each = |right, step: usize| operator.apply(left[step], right, right, as_flag);
            with_scalar(rows, each, operator.drops_name(as_flag))
        }
        (Value::Vector(left), Value::Vector(right)) => {
            vectors(operator, (left, right), modifier, as_flag, steps, allowance).map(Value::Vector)
        }
        (left, right) => Err(bad(format!("operator {op} is not defined between {} and {}", left.kind(), right.kind()))),
    }
}

fn with_scalar(rows: Vec<Row>, each: impl Fn(f64, usize) -> f64, drops_name: bool) -> Result<Value, QueryError> {
    let rows = rows.into_iter().map(|mut row| {
        for (step, value) in row.values.iter_mut().enumerate().filter(|(_, value)| !is_absent(**value)) {
            *value = each(*value, step);
        }
        Row { labels: if drops_name { row.labels.nameless() } else { row.labels }, values: row.values }
    });
    merged(rows.collect(), SAME_LABELS).map(Value::Vector)
}

/// The labels by which series of the two sides belong together.
fn signature(labels: &Labels, matching: Option<&LabelModifier>) -> Labels {
    match matching {
        None => labels.nameless(),
        Some(LabelModifier::Include(names)) => labels.only(&names.labels),
        Some(LabelModifier::Exclude(names)) => labels.without(&names.labels),
    }
}

fn by_signature<'a>(rows: &'a [Row], matching: Option<&LabelModifier>) -> HashMap<Labels, Vec<&'a Row>> {
    let mut groups: HashMap<Labels, Vec<&Row>> = HashMap::new();
    for row in rows {
        groups.entry(signature(&row.labels, matching)).or_default().push(row);
    }
    groups
}

/// `and`, `or`, `unless`; `None` for other operators.
fn set(
    op: TokenType,
    left: &[Row],
    right: &[Row],
    modifier: Option<&BinModifier>,
    steps: Steps,
    allowance: &Allowance<'_>,
) -> Result<Option<Vec<Row>>, QueryError> {
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
    let keep = |rows: &[Row], others: &HashMap<Labels, Vec<bool>>, wanted: bool| -> Vec<Row> {
        let kept = rows.iter().map(|row| {
            let present = others.get(&signature(&row.labels, matching));
            let at = |step: usize| present.is_some_and(|present| present[step]);
            let values = row.values.iter().enumerate();
            let values = values.map(|(step, value)| if at(step) == wanted { *value } else { ABSENT });
            Row { labels: row.labels.clone(), values: values.collect() }
        });
        kept.filter(|row| !row.is_empty()).collect()
    };
    match op.id() {
        T_LAND | T_LUNLESS => allowance.check_rows(left.len(), steps)?,
        T_LOR => allowance.check_rows(left.len() + right.len(), steps)?,
        _ => return Ok(None),
    }
    Ok(match op.id() {
        T_LAND => Some(keep(left, &presence(right, matching, steps), true)),
        T_LUNLESS => Some(keep(left, &presence(right, matching, steps), false)),
        T_LOR => {
            let mut rows = left.to_vec();
            rows.extend(keep(right, &presence(left, matching, steps), false));
            Some(merged(rows, SAME_LABELS)?)
        }
        _ => None,
    })
}

/// At which steps any series of a signature has a value.
fn presence(rows: &[Row], matching: Option<&LabelModifier>, steps: Steps) -> HashMap<Labels, Vec<bool>> {
    let mut all: HashMap<Labels, Vec<bool>> = HashMap::new();
    for row in rows {
        let present = all.entry(signature(&row.labels, matching)).or_insert_with(|| vec![false; steps.count]);
        present.iter_mut().zip(&row.values).for_each(|(present, value)| *present |= !is_absent(*value));
    }
    all
}

const MANY: &str = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
const NOT_UNIQUE: &str = "multiple matches for labels: grouping labels must ensure unique matches";

/// One series of each side to one of the other, or many of one side to one of the other.
fn vectors(
    operator: Operator,
    (left, right): (Vec<Row>, Vec<Row>),
    modifier: Option<&BinModifier>,
    as_flag: bool,
    steps: Steps,
    allowance: &Allowance<'_>,
) -> Result<Vec<Row>, QueryError> {
    let matching = modifier.and_then(|modifier| modifier.matching.as_ref());
    let (many, one, swapped, grouped) = match modifier.map(|modifier| &modifier.card) {
        Some(VectorMatchCardinality::ManyToOne(labels)) => (left, right, false, Some(&labels.labels)),
        Some(VectorMatchCardinality::OneToMany(labels)) => (right, left, true, Some(&labels.labels)),
        Some(VectorMatchCardinality::ManyToMany) => return Err(bad("many-to-many is for set operators only")),
        None | Some(VectorMatchCardinality::OneToOne) => (left, right, false, None),
    };
    let ones = by_signature(&one, matching);
    let mut out = Vec::new();
    // Which signatures a one-to-one match has used at which steps.
    let mut used: HashMap<Labels, Vec<bool>> = HashMap::new();
    for row in &many {
        let key = signature(&row.labels, matching);
        let Some(partners) = ones.get(&key) else { continue };
        let mut seen = vec![false; steps.count];
        let used = used.entry(key).or_insert_with(|| vec![false; if grouped.is_none() { steps.count } else { 0 }]);
        for partner in partners {
            let mut values = vec![ABSENT; steps.count];
            for step in 0..steps.count {
                let (own, other) = (row.values[step], partner.values[step]);
                if is_absent(own) || is_absent(other) {
                    continue;
                }
                if std::mem::replace(&mut seen[step], true) {
                    let side = if swapped { "left" } else { "right" };
                    let why = "found duplicate series for the match group on the";
                    return Err(super::execution(format!(
                        "{why} {side} hand-side of the operation: many-to-many matching not allowed: matching labels \
                         must be unique on one side"
                    )));
                }
                let (left, right) = if swapped { (other, own) } else { (own, other) };
                values[step] = operator.apply(left, right, left, as_flag);
                if grouped.is_none() && !is_absent(values[step]) && std::mem::replace(&mut used[step], true) {
                    return Err(super::execution(MANY));
                }
            }
            let labels = result_labels(&row.labels, &partner.labels, matching, grouped, operator.drops_name(as_flag));
            out.push(Row { labels, values });
            allowance.check_rows(out.len(), steps)?;
        }
    }
    merged(out, if grouped.is_some() { NOT_UNIQUE } else { MANY })
}

fn result_labels(
    many: &Labels,
    one: &Labels,
    matching: Option<&LabelModifier>,
    grouped: Option<&Vec<String>>,
    drops_name: bool,
) -> Labels {
    let mut labels = match (grouped, matching) {
        (Some(_), _) | (None, None) => many.clone(),
        (None, Some(LabelModifier::Include(names))) => many.only(&names.labels),
        (None, Some(LabelModifier::Exclude(names))) => {
            let mut labels = many.without(&names.labels);
            labels.set(NAME, many.get(NAME));
            labels
        }
    };
    if drops_name {
        labels.set(NAME, "");
    }
    for name in grouped.into_iter().flatten() {
        labels.set(name, one.get(name));
    }
    labels
}

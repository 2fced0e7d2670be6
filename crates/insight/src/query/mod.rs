//! Prometheus' HTTP query API over the history.
//!
//! Invariant: nobody is told of a series, a label's value or a name that `Sight` does not show them.

mod catalog;
mod json;
mod parameters;
mod source;

pub use source::Sight;
pub(crate) use source::labels as series_labels;

use crate::history::History;
use crate::metric::METRICS;
use crate::promql::{self, Allowance, QueryError, Steps, parse_selector};
use json::Data;
use parameters::Parameters;
use serde_json::{Value as Json, json as to_json};
use source::Seen;
use std::time::{Duration, Instant};

/// How old the last point of a series may be to count as its present value. Measurements come at least every 15 s.
const LOOKBACK_MS: i64 = 60_000;
/// What `start` and `end` are taken for where a question about labels names none.
const LABELS_SINCE_MS: i64 = 3_600_000;

/// How long a question may take, waiting included: as Prometheus. Its parameter `timeout` only makes it less.
const TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    BadData(String),
    Execution(String),
    Internal(String),
    Timeout(String),
    Canceled(String),
    NotFound,
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Failure {
        match error {
            QueryError::Bad(why) => Failure::BadData(why),
            QueryError::Execution(why) => Failure::Execution(why),
            QueryError::Internal(why) => Failure::Internal(why),
            QueryError::Timeout => Failure::Timeout(error.to_string()),
            QueryError::Canceled => Failure::Canceled(error.to_string()),
        }
    }
}

/// Answers a question: `path` is what follows `/api/v1/`. The HTTP status, and the JSON.
///
/// Blocks for as long as `allowance` lets it, and needs the stack of a thread that is made for it.
pub fn answer(
    history: &History,
    path: &str,
    parameters: &[(String, String)],
    sight: &Sight,
    now_ms: i64,
    allowance: &Allowance<'_>,
) -> (u16, Vec<u8>) {
    let seen = Seen { history, sight, allowance };
    let parameters = Parameters { pairs: parameters, now_ms };
    json::encode(data(&seen, path, &parameters))
}

/// The answer of a server whose history cannot be asked.
pub fn unavailable(why: &str) -> (u16, Vec<u8>) {
    json::error(503, "unavailable", why)
}

/// Of a question that had to wait for others until its time was over.
pub(crate) fn waited_too_long() -> (u16, Vec<u8>) {
    json::encode(Err(Failure::Timeout("query timed out in query queue".to_owned())))
}

/// By when a question that comes at this moment must be answered; otherwise the answer that says what is wrong with it.
pub(crate) fn deadline(parameters: &[(String, String)]) -> Result<Instant, (u16, Vec<u8>)> {
    // No moment that it depends on is among these.
    let wanted = Parameters { pairs: parameters, now_ms: 0 }.timeout();
    let wanted = wanted.map_err(|failure| json::encode(Err(failure)))?;
    Ok(Instant::now() + wanted.unwrap_or(TIMEOUT_MAX).min(TIMEOUT_MAX))
}

fn data(seen: &Seen<'_>, path: &str, parameters: &Parameters<'_>) -> Result<Data, Failure> {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["query"] => instant(seen, parameters),
        ["query_range"] => over_range(seen, parameters),
        ["labels"] => catalog::names(seen, parameters),
        ["label", name, "values"] => catalog::values(seen, parameters, name),
        ["series"] => catalog::series(seen, parameters),
        ["metadata"] => Ok(Data::Json(metadata(parameters))),
        ["status", "buildinfo"] => Ok(Data::Json(build())),
        // Nothing here evaluates rules or keeps exemplars: clients that ask are told that there are none.
        ["rules"] => Ok(Data::Json(to_json!({"groups": []}))),
        ["alerts"] => Ok(Data::Json(to_json!({"alerts": []}))),
        ["query_exemplars"] => Ok(Data::Json(to_json!([]))),
        _ => Err(Failure::NotFound),
    }
}

fn instant(seen: &Seen<'_>, parameters: &Parameters<'_>) -> Result<Data, Failure> {
    let time_ms = parameters.time("time")?.unwrap_or(parameters.now_ms);
    let query = parameters.query()?;
    let value = promql::instant(query, time_ms, parameters.lookback(LOOKBACK_MS)?, seen, seen.allowance)?;
    Ok(Data::Instant(time_ms, value))
}

fn over_range(seen: &Seen<'_>, parameters: &Parameters<'_>) -> Result<Data, Failure> {
    let (start_ms, end_ms) = (parameters.demanded_time("start")?, parameters.demanded_time("end")?);
    let steps = Steps::between(start_ms, end_ms, parameters.demanded_duration("step")?)?;
    let lookback_ms = parameters.lookback(LOOKBACK_MS)?;
    let value = promql::over_range(parameters.query()?, steps, lookback_ms, seen, seen.allowance)?;
    Ok(Data::Range(steps, value))
}

fn metadata(parameters: &Parameters<'_>) -> Json {
    let wanted = parameters.get("metric");
    let mut all = serde_json::Map::new();
    for about in &METRICS {
        for name in [about.name, about.node_name].into_iter().filter(|name| !name.is_empty()) {
            if wanted.is_none_or(|wanted| wanted == name) {
                let entry = to_json!([{"type": about.kind.name(), "help": about.help, "unit": ""}]);
                all.insert(name.to_owned(), entry);
            }
        }
    }
    Json::Object(all)
}

/// Clients choose by it what they may ask: the version of the language that is spoken.
fn build() -> Json {
    to_json!({
        "version": "3.0.0", "revision": concat!("sampan-", env!("CARGO_PKG_VERSION")), "branch": "", "buildUser": "",
        "buildDate": "", "goVersion": "",
    })
}

/// The selectors of a question about labels.
fn matchers(parameters: &Parameters<'_>) -> Result<Vec<promql::Matchers>, Failure> {
    parameters.all("match[]").map(|text| parse_selector(text).map_err(Failure::from)).collect()
}

#[cfg(test)]
mod tests;

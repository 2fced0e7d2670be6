//! Questions about what there is: series, the names of their labels, the values of one.

use super::json::Data;
use super::parameters::Parameters;
use super::source::Seen;
use super::{Failure, LABELS_SINCE_MS, matchers};
use crate::promql::{Labels, Matchers, parse_selector};
use std::collections::BTreeSet;

/// Series of one answer.
const SERIES_MAX: usize = 100_000;

/// The labels of every series that one of the question's selectors takes; of all, where it has none.
fn found(seen: &Seen<'_>, parameters: &Parameters<'_>) -> Result<BTreeSet<Labels>, Failure> {
    let (from_ms, to_ms) = parameters.span(LABELS_SINCE_MS)?;
    let mut wanted: Vec<Matchers> = matchers(parameters)?;
    if wanted.is_empty() {
        wanted.push(parse_selector("{__name__!=\"\"}")?);
    }
    let mut all = BTreeSet::new();
    for matchers in &wanted {
        all.extend(seen.matching(matchers, from_ms, to_ms)?.into_keys());
        if all.len() > SERIES_MAX {
            return Err(Failure::Execution(format!("there are more than {SERIES_MAX} such series: select fewer")));
        }
    }
    Ok(all)
}

fn limited(all: BTreeSet<String>, parameters: &Parameters<'_>) -> Result<Data, Failure> {
    let most = match parameters.limit()? {
        0 => usize::MAX,
        limit => limit,
    };
    Ok(Data::Texts(all.into_iter().take(most).collect()))
}

pub(super) fn names(seen: &Seen<'_>, parameters: &Parameters<'_>) -> Result<Data, Failure> {
    let all = found(seen, parameters)?;
    limited(all.iter().flat_map(Labels::iter).map(|(name, _)| name.to_owned()).collect(), parameters)
}

pub(super) fn values(seen: &Seen<'_>, parameters: &Parameters<'_>, name: &str) -> Result<Data, Failure> {
    let all = found(seen, parameters)?;
    let values = all.iter().map(|labels| labels.get(name)).filter(|value| !value.is_empty());
    limited(values.map(str::to_owned).collect(), parameters)
}

pub(super) fn series(seen: &Seen<'_>, parameters: &Parameters<'_>) -> Result<Data, Failure> {
    if parameters.all("match[]").next().is_none() {
        return Err(Failure::BadData("no match[] parameter provided".to_owned()));
    }
    let limit = parameters.limit()?;
    let all = found(seen, parameters)?.into_iter();
    Ok(Data::Series(if limit == 0 { all.collect() } else { all.take(limit).collect() }))
}

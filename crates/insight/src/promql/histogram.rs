//! Quantiles of histograms whose buckets are series with the label `le`.

use super::labels::Labels;
use super::value::{ABSENT, Row, Steps, is_absent};
use std::collections::HashMap;

const BOUND: &str = "le";

/// The quantile `share` (one a step) of each histogram among `rows`.
pub(super) fn quantile(share: &[f64], rows: Vec<Row>, steps: Steps) -> Vec<Row> {
    let mut histograms: HashMap<Labels, Vec<(f64, Vec<f64>)>> = HashMap::new();
    let mut order = Vec::new();
    for row in rows {
        // A series without a bound is no bucket.
        let Some(bound) = bound(row.labels.get(BOUND)) else { continue };
        let labels = row.labels.without(&[BOUND.to_owned()]);
        let buckets = histograms.entry(labels.clone()).or_default();
        if buckets.is_empty() {
            order.push(labels);
        }
        buckets.push((bound, row.values));
    }
    let quantiles = order.into_iter().map(|labels| {
        let mut buckets = histograms.remove(&labels).unwrap_or_default();
        buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
        let values = (0..steps.count).map(|step| {
            let present = buckets.iter().map(|(bound, values)| (*bound, values[step]));
            let present: Vec<_> = present.filter(|(_, count)| !is_absent(*count)).collect();
            if present.is_empty() { ABSENT } else { of_buckets(share[step], present) }
        });
        Row { labels, values: values.collect() }
    });
    quantiles.collect()
}

fn bound(text: &str) -> Option<f64> {
    match text {
        "" => None,
        "+Inf" => Some(f64::INFINITY),
        other => other.parse().ok(),
    }
}

/// Of one moment's buckets, by their bounds; their counts include those below.
fn of_buckets(share: f64, mut buckets: Vec<(f64, f64)>) -> f64 {
    if share.is_nan() {
        return f64::NAN;
    }
    if share < 0.0 {
        return f64::NEG_INFINITY;
    }
    if share > 1.0 {
        return f64::INFINITY;
    }
    if buckets.last().is_none_or(|(bound, _)| *bound != f64::INFINITY) {
        return f64::NAN;
    }
    // Rates of counters that were read at different moments may fall a little where they cannot.
    let mut most = f64::NEG_INFINITY;
    for (_, count) in &mut buckets {
        most = most.max(*count);
        *count = most;
    }
    let total = most;
    if buckets.len() < 2 || total == 0.0 || total.is_nan() {
        return f64::NAN;
    }
    let rank = share * total;
    let last = buckets.len() - 1;
    let place = buckets[..last].iter().position(|(_, count)| *count >= rank).unwrap_or(last);
    if place == last {
        return buckets[last - 1].0;
    }
    let (end, count) = buckets[place];
    if place == 0 && end <= 0.0 {
        return end;
    }
    let (start, below) = if place == 0 { (0.0, 0.0) } else { buckets[place - 1] };
    start + (end - start) * ((rank - below) / (count - below))
}

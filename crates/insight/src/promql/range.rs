//! Functions of ranges: what a window of points comes to.

use super::source::Point;

/// What a function knows of the window that it is asked about.
pub(super) struct Window<'a> {
    /// At least one.
    pub(super) points: &'a [Point],
    pub(super) start_ms: i64,
    pub(super) end_ms: i64,
    /// The function's number beside the range, if it has one, at this step.
    pub(super) number: f64,
}

type Function = fn(&Window<'_>) -> Option<f64>;

/// The function, and whether its series keep their name.
pub(super) fn find(name: &str) -> Option<(Function, bool)> {
    let function: Function = match name {
        "rate" => |window| extrapolated(window, true).map(|grown| grown / seconds(window.end_ms - window.start_ms)),
        "increase" => |window| extrapolated(window, true),
        "delta" => |window| extrapolated(window, false),
        "irate" => |window| {
            last_two(window).map(|(step, before, last)| (if last < before { last } else { last - before }) / step)
        },
        "idelta" => |window| last_two(window).map(|(_, before, last)| last - before),
        "changes" => {
            |window| Some(pairs(window, |before, after| before != after && !(before.is_nan() && after.is_nan())))
        }
        "resets" => |window| Some(pairs(window, |before, after| after < before)),
        "deriv" => |window| regression(window, window.points.first()?.0).map(|(slope, _)| slope),
        "predict_linear" => {
            |window| regression(window, window.end_ms).map(|(slope, intercept)| slope * window.number + intercept)
        }
        "avg_over_time" => |window| Some(sum(window) / window.points.len() as f64),
        "sum_over_time" => |window| Some(sum(window)),
        "count_over_time" => |window| Some(window.points.len() as f64),
        "min_over_time" => {
            |window| values(window).reduce(|least, value| if value < least || least.is_nan() { value } else { least })
        }
        "max_over_time" => {
            |window| values(window).reduce(|most, value| if value > most || most.is_nan() { value } else { most })
        }
        "last_over_time" => return Some((|window| values(window).last(), true)),
        "first_over_time" => return Some((|window| values(window).next(), true)),
        "present_over_time" => |_| Some(1.0),
        "stdvar_over_time" => |window| Some(variance(values(window))),
        "stddev_over_time" => |window| Some(variance(values(window)).sqrt()),
        "mad_over_time" => |window| Some(deviation(window)),
        "quantile_over_time" => |window| Some(quantile(window.number, values(window).collect())),
        _ => return None,
    };
    Some((function, false))
}

fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1000.0
}

fn values<'a>(window: &'a Window<'_>) -> impl Iterator<Item = f64> + 'a {
    window.points.iter().map(|(_, value)| *value)
}

fn sum(window: &Window<'_>) -> f64 {
    precise_sum(values(window))
}

/// Without the error that adding small numbers to large ones makes.
pub(super) fn precise_sum(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut lost) = (0.0_f64, 0.0_f64);
    for value in values {
        let next = sum + value;
        if next.is_infinite() {
            lost = 0.0;
        } else if sum.abs() >= value.abs() {
            lost += (sum - next) + value;
        } else {
            lost += (value - next) + sum;
        }
        sum = next;
    }
    sum + lost
}

pub(super) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        squares += delta * (value - mean);
    }
    squares / count
}

fn deviation(window: &Window<'_>) -> f64 {
    let median = quantile(0.5, values(window).collect());
    quantile(0.5, values(window).map(|value| (value - median).abs()).collect())
}

/// Between the two values that it lies between; infinite beyond 0 and 1.
pub(super) fn quantile(share: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || share.is_nan() {
        return f64::NAN;
    }
    if share < 0.0 {
        return f64::NEG_INFINITY;
    }
    if share > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(|one, other| one.is_nan().cmp(&other.is_nan()).reverse().then(one.total_cmp(other)));
    let rank = share * (values.len() as f64 - 1.0);
    let lower = rank.floor() as usize;
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// How much it grew over the whole window, if it went on as between the points; of counters, which begin anew at zero
/// and were never below it.
fn extrapolated(window: &Window<'_>, is_counter: bool) -> Option<f64> {
    let ([first, ..], [.., last]) = (window.points, window.points) else { return None };
    if window.points.len() < 2 || first.0 >= last.0 {
        return None;
    }
    let mut grown = last.1 - first.1;
    if is_counter {
        let pairs = window.points.windows(2);
        grown += pairs.filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum::<f64>();
    }
    let sampled = seconds(last.0 - first.0);
    let between = sampled / (window.points.len() as f64 - 1.0);
    // So near to the window's border the series is taken to go on to it; else to half the usual distance.
    let threshold = between * 1.1;
    let reach = |distance: f64| if distance >= threshold { between / 2.0 } else { distance };
    let mut to_start = reach(seconds(first.0 - window.start_ms));
    if is_counter && grown > 0.0 && first.1 >= 0.0 {
        to_start = to_start.min(sampled * (first.1 / grown));
    }
    let to_end = reach(seconds(window.end_ms - last.0));
    Some(grown * ((sampled + to_start + to_end) / sampled))
}

/// The seconds between the last two points, and both values.
fn last_two(window: &Window<'_>) -> Option<(f64, f64, f64)> {
    let [.., before, last] = window.points else { return None };
    let step = seconds(last.0 - before.0);
    (step > 0.0).then_some((step, before.1, last.1))
}

fn pairs(window: &Window<'_>, counts: fn(f64, f64) -> bool) -> f64 {
    window.points.windows(2).filter(|pair| counts(pair[0].1, pair[1].1)).count() as f64
}

/// Slope per second and value at `origin_ms` of the line through the points.
fn regression(window: &Window<'_>, origin_ms: i64) -> Option<(f64, f64)> {
    if window.points.len() < 2 {
        return None;
    }
    let count = window.points.len() as f64;
    let first = window.points[0].1;
    if window.points.iter().all(|(_, value)| *value == first) {
        return Some((0.0, first));
    }
    let (mut x_sum, mut y_sum, mut xy, mut xx) = (0.0, 0.0, 0.0, 0.0);
    for (time, value) in window.points {
        let x = seconds(time - origin_ms);
        x_sum += x;
        y_sum += value;
        xy += x * value;
        xx += x * x;
    }
    let slope = (xy - x_sum * y_sum / count) / (xx - x_sum * x_sum / count);
    Some((slope, y_sum / count - slope * x_sum / count))
}

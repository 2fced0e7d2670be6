//! From what metrics ask for to what is done: windows of the past, rates of change, and bounds. Pure.

use super::memory::Memory;
use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscalerBehavior};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// What has been asked for in so long a time holds against fewer replicas, where an autoscaler does not say.
const DOWNSCALE_STABILIZATION: SignedDuration = SignedDuration::from_mins(5);
/// Without a behavior the count at most doubles at one time, or becomes this.
const SCALE_UP_LEAST: i32 = 4;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) current: i32,
    pub(super) min: i32,
    pub(super) max: i32,
}

/// Why, in the words of a condition.
pub(super) type Why = (&'static str, &'static str);

#[derive(Debug, PartialEq)]
pub(super) struct Limited {
    pub(super) replicas: i32,
    pub(super) able: Why,
    pub(super) limit: Why,
    pub(super) is_limited: bool,
}

const READY: Why = ("ReadyForNewScale", "recommended size matches current size");
const DOWN_STABILIZED: Why = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);
const UP_STABILIZED: Why = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const WITHIN: Why = ("DesiredWithinRange", "the desired count is within the acceptable range");
const TOO_FAST_UP: Why = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
const TOO_FAST_DOWN: Why =
    ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
const TOO_MANY: Why = ("TooManyReplicas", "the desired replica count is more than the maximum replica count");
const TOO_FEW: Why = ("TooFewReplicas", "the desired replica count is less than the minimum replica count");

/// Notes what is asked for, and says what may be done.
pub(super) fn limited(
    behavior: Option<&HorizontalPodAutoscalerBehavior>,
    bounds: Bounds,
    asked: i32,
    memory: &mut Memory,
    now: Timestamp,
) -> Limited {
    let (steady, able) = match behavior {
        None => stabilized(asked, memory, now),
        Some(behavior) => stabilized_by(behavior, bounds.current, asked, memory, now),
    };
    let able = if steady == asked { READY } else { able };
    let (replicas, limit) = match behavior {
        None => within_defaults(bounds, steady),
        Some(behavior) => within_rates(behavior, bounds, steady, memory, now),
    };
    Limited { replicas, able, limit, is_limited: replicas != steady }
}

fn stabilized(asked: i32, memory: &mut Memory, now: Timestamp) -> (i32, Why) {
    let highest = memory.recommended(DOWNSCALE_STABILIZATION, now).fold(asked, i32::max);
    memory.recommend(asked, now, DOWNSCALE_STABILIZATION);
    (highest, DOWN_STABILIZED)
}

fn window(rules: Option<&HPAScalingRules>, default: SignedDuration) -> SignedDuration {
    let seconds = rules.and_then(|rules| rules.stabilization_window_seconds);
    seconds.map_or(default, |seconds| SignedDuration::from_secs(seconds.into()))
}

/// The present count, moved no further than everything asked for in each direction's window allows.
fn stabilized_by(
    behavior: &HorizontalPodAutoscalerBehavior,
    current: i32,
    asked: i32,
    memory: &mut Memory,
    now: Timestamp,
) -> (i32, Why) {
    let up = window(behavior.scale_up.as_ref(), SignedDuration::ZERO);
    let down = window(behavior.scale_down.as_ref(), DOWNSCALE_STABILIZATION);
    let lowest = memory.recommended(up, now).fold(asked, i32::min);
    let highest = memory.recommended(down, now).fold(asked, i32::max);
    memory.recommend(asked, now, up.max(down));
    let why = if asked >= current { UP_STABILIZED } else { DOWN_STABILIZED };
    (current.max(lowest).min(highest), why)
}

fn within_defaults(bounds: Bounds, steady: i32) -> (i32, Why) {
    let fastest = bounds.current.saturating_mul(2).max(SCALE_UP_LEAST);
    let (most, why) = if bounds.max > fastest { (fastest, TOO_FAST_UP) } else { (bounds.max, TOO_MANY) };
    match steady {
        few if few < bounds.min => (bounds.min, TOO_FEW),
        many if many > most => (most, why),
        fine => (fine, WITHIN),
    }
}

fn within_rates(
    behavior: &HorizontalPodAutoscalerBehavior,
    bounds: Bounds,
    steady: i32,
    memory: &Memory,
    now: Timestamp,
) -> (i32, Why) {
    let Bounds { current, min, max } = bounds;
    if steady > current {
        let fastest = most_after(behavior.scale_up.as_ref(), current, memory, now).max(current);
        let (most, why) = if max > fastest { (fastest, TOO_FAST_UP) } else { (max, TOO_MANY) };
        if steady > most {
            return (most, why);
        }
    } else if steady < current {
        let fastest = fewest_after(behavior.scale_down.as_ref(), current, memory, now).min(current);
        let (fewest, why) = if min < fastest { (fastest, TOO_FAST_DOWN) } else { (min, TOO_FEW) };
        if steady < fewest {
            return (fewest, why);
        }
    }
    (steady, WITHIN)
}

/// What each policy would let the count become: what it was at the start of the policy's period, changed by `change`.
fn policies<'a>(
    rules: &'a HPAScalingRules,
    current: i32,
    memory: &'a Memory,
    now: Timestamp,
    change: fn(&str, i32, i32) -> i32,
) -> impl Iterator<Item = i32> + 'a {
    rules.policies.iter().flatten().map(move |policy| {
        let period = SignedDuration::from_secs(policy.period_seconds.into());
        change(&policy.type_, memory.count_before(current, period, now), policy.value)
    })
}

fn most_after(rules: Option<&HPAScalingRules>, current: i32, memory: &Memory, now: Timestamp) -> i32 {
    let Some(rules) = rules else { return i32::MAX };
    let counts = policies(rules, current, memory, now, |kind, start, value| match kind {
        "Percent" => (f64::from(start) * (1.0 + f64::from(value) / 100.0)).ceil() as i32,
        _ => start.saturating_add(value),
    });
    match rules.select_policy.as_deref() {
        Some("Disabled") => current,
        Some("Min") => counts.min().unwrap_or(i32::MAX),
        _ => counts.max().unwrap_or(i32::MAX),
    }
}

fn fewest_after(rules: Option<&HPAScalingRules>, current: i32, memory: &Memory, now: Timestamp) -> i32 {
    let Some(rules) = rules else { return 0 };
    let counts = policies(rules, current, memory, now, |kind, start, value| match kind {
        "Percent" => (f64::from(start) * (1.0 - f64::from(value) / 100.0)) as i32,
        _ => start.saturating_sub(value),
    });
    match rules.select_policy.as_deref() {
        Some("Disabled") => current,
        Some("Min") => counts.max().unwrap_or(0),
        _ => counts.min().unwrap_or(0),
    }
}

/// How long changes have to be remembered for the policies of both directions.
pub(super) fn longest_period(behavior: &HorizontalPodAutoscalerBehavior) -> SignedDuration {
    let rules = [&behavior.scale_up, &behavior.scale_down].into_iter().flatten();
    let periods = rules.flat_map(|rules| rules.policies.iter().flatten()).map(|policy| policy.period_seconds);
    SignedDuration::from_secs(periods.max().unwrap_or(0).into())
}

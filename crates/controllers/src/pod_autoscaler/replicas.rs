//! How many replicas a measurement asks for. Pure.
//!
//! Invariant: what is not known never moves the count further than what is known: pods without a measurement count as
//! idle where the others ask for more, and as busy where they ask for fewer; neither ever turns the direction.

use super::pods::{Measured, Use};
use api::quantity::Quantity;
use k8s_openapi::api::autoscaling::v2::{HPAScalingRules, HorizontalPodAutoscalerBehavior};

/// Of the whole cluster, where an autoscaler names none of its own.
const TOLERANCE: f64 = 0.1;

/// How far the ratio of what is to what is wanted may be from one without anything being done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerances {
    down: f64,
    up: f64,
}

impl Tolerances {
    pub(super) fn of(behavior: Option<&HorizontalPodAutoscalerBehavior>) -> Tolerances {
        let own = |rules: Option<&HPAScalingRules>| {
            let tolerance = rules.and_then(|rules| rules.tolerance.as_ref());
            tolerance.and_then(|own| Quantity::try_from(own).ok()).map_or(TOLERANCE, Quantity::as_f64)
        };
        Tolerances {
            down: own(behavior.and_then(|behavior| behavior.scale_down.as_ref())),
            up: own(behavior.and_then(|behavior| behavior.scale_up.as_ref())),
        }
    }

    fn cover(self, ratio: f64) -> bool {
        1.0 - self.down <= ratio && ratio <= 1.0 + self.up
    }
}

/// What pods are to use on average.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// Of what they request.
    Percent(i32),
    /// In thousandths.
    Milli(i64),
}

/// What pods use on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Average {
    pub(super) percent: i32,
    pub(super) milli: i64,
}

fn average(uses: &[Use]) -> Option<Average> {
    let (used, requested) = uses.iter().fold((0_i128, 0_i128), |(used, requested), pod| {
        (used + i128::from(pod.milli), requested + i128::from(pod.request))
    });
    let milli = used / i128::try_from(uses.len()).ok().filter(|count| *count > 0)?;
    let percent = (used * 100).checked_div(requested).unwrap_or_default();
    let clamped = |number: i128| number.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Some(Average {
        percent: i32::try_from(percent).unwrap_or(i32::MAX),
        milli: i64::try_from(clamped(milli)).unwrap_or(i64::MAX),
    })
}

impl Goal {
    fn ratio(self, average: Average) -> f64 {
        match self {
            Goal::Percent(percent) => f64::from(average.percent) / f64::from(percent),
            Goal::Milli(milli) => average.milli as f64 / milli as f64,
        }
    }

    /// What a pod that nobody has measured is taken to use where the others ask for fewer.
    fn busy(self, pod: Use) -> i64 {
        match self {
            Goal::Percent(percent) => pod.request.saturating_mul(i64::from(percent.max(100))) / 100,
            Goal::Milli(milli) => milli,
        }
    }
}

/// Rounded up; what does not fit is the most there is.
fn ceil(number: f64) -> i32 {
    number.ceil() as i32
}

/// How many replicas pods ask for that are measured one by one, and what those use that count.
pub(super) fn by_pods(
    measured: &Measured,
    goal: Goal,
    tolerances: Tolerances,
    current: i32,
) -> Result<(i32, Average), String> {
    let known = average(&measured.counted)
        .ok_or_else(|| "did not receive metrics for targeted pods (pods might be unready)".to_owned())?;
    if matches!(goal, Goal::Percent(_)) && measured.counted.iter().all(|pod| pod.request == 0) {
        return Err("no metrics returned matched known pods".to_owned());
    }
    let ratio = goal.ratio(known);
    let with_unready = ratio > 1.0 && !measured.unready.is_empty();
    if !with_unready && measured.missing.is_empty() {
        let replicas = if tolerances.cover(ratio) { current } else { ceil(ratio * measured.counted.len() as f64) };
        return Ok((replicas, known));
    }
    let mut all = measured.counted.clone();
    // At exactly one, nobody asks for a change, and the missing pods cannot either.
    if ratio < 1.0 {
        all.extend(measured.missing.iter().map(|pod| Use { milli: goal.busy(*pod), ..*pod }));
    } else if ratio > 1.0 {
        all.extend(measured.missing.iter().map(|pod| Use { milli: 0, ..*pod }));
    }
    if with_unready {
        all.extend(measured.unready.iter().map(|pod| Use { milli: 0, ..*pod }));
    }
    let careful = average(&all).map_or(ratio, |average| goal.ratio(average));
    let turned = (ratio < 1.0 && careful > 1.0) || (ratio > 1.0 && careful < 1.0);
    if tolerances.cover(careful) || turned {
        return Ok((current, known));
    }
    let replicas = ceil(careful * all.len() as f64);
    let turned = (careful < 1.0 && replicas > current) || (careful > 1.0 && replicas < current);
    Ok((if turned { current } else { replicas }, known))
}

/// How many replicas a total asks for that is to have a value. `ready` counts the pods that carry it; without replicas
/// every bit of it counts.
pub(super) fn by_total(
    current: i32,
    total_milli: i64,
    target_milli: i64,
    tolerances: Tolerances,
    ready: impl FnOnce() -> Result<usize, String>,
) -> Result<i32, String> {
    let ratio = total_milli as f64 / target_milli as f64;
    if current == 0 {
        return Ok(ceil(ratio));
    }
    if tolerances.cover(ratio) {
        return Ok(current);
    }
    let ready = ready().map_err(|why| format!("unable to calculate ready pods: {why}"))?;
    Ok(ceil(ratio * ready as f64))
}

/// How many replicas a total asks for of which each replica is to have a part, and the part that each has.
pub(super) fn by_part(replicas: i32, total_milli: i64, target_milli: i64, tolerances: Tolerances) -> (i32, i64) {
    let (total, target) = (total_milli as f64, target_milli as f64);
    let ratio = total / (target * f64::from(replicas));
    let wanted = if tolerances.cover(ratio) { replicas } else { ceil(total / target) };
    let part = (total / f64::from(replicas.max(1))).ceil() as i64;
    (wanted, part)
}

//! Numbers that users give as a count or as a percentage of another.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// The count, a percentage being of `total`; `None` for a text that is no percentage.
pub(crate) fn scaled(value: &IntOrString, total: i32, round_up: bool) -> Option<i32> {
    match value {
        IntOrString::Int(count) => Some(*count),
        IntOrString::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            let hundredths = percent * i64::from(total);
            let count = if round_up {
                hundredths.div_euclid(100) + i64::from(hundredths.rem_euclid(100) > 0)
            } else {
                hundredths / 100
            };
            i32::try_from(count).ok()
        }
    }
}

/// How far a rolling update of `replicas` may go above and below; both 0 would never move, so then one may be missing.
pub(crate) fn fenceposts(
    max_surge: Option<&IntOrString>,
    max_unavailable: Option<&IntOrString>,
    replicas: i32,
) -> (i32, i32) {
    // Without defaulting, as for objects written by a server that knows none, upstream counts 0.
    let surge = max_surge.and_then(|value| scaled(value, replicas, true)).unwrap_or(0);
    let unavailable = max_unavailable.and_then(|value| scaled(value, replicas, false)).unwrap_or(0);
    if surge == 0 && unavailable == 0 { (0, 1) } else { (surge, unavailable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surge_rounds_up_and_unavailable_down() {
        let percent = |text: &str| IntOrString::String(text.to_owned());
        let check = |surge: IntOrString, unavailable: IntOrString, replicas, want| {
            assert_eq!(
                fenceposts(Some(&surge), Some(&unavailable), replicas),
                want,
                "{surge:?} {unavailable:?} {replicas}"
            );
        };
        check(percent("25%"), percent("25%"), 10, (3, 2));
        check(percent("25%"), percent("25%"), 1, (1, 0));
        check(percent("25%"), percent("25%"), 4, (1, 1));
        check(percent("0%"), percent("10%"), 5, (0, 1));
        check(IntOrString::Int(0), IntOrString::Int(0), 5, (0, 1));
        check(IntOrString::Int(2), percent("0%"), 5, (2, 0));
        check(percent("nonsense"), IntOrString::Int(1), 5, (0, 1));
    }
}

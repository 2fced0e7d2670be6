//! Durations as Go prints them, which is how upstream's messages show them.

use jiff::SignedDuration;

/// `850ms`, `1.5s`, `1m20s`, `1h0m0s`. Below a second at millisecond precision, as upstream rounds what it shows.
pub(crate) fn go_duration(duration: SignedDuration) -> String {
    let millis = duration.as_millis().max(0);
    if millis < 1000 {
        return if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") };
    }
    let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
    let seconds = format!("{}.{:03}", millis / 1000 % 60, millis % 1000);
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_look_like_gos() {
        let check = |millis: i64, text: &str| assert_eq!(go_duration(SignedDuration::from_millis(millis)), text);
        check(0, "0s");
        check(20, "20ms");
        check(1500, "1.5s");
        check(10_000, "10s");
        check(80_000, "1m20s");
        check(300_000, "5m0s");
        check(3_600_000, "1h0m0s");
    }
}

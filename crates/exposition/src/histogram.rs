//! A histogram into which many count at once, without a lock.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug)]
pub struct Histogram {
    /// Rising.
    bounds: &'static [f64],
    /// Each counts only its own; the last what is above all bounds.
    buckets: Box<[AtomicU64]>,
    /// The bits of a number, as there is no atomic one.
    sum: AtomicU64,
}

impl Histogram {
    pub fn new(bounds: &'static [f64]) -> Histogram {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, buckets, sum: AtomicU64::new(0.0_f64.to_bits()) }
    }

    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        if value == 0.0 {
            return;
        }
        let mut sum = self.sum.load(Ordering::Relaxed);
        loop {
            let next = (f64::from_bits(sum) + value).to_bits();
            match self.sum.compare_exchange_weak(sum, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(newer) => sum = newer,
            }
        }
    }

    /// In seconds.
    pub fn took(&self, took: Duration) {
        self.observe(took.as_secs_f64());
    }

    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// Appends the series of one set of labels, which come without their braces.
    pub fn write(&self, name: &str, labels: &str, out: &mut String) -> std::fmt::Result {
        let comma = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (bound, bucket) in self.bounds.iter().zip(&self.buckets) {
            below += bucket.load(Ordering::Relaxed);
            writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {below}")?;
        }
        let count = below + self.buckets[self.bounds.len()].load(Ordering::Relaxed);
        let sum = f64::from_bits(self.sum.load(Ordering::Relaxed));
        writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {count}")?;
        writeln!(out, "{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::new(&[0.125, 1.0]);
        [0, 125, 500, 5000].map(Duration::from_millis).into_iter().for_each(|took| histogram.took(took));
        let mut text = String::new();
        histogram.write("took_seconds", "name=\"a\"", &mut text).unwrap();
        let wanted = [
            "took_seconds_bucket{name=\"a\",le=\"0.125\"} 2",
            "took_seconds_bucket{name=\"a\",le=\"1\"} 3",
            "took_seconds_bucket{name=\"a\",le=\"+Inf\"} 4",
            "took_seconds_sum{name=\"a\"} 5.625",
            "took_seconds_count{name=\"a\"} 4",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
        assert_eq!(histogram.count(), 4);
    }

    #[test]
    fn nothing_is_lost_when_many_count_at_once() {
        let histogram = Histogram::new(&[1.0]);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| histogram.observe(0.5)));
            }
        });
        let mut text = String::new();
        histogram.write("amount", "", &mut text).unwrap();
        assert!(text.contains("amount_sum{} 20000\n") && text.contains("amount_bucket{le=\"1\"} 40000\n"), "{text}");
    }
}

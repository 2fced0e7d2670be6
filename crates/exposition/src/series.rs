//! Families of counters and histograms, whose labels users' objects name.
//!
//! Bound of a set of families: `SERIES_MAX` series in one set, as labels may come under ever new names; what comes beyond is not counted.

use crate::{Histogram, head, labels};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

const SERIES_MAX: usize = 10_000;

#[derive(Debug)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    /// The buckets' upper bounds; a counter has none.
    pub bounds: &'static [f64],
}

impl Family {
    pub const fn counter(name: &'static str, help: &'static str) -> Family {
        Family { name, help, bounds: &[] }
    }

    pub const fn histogram(name: &'static str, help: &'static str, bounds: &'static [f64]) -> Family {
        Family { name, help, bounds }
    }
}

/// By the family's name and the labels as they are written. A counter is a histogram without buckets.
#[derive(Default)]
pub struct Series(Mutex<BTreeMap<(&'static str, String), Histogram>>);

impl Series {
    pub fn count(&self, family: &'static Family, pairs: &[(&str, &str)]) {
        self.observe(family, pairs, 0.0);
    }

    pub fn took(&self, family: &'static Family, pairs: &[(&str, &str)], took: Duration) {
        self.observe(family, pairs, took.as_secs_f64());
    }

    pub fn observe(&self, family: &'static Family, pairs: &[(&str, &str)], value: f64) {
        let key = (family.name, labels(pairs));
        let mut series = self.0.lock();
        if series.len() < SERIES_MAX || series.contains_key(&key) {
            series.entry(key).or_insert_with(|| Histogram::new(family.bounds)).observe(value);
        }
    }

    /// Appends the families; those that counted nothing are left out.
    pub fn write(&self, families: &[&Family], out: &mut String) -> std::fmt::Result {
        let series = self.0.lock();
        for Family { name, help, bounds } in families {
            let own = series.range((*name, String::new())..).take_while(|((family, _), _)| family == name);
            let mut own = own.peekable();
            if own.peek().is_none() {
                continue;
            }
            let kind = if bounds.is_empty() { "counter" } else { "histogram" };
            head(out, name, kind, help)?;
            for ((_, labels), amounts) in own {
                if bounds.is_empty() {
                    writeln!(out, "{name}{{{labels}}} {}", amounts.count())?;
                } else {
                    amounts.write(name, labels, out)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ASKED: Family = Family::counter("asked_total", "Questions.");
    static TOOK: Family = Family::histogram("took_seconds", "Answers.", &[0.1, 1.0]);

    #[test]
    fn families_stand_together_and_buckets_add_up() {
        let series = Series::default();
        series.count(&ASKED, &[("name", "b")]);
        series.took(&TOOK, &[("name", "a\"\\\n")], Duration::from_millis(500));
        series.count(&ASKED, &[("name", "a")]);
        series.count(&ASKED, &[("name", "b")]);
        series.took(&TOOK, &[("name", "a\"\\\n")], Duration::from_secs(5));
        let mut text = String::new();
        series.write(&[&ASKED, &TOOK], &mut text).unwrap();
        let labels = r#"name="a\"\\\n""#;
        let wanted = [
            "# HELP asked_total Questions.",
            "# TYPE asked_total counter",
            "asked_total{name=\"a\"} 1",
            "asked_total{name=\"b\"} 2",
            "# HELP took_seconds Answers.",
            "# TYPE took_seconds histogram",
            &format!("took_seconds_bucket{{{labels},le=\"0.1\"}} 0"),
            &format!("took_seconds_bucket{{{labels},le=\"1\"}} 1"),
            &format!("took_seconds_bucket{{{labels},le=\"+Inf\"}} 2"),
            &format!("took_seconds_sum{{{labels}}} 5.5"),
            &format!("took_seconds_count{{{labels}}} 2"),
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn names_beyond_the_bound_are_not_counted() {
        let series = Series::default();
        (0..SERIES_MAX + 5).for_each(|number| series.count(&ASKED, &[("name", &number.to_string())]));
        series.count(&ASKED, &[("name", "0")]);
        let mut text = String::new();
        series.write(&[&ASKED], &mut text).unwrap();
        assert_eq!(text.lines().count(), SERIES_MAX + 2);
        assert!(text.contains("asked_total{name=\"0\"} 2\n"), "known ones go on");
    }
}

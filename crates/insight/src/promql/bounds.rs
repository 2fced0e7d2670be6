//! That queries end where their allowance does.

use super::source::{Matchers, Point};
use super::{Allowance, Labels, QueryError, Source, Steps, over_range};
use std::cell::Cell;
use std::time::{Duration, Instant};

const STEPS: usize = 100;
const SERIES: usize = 10;

/// Ten series that have a point at every step; counts those that were read.
#[derive(Default)]
struct Ten(Cell<usize>);

impl Source for Ten {
    fn series(
        &self,
        _: &Matchers,
        from_ms: i64,
        to_ms: i64,
        each: &mut dyn FnMut(Labels, Vec<Point>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        for number in 0..SERIES {
            self.0.set(self.0.get() + 1);
            let points = (0..STEPS as i64).map(|step| step * 1000).filter(|time| (from_ms..=to_ms).contains(time));
            let labels = Labels::of([("__name__", "a"), ("number", number.to_string().as_str())]);
            each(labels, points.map(|time| (time, 1.0)).collect())?;
        }
        Ok(())
    }
}

fn ask(query: &str, source: &Ten, allowance: &Allowance<'_>) -> Result<usize, QueryError> {
    let steps = Steps { start_ms: 0, step_ms: 1000, count: STEPS };
    over_range(query, steps, 60_000, source, allowance).map(|value| value.cells())
}

fn later() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

#[test]
fn all_parts_of_a_query_together_have_one_bound() {
    let cells = STEPS * SERIES;
    let check = |query: &str, cells_max: usize| {
        let answered = ask(query, &Ten::default(), &Allowance::new(later(), &|| false).of_cells(cells_max));
        match answered {
            Ok(_) => true,
            Err(error) => {
                assert!(error.to_string().contains("too many samples"), "{query}: {error}");
                false
            }
        }
    };
    assert!(check("a", cells));
    assert!(!check("a", cells - 1));
    // Two vectors and what comes of them, then that and the third: never more than three at one time.
    assert!(check("a + a + a + a + a", 3 * cells));
    assert!(!check("a + a", 3 * cells - 1));
    // Here the left sides wait for the right ones.
    assert!(!check("a + (a + (a + a))", 3 * cells));
    assert!(check("a + (a + (a + a))", 5 * cells));
    assert!(check("sum(a) + sum(a) + sum(a)", 2 * cells));
    assert!(!check("topk(1, a)", 2 * cells - 1), "what is chosen lies beside what it is chosen from");
    assert!(!check("1 + (1 + (1 + (1 + 1)))", 4 * STEPS));
}

#[test]
fn a_query_ends_at_its_deadline_and_when_nobody_waits() {
    let past = Instant::now();
    for query in ["a", "rate(a[1m])", "sum(a)", "1", "timestamp(a)", "max_over_time(a[1m:1s])"] {
        let answered = ask(query, &Ten::default(), &Allowance::new(past, &|| false));
        assert_eq!(answered, Err(QueryError::Timeout), "{query}");
    }
    let source = Ten::default();
    let gone = || source.0.get() > 2;
    assert_eq!(ask("rate(a[1m])", &source, &Allowance::new(later(), &gone)), Err(QueryError::Canceled));
    assert_eq!(source.0.get(), 3, "what nobody waits for is not read to the end");
}

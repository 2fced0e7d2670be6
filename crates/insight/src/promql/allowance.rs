//! What one query may take: time, values held at one moment, points read.
//!
//! Invariant: `held` is what those parts of the query hold that are evaluated and still needed; a part that is done
//! counts as its value alone. So a sum of many vectors may hold no more than one vector may.

use super::{CELLS_MAX, POINTS_MAX, QueryError, Steps, execution};
use std::cell::Cell;
use std::time::Instant;

const TOO_MANY: &str = "query processing would load too many samples into memory in query execution";

pub struct Allowance<'a> {
    deadline: Instant,
    /// Whether nobody waits for the answer any more.
    abandoned: &'a dyn Fn() -> bool,
    cells_max: usize,
    held: Cell<usize>,
    points: Cell<usize>,
}

impl<'a> Allowance<'a> {
    pub fn new(deadline: Instant, abandoned: &'a dyn Fn() -> bool) -> Allowance<'a> {
        Allowance { deadline, abandoned, cells_max: CELLS_MAX, held: Cell::new(0), points: Cell::new(0) }
    }

    #[cfg(test)]
    pub(super) fn of_cells(self, cells_max: usize) -> Allowance<'a> {
        Allowance { cells_max, ..self }
    }

    /// To be asked at least once a series, and wherever work goes on for more than some milliseconds.
    pub fn check_time(&self) -> Result<(), QueryError> {
        if (self.abandoned)() {
            return Err(QueryError::Canceled);
        }
        if Instant::now() >= self.deadline {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }

    /// Refuses to make so many rows beside what is held.
    pub(super) fn check_rows(&self, rows: usize, steps: Steps) -> Result<(), QueryError> {
        self.check_cells(rows.saturating_mul(steps.count))
    }

    pub(super) fn check_cells(&self, more: usize) -> Result<(), QueryError> {
        if self.held.get().saturating_add(more) > self.cells_max {
            return Err(execution(TOO_MANY));
        }
        self.check_time()
    }

    pub(super) fn check_points(&self, more: usize) -> Result<(), QueryError> {
        self.points.set(self.points.get().saturating_add(more));
        if self.points.get() > POINTS_MAX {
            return Err(execution(TOO_MANY));
        }
        Ok(())
    }

    pub(super) fn held(&self) -> usize {
        self.held.get()
    }

    /// A part of the query is done that began when `before` were held: what is left of it are so many cells.
    pub(super) fn done(&self, before: usize, cells: usize) -> Result<(), QueryError> {
        self.held.set(before);
        self.check_cells(cells)?;
        self.held.set(before + cells);
        Ok(())
    }
}

//! Prometheus' query language over any source of series.
//!
//! An expression is evaluated for all its steps at once: a vector is its series, each with one value a step, so that a
//! series' points are read once and only what functions make of them is kept.
//!
//! Semantics are Prometheus 3's: ranges are open on the left, and names go where arithmetic makes them wrong. Native
//! histograms, `smoothed`, `anchored` and `fill` are refused. Bounds: `QUERY_BYTES_MAX`, `STEPS_MAX`, `CELLS_MAX` values
//! held by the whole query at one time, `POINTS_MAX` read, and the time of its `Allowance`; beyond them it is refused.

mod aggregate;
mod allowance;
mod binary;
mod eval;
mod functions;
mod histogram;
mod labels;
mod range;
mod source;
mod value;

pub use allowance::Allowance;
pub use eval::{instant, range as over_range};
pub use labels::Labels;
pub use source::{Matchers, Point, Source, parse_selector};
pub use value::{ABSENT, Row, Steps, Value, is_absent};

/// Values that one query may hold at one time, in all its parts: 40 MB.
const CELLS_MAX: usize = 5_000_000;
/// Points that it may read: as Prometheus.
const POINTS_MAX: usize = 50_000_000;
/// Steps of a range: as Prometheus.
pub const STEPS_MAX: usize = 11_000;
const QUERY_BYTES_MAX: usize = 16 << 10;
/// Of expressions in expressions. The evaluation runs on a thread that has the stack for it.
const DEPTH_MAX: usize = 500;

/// Why a query has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// It is no query.
    #[error("{0}")]
    Bad(String),
    /// It has no answer over these series.
    #[error("{0}")]
    Execution(String),
    /// The series cannot be read.
    #[error("{0}")]
    Internal(String),
    #[error("query timed out in expression evaluation")]
    Timeout,
    /// Who asked has gone.
    #[error("query was canceled in expression evaluation")]
    Canceled,
}

fn bad(why: impl Into<String>) -> QueryError {
    QueryError::Bad(why.into())
}

fn execution(why: impl Into<String>) -> QueryError {
    QueryError::Execution(why.into())
}

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod corpus;

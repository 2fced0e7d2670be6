//! What expressions cost, by estimate and in fact, in upstream's units: about 50 ns each on the machine it was tuned on.
//!
//! Invariant: both sides of a formula follow upstream's numbers; where upstream's two sides differ (`join`, `startsWith`),
//! they differ here, and the estimate is no bound there.
//!
//! Approximations, all to the dearer side: a list of constants is counted each time that it is made, where upstream makes
//! it once; a loop of `map` or `filter` ends at its first error, where upstream goes on. Map keys from a schema are
//! estimated as empty texts, as upstream does; `format` is counted by its pattern alone.

mod estimate;
mod formula;
mod range;
mod sizes;

pub(crate) use estimate::estimate;
pub(crate) use formula::{Formula, equality, matching};
pub use range::CostRange;

/// Passing over a text, per code point.
pub(crate) const TRAVERSAL: f64 = 0.1;
/// A pattern, per code point: most expressions in it have four or more.
pub(crate) const PATTERN: f64 = 0.25;

pub(crate) const LIST_MADE: u64 = 10;
pub(crate) const MAP_MADE: u64 = 30;
pub(crate) const STRUCT_MADE: u64 = 40;
/// Two checks fit into one evaluation.
pub(crate) const AUTHORIZATION: u64 = 350_000;
/// The longest pattern behind a named format, and the longest name of one.
pub(crate) const FORMAT_PATTERN_MAX: u64 = 128;
pub(crate) const FORMAT_NAME_MAX: u64 = 64;

/// The factor's share of a size, rounded up.
pub(crate) fn share(size: u64, factor: f64) -> u64 {
    let product = (size as f64 * factor).ceil();
    // Casts saturate: beyond the range is the range's end.
    product as u64
}

//! Bounds on costs and sizes, with arithmetic that stays at the largest number instead of overflowing.

use super::share;

/// A cost, or a size, that lies between two numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CostRange {
    pub min: u64,
    pub max: u64,
}

impl CostRange {
    pub(crate) const ZERO: CostRange = CostRange::fixed(0);
    pub(crate) const ONE: CostRange = CostRange::fixed(1);
    pub(crate) const UNKNOWN: CostRange = CostRange { min: 0, max: u64::MAX };

    pub(crate) const fn fixed(value: u64) -> CostRange {
        CostRange { min: value, max: value }
    }

    pub(crate) fn plus(self, other: CostRange) -> CostRange {
        CostRange { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub(crate) fn times(self, other: CostRange) -> CostRange {
        CostRange { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    pub(crate) fn share(self, factor: f64) -> CostRange {
        CostRange { min: share(self.min, factor), max: share(self.max, factor) }
    }

    pub(crate) fn union(self, other: CostRange) -> CostRange {
        CostRange { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

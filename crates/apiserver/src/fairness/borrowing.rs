//! How many seats each level has now: idle levels lend to busy ones, within what each may lend and borrow.
//!
//! Invariants: every level keeps between its least and its most; where these allow it, all seats are given out, and in
//! the measure of what is asked for.

/// A level as it is configured, and what was asked of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Share {
    /// Its part of all seats.
    pub(super) nominal: u32,
    /// What is left when all that it may lend is lent.
    pub(super) least: u32,
    /// What it may have when all that it may borrow is lent to it.
    pub(super) most: u32,
    /// The most seats that were taken or waited for at once since the last time.
    pub(super) demand: u32,
    /// The demand of the last periods, the older the less.
    pub(super) smoothed: f64,
}

/// Of the smoothed demand, how much is left after a period: upstream's half-life of five minutes in steps of ten seconds.
const MEMORY: f64 = 0.977;

impl Share {
    /// Rises at once, falls slowly.
    pub(super) fn smooth(before: f64, demand: u32) -> f64 {
        let demand = f64::from(demand);
        demand.max(before * MEMORY + demand * (1.0 - MEMORY))
    }

    /// What it has in any case: of its own seats, those that it asked for.
    fn floor(&self) -> f64 {
        f64::from(self.least.max(self.nominal.min(self.demand)).min(self.most))
    }

    fn at(&self, measure: f64) -> f64 {
        let wish = self.smoothed.max(self.floor()).max(MIN_WISH);
        (wish * measure).clamp(self.floor(), f64::from(self.most))
    }
}

/// A level that asked for nothing still has a part of what nobody asked for.
const MIN_WISH: f64 = 0.01;
const STEPS: usize = 64;

/// The seats of each level, in their order; `total` are all.
pub(super) fn seats(total: u32, shares: &[Share]) -> Vec<u32> {
    let sum = |measure: f64| -> f64 { shares.iter().map(|share| share.at(measure)).sum() };
    let total = f64::from(total);
    // The sum grows with the measure: halving finds the greatest measure that spends no more than there is.
    let (mut low, mut high) = (0.0, 1.0);
    while sum(high) < total && high < 1e9 {
        high *= 2.0;
    }
    for _ in 0..STEPS {
        let middle = f64::midpoint(low, high);
        if sum(middle) <= total { low = middle } else { high = middle }
    }
    // The sum of the floors may exceed the total, as nominal seats are rounded up: then each has its floor.
    shares.iter().map(|share| share.at(low).round() as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `nominal`, which percent it lends, and its demand.
    fn share(nominal: u32, lends: u32, most: u32, demand: u32) -> Share {
        Share { nominal, least: nominal - nominal * lends / 100, most, demand, smoothed: f64::from(demand) }
    }

    #[test]
    fn a_busy_level_borrows_what_idle_ones_may_lend() {
        let shares = [share(100, 50, 200, 180), share(100, 50, 200, 0)];
        assert_eq!(seats(200, &shares), [150, 50]);
        let kept = [share(100, 0, 200, 180), share(100, 0, 200, 0)];
        assert_eq!(seats(200, &kept), [100, 100], "who lends nothing keeps all");
    }

    #[test]
    fn a_borrower_has_a_limit() {
        assert_eq!(seats(200, &[share(100, 50, 120, 180), share(100, 50, 200, 0)]), [120, 80]);
    }

    #[test]
    fn who_asks_for_their_own_seats_has_them() {
        assert_eq!(seats(200, &[share(100, 90, 200, 500), share(100, 90, 200, 100)]), [100, 100]);
    }

    #[test]
    fn two_borrowers_share_in_the_measure_of_their_demand() {
        let shares = [share(50, 50, 200, 60), share(50, 50, 200, 120), share(100, 90, 200, 0)];
        assert_eq!(seats(200, &shares), [63, 126, 11]);
    }

    #[test]
    fn rounding_up_never_takes_from_a_floor() {
        let shares = [share(3, 0, 3, 0), share(3, 0, 3, 0)];
        assert_eq!(seats(5, &shares), [3, 3]);
        assert_eq!(seats(600, &[]), Vec::<u32>::new());
    }

    #[test]
    fn demand_rises_at_once_and_falls_slowly() {
        let risen = Share::smooth(1.0, 100);
        assert!((risen - 100.0).abs() < 1e-9);
        let fallen = (0..30).fold(risen, |before, _| Share::smooth(before, 0));
        assert!((45.0..55.0).contains(&fallen), "half after five minutes: {fallen}");
    }
}

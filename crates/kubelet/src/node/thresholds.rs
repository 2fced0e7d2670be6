//! What must be left of the machine, below which its node says that it is under pressure: `--eviction-hard`, in the
//! words of Kubernetes' kubelet.

use super::machine::Disk;
use api::quantity::Quantity;
use std::str::FromStr;

/// The least that must be left. A signal that is not named has no threshold, as upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    memory_available: Least,
    disk_available: Least,
    disk_inodes_free: Least,
    pids_available: Least,
}

/// A share that is all.
const WHOLE: i64 = 100_000;

/// Of one signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Least {
    Amount(i64),
    /// Of what there is, in thousandths of a percent.
    Share(i64),
}

impl Least {
    const NOTHING: Least = Least::Amount(0);

    fn of(self, total: i64) -> i64 {
        match self {
            Least::Amount(amount) => amount,
            // In this order: a large disk times a share does not fit.
            Least::Share(share) => total / WHOLE * share + total % WHOLE * share / WHOLE,
        }
    }
}

/// Upstream's, but for `imagefs`, which here is the same file system.
impl Default for Thresholds {
    fn default() -> Thresholds {
        Thresholds {
            memory_available: Least::Amount(100 << 20),
            disk_available: Least::Share(WHOLE / 10),
            disk_inodes_free: Least::Share(WHOLE / 20),
            pids_available: Least::Share(WHOLE / 10),
        }
    }
}

impl Thresholds {
    /// Kept back from pods.
    pub(crate) fn memory(&self, total: i64) -> i64 {
        self.memory_available.of(total)
    }

    /// Kept back from pods.
    pub(crate) fn disk(&self, total: i64) -> i64 {
        self.disk_available.of(total)
    }

    pub(crate) fn disk_is_full(&self, disk: Disk) -> bool {
        disk.available < self.disk(disk.total) || disk.inodes_free < self.disk_inodes_free.of(disk.inodes)
    }

    pub(crate) fn too_few_pids(&self, most: i64, existing: i64) -> bool {
        most - existing < self.pids_available.of(most)
    }
}

/// Why a list of thresholds is none.
#[derive(Debug, thiserror::Error)]
pub enum ThresholdError {
    #[error("{0:?} is no SIGNAL<QUANTITY, as memory.available<100Mi")]
    Form(String),
    #[error(
        "{0:?} is no signal of this node: it knows memory.available, nodefs.available, nodefs.inodesFree and pid.available"
    )]
    Signal(String),
    #[error("{0:?} is neither a quantity, as 1Gi, nor a share between 0% and 100%")]
    Quantity(String),
}

impl FromStr for Thresholds {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Thresholds, ThresholdError> {
        let mut thresholds = Thresholds {
            memory_available: Least::NOTHING,
            disk_available: Least::NOTHING,
            disk_inodes_free: Least::NOTHING,
            pids_available: Least::NOTHING,
        };
        for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
            let (signal, least) = one.split_once('<').ok_or_else(|| ThresholdError::Form(one.to_owned()))?;
            let place = match signal.trim() {
                "memory.available" => &mut thresholds.memory_available,
                "nodefs.available" => &mut thresholds.disk_available,
                "nodefs.inodesFree" => &mut thresholds.disk_inodes_free,
                "pid.available" => &mut thresholds.pids_available,
                other => return Err(ThresholdError::Signal(other.to_owned())),
            };
            *place = least.trim().parse()?;
        }
        Ok(thresholds)
    }
}

impl FromStr for Least {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Least, ThresholdError> {
        let wrong = || ThresholdError::Quantity(text.to_owned());
        let number = Quantity::parse(text.trim_end_matches('%')).map_err(|_| wrong())?;
        let (least, bounds) = match text.strip_suffix('%') {
            Some(_) => (Least::Share(number.milli_value()), 0..=WHOLE),
            None => (Least::Amount(number.value()), 0..=i64::MAX),
        };
        let (Least::Share(figure) | Least::Amount(figure)) = least;
        if bounds.contains(&figure) { Ok(least) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_full_below_a_tenth_or_without_names() {
        let full = |available, inodes_free| {
            Thresholds::default().disk_is_full(Disk { total: 1000, available, inodes: 1000, inodes_free })
        };
        assert_eq!([0, 99, 100, 1000].map(|available| full(available, 1000)), [true, true, false, false]);
        assert_eq!([0, 49, 50].map(|inodes| full(1000, inodes)), [true, true, false]);
    }

    #[test]
    fn the_user_sets_them() {
        let set: Thresholds = "memory.available<1Gi, nodefs.available<2.5%".parse().unwrap();
        assert_eq!((set.memory(8 << 30), set.disk(1 << 40)), (1 << 30, (1 << 40) / 40));
        assert!(!set.disk_is_full(Disk { total: 1000, available: 25, inodes: 10, inodes_free: 0 }));
        assert!(!set.too_few_pids(100, 100));
        assert!(Thresholds::default().too_few_pids(100, 91) && !Thresholds::default().too_few_pids(100, 90));
        for (text, complaint) in [
            ("memory.available", "SIGNAL<QUANTITY"),
            ("imagefs.available<1%", "imagefs.available"),
            ("nodefs.available<101%", "neither a quantity"),
            ("nodefs.available<-1", "neither a quantity"),
            ("nodefs.available<much", "neither a quantity"),
        ] {
            let error = text.parse::<Thresholds>().unwrap_err().to_string();
            assert!(error.contains(complaint), "{error}");
        }
    }
}

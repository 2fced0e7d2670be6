//! The amounts of one container, pod or node at one moment.

use crate::metric::{METRICS_MAX, Metric};
use crate::varint;

/// What was measured; what was not is absent rather than zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    has: u32,
    amounts: [u64; METRICS_MAX],
}

impl Reading {
    pub fn set(&mut self, metric: Metric, amount: u64) {
        self.has |= 1 << metric as u8;
        self.amounts[metric as usize] = amount;
    }

    pub fn get(&self, metric: Metric) -> Option<u64> {
        (self.has >> metric as u8 & 1 == 1).then(|| self.amounts[metric as usize])
    }

    pub fn is_empty(&self) -> bool {
        self.has == 0
    }

    /// Which metrics it has, a bit each.
    pub(crate) fn mask(&self) -> u32 {
        self.has
    }

    pub(crate) fn amount(&self, number: usize) -> u64 {
        self.amounts[number]
    }

    /// Those amounts that are in the set; what was not there is zero.
    pub(crate) fn only(&self, set: u32) -> Reading {
        let mut reading = Reading::default();
        bits(set.into())
            .filter(|number| *number < METRICS_MAX)
            .for_each(|number| reading.put(number, self.amounts[number]));
        reading
    }

    /// As `set`, by number; numbers of later versions are passed over.
    pub(crate) fn put(&mut self, number: usize, amount: u64) {
        if let Some(place) = self.amounts.get_mut(number) {
            *place = amount;
            self.has |= 1 << number;
        }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        varint::write(out, u64::from(self.has));
        for number in bits(self.has.into()) {
            varint::write(out, self.amounts[number]);
        }
    }

    pub(crate) fn read(from: &mut &[u8]) -> Option<Reading> {
        let has = varint::read(from)?;
        let mut reading = Reading::default();
        for number in bits(has) {
            reading.put(number, varint::read(from)?);
        }
        Some(reading)
    }
}

impl FromIterator<(Metric, u64)> for Reading {
    fn from_iter<I: IntoIterator<Item = (Metric, u64)>>(amounts: I) -> Reading {
        let mut reading = Reading::default();
        amounts.into_iter().for_each(|(metric, amount)| reading.set(metric, amount));
        reading
    }
}

/// The numbers of the bits that are set, ascending.
pub(crate) fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let number = mask.trailing_zeros();
        mask &= mask.checked_sub(1)?;
        Some(number as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_survive_their_encoding() {
        let mut reading = Reading::default();
        reading.set(Metric::CpuUsage, u64::MAX);
        reading.set(Metric::MemoryAvailable, 0);
        let mut bytes = Vec::new();
        reading.write(&mut bytes);
        assert_eq!(Reading::read(&mut bytes.as_slice()), Some(reading));
        assert_eq!(Reading::read(&mut &bytes[..bytes.len() - 1]), None);
        assert_eq!(bits(0b1010).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn what_a_later_version_measures_is_passed_over() {
        let mut bytes = Vec::new();
        varint::write(&mut bytes, 1 << 40 | 1);
        varint::write(&mut bytes, 7);
        varint::write(&mut bytes, 9);
        let reading = Reading::read(&mut bytes.as_slice()).unwrap();
        assert_eq!((reading.get(Metric::CpuUsage), reading.mask()), (Some(7), 1));
    }
}

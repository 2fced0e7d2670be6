//! Rows: a moment's amounts as what they differ from the row before.
//!
//! A row is its length and then: the change of the time step, which amounts changed (a bit each; the highest says that
//! the set of amounts did too, and that it follows), and for each of those the change. Counters change by the change of
//! their step, since most grow evenly; gauges by their own. Bytes mostly come in pages, so a change that is a
//! multiple of one is written as pages. All numbers are varints: an idle container's row takes 6 bytes, a busy one's 15.
//!
//! Invariant: decoding never panics, whatever the bytes; it ends at what is no row.

use crate::Reading;
use crate::metric::{Kind, METRICS, METRICS_MAX};
use crate::reading::bits;
use crate::varint;

const SET_FOLLOWS: u64 = 1 << 31;
const PAGE: i64 = 4096;
/// Leaves room for the sign and the flag.
const CHANGE_MAX: i64 = i64::MAX / 4;

/// What the next row is told against.
#[derive(Clone, Copy, Debug)]
struct State {
    time_ms: i64,
    step_ms: i64,
    reading: Reading,
    /// Of counters, how much they grew.
    steps: [i64; METRICS_MAX],
}

impl State {
    fn new(first_ms: i64) -> State {
        State { time_ms: first_ms, step_ms: 0, reading: Reading::default(), steps: [0; METRICS_MAX] }
    }

    /// The change that leads from this to `amount`, as far as it can be written: what is beyond no amount comes to.
    fn change(&self, number: usize, amount: u64) -> i64 {
        let step = amount.wrapping_sub(self.reading.amount(number)).cast_signed();
        let change = match METRICS[number].kind {
            Kind::Counter => step.wrapping_sub(self.steps[number]),
            Kind::Gauge => step,
        };
        change.clamp(-CHANGE_MAX, CHANGE_MAX)
    }

    fn apply(&mut self, number: usize, change: i64) {
        let step = match METRICS[number].kind {
            Kind::Counter => change.wrapping_add(self.steps[number]),
            Kind::Gauge => change,
        };
        if METRICS[number].kind == Kind::Counter {
            self.steps[number] = step;
        }
        let amount = self.reading.amount(number).wrapping_add(step.cast_unsigned());
        self.reading.put(number, amount);
    }
}

/// The lowest bit says whether pages follow.
fn write_change(out: &mut Vec<u8>, change: i64) {
    if change % PAGE == 0 {
        varint::write(out, varint::zigzag(change / PAGE) << 1 | 1);
    } else {
        varint::write(out, varint::zigzag(change) << 1);
    }
}

fn read_change(from: &mut &[u8]) -> Option<i64> {
    let coded = varint::read(from)?;
    let value = varint::unzigzag(coded >> 1);
    Some(if coded & 1 == 1 { value.wrapping_mul(PAGE) } else { value })
}

/// Makes rows for one slot.
#[derive(Debug)]
pub(super) struct Encoder {
    state: State,
    payload: Vec<u8>,
}

impl Encoder {
    pub(super) fn new(first_ms: i64) -> Encoder {
        Encoder { state: State::new(first_ms), payload: Vec::new() }
    }

    /// Appends the row to `out`.
    pub(super) fn row(&mut self, time_ms: i64, reading: &Reading, out: &mut Vec<u8>) {
        let state = &mut self.state;
        self.payload.clear();
        let step_ms = time_ms.wrapping_sub(state.time_ms);
        varint::write(&mut self.payload, varint::zigzag(step_ms.wrapping_sub(state.step_ms)));
        let same_set = reading.mask() == state.reading.mask();
        state.reading = state.reading.only(reading.mask());
        let changed = |number: &usize| state.change(*number, reading.amount(*number)) != 0;
        let changes = bits(reading.mask().into()).filter(changed).fold(0u32, |mask, number| mask | 1 << number);
        varint::write(&mut self.payload, u64::from(changes) | if same_set { 0 } else { SET_FOLLOWS });
        if !same_set {
            varint::write(&mut self.payload, u64::from(reading.mask()));
        }
        for number in bits(reading.mask().into()) {
            let change = state.change(number, reading.amount(number));
            if change != 0 {
                write_change(&mut self.payload, change);
            }
            // As the decoder will: the two never part.
            state.apply(number, change);
        }
        (state.time_ms, state.step_ms) = (time_ms, step_ms);
        varint::write(out, self.payload.len() as u64);
        out.extend_from_slice(&self.payload);
    }
}

/// Reads the rows of one slot.
pub(super) struct Decoder {
    state: State,
}

impl Decoder {
    pub(super) fn new(first_ms: i64) -> Decoder {
        Decoder { state: State::new(first_ms) }
    }

    /// Takes the next row off `rows`; its time, or `None` behind the last.
    pub(super) fn next(&mut self, rows: &mut &[u8]) -> Option<i64> {
        let length = usize::try_from(varint::read(rows)?).ok().filter(|length| *length > 0)?;
        let (mut row, rest) = rows.split_at_checked(length)?;
        *rows = rest;
        let state = &mut self.state;
        state.step_ms = state.step_ms.wrapping_add(varint::unzigzag(varint::read(&mut row)?));
        state.time_ms = state.time_ms.wrapping_add(state.step_ms);
        let flags = varint::read(&mut row)?;
        if flags & SET_FOLLOWS != 0 {
            let set = u32::try_from(varint::read(&mut row)?).ok()?;
            state.reading = state.reading.only(set);
        }
        let changes = u32::try_from(flags & !SET_FOLLOWS).ok()?;
        for number in bits(state.reading.mask().into()).filter(|number| *number < METRICS_MAX) {
            let change = if changes >> number & 1 == 1 { read_change(&mut row)? } else { 0 };
            state.apply(number, change);
        }
        Some(state.time_ms)
    }

    pub(super) fn reading(&self) -> &Reading {
        &self.state.reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metric;

    fn check(rows: &[(i64, Reading)]) -> usize {
        let mut encoder = Encoder::new(rows[0].0);
        let mut bytes = Vec::new();
        rows.iter().for_each(|(time, reading)| encoder.row(*time, reading, &mut bytes));
        bytes.extend([0; 3]);
        let (mut rest, mut decoder) = (bytes.as_slice(), Decoder::new(rows[0].0));
        for (time, reading) in rows {
            assert_eq!(decoder.next(&mut rest), Some(*time));
            assert_eq!(decoder.reading(), reading);
        }
        assert_eq!(decoder.next(&mut rest), None);
        bytes.len()
    }

    fn reading(amounts: &[(Metric, u64)]) -> Reading {
        let mut reading = Reading::default();
        amounts.iter().for_each(|(metric, amount)| reading.set(*metric, *amount));
        reading
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let rows = [
            (1_700_000_000_000, reading(&[(Metric::CpuUsage, 5), (Metric::MemoryUsage, 8192)])),
            (1_700_000_010_003, reading(&[(Metric::CpuUsage, 10), (Metric::MemoryUsage, 4096)])),
            (1_700_000_020_001, reading(&[(Metric::CpuUsage, 15), (Metric::NetworkSent, 1)])),
            (1_700_000_029_999, reading(&[(Metric::CpuUsage, 2), (Metric::NetworkSent, u64::MAX / 8)])),
            (1_700_000_029_000, reading(&[])),
            (1_700_000_039_000, reading(&[(Metric::MemoryAvailable, 77)])),
        ];
        check(&rows);
    }

    #[test]
    fn what_does_not_change_takes_little() {
        let idle = reading(&[(Metric::CpuUsage, 1000), (Metric::MemoryUsage, 1 << 20), (Metric::Threads, 3)]);
        let rows: Vec<_> = (0..100).map(|index| (index * 10_000, idle)).collect();
        let bytes = check(&rows);
        assert!(bytes < 100 * 4, "{bytes}");
    }

    #[test]
    fn junk_is_the_end() {
        for bytes in [[0xff; 20].as_slice(), &[5, 1], &[1, 0x80, 0], &[3, 0, 0xff, 0xff]] {
            let (mut rest, mut decoder) = (bytes, Decoder::new(0));
            while decoder.next(&mut rest).is_some() {}
        }
    }
}

//! What passed a network: the sum over its interfaces beside the loopback one.

use super::text::number;
use crate::{Metric, Reading};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// `net/dev` has some 130 bytes an interface; those of a pod are two.
const READ_BYTES_MAX: usize = 64 << 10;

/// Columns of `net/dev` behind the colon.
const COLUMNS: [(usize, Metric); 8] = [
    (0, Metric::NetworkReceived),
    (1, Metric::PacketsReceived),
    (2, Metric::ReceiveErrors),
    (3, Metric::ReceiveDropped),
    (8, Metric::NetworkSent),
    (9, Metric::PacketsSent),
    (10, Metric::SendErrors),
    (11, Metric::SendDropped),
];

/// Adds what the file at `path` says. The file is never kept open: that would keep the network namespace.
pub(super) fn read(path: &Path, buffer: &mut Vec<u8>, wanted: fn(&[u8]) -> bool, reading: &mut Reading) {
    buffer.resize(READ_BYTES_MAX, 0);
    // The process may just have ended.
    let Ok(length) = File::open(path).and_then(|file| file.read_at(buffer, 0)) else { return };
    take(&buffer[..length], wanted, reading);
}

/// Every interface but the loopback one.
pub(super) fn of_pod(name: &[u8]) -> bool {
    name != b"lo"
}

/// Interfaces by which a node talks to others: not those of its pods, nor what only bundles them.
pub(super) fn of_node(name: &[u8]) -> bool {
    const OTHERS: [&[u8]; 7] = [b"veth", b"cali", b"docker", b"br-", b"cni", b"virbr", b"sp"];
    of_pod(name) && !OTHERS.iter().any(|prefix| name.starts_with(prefix))
}

fn take(text: &[u8], wanted: fn(&[u8]) -> bool, reading: &mut Reading) {
    let mut sums = [0u64; COLUMNS.len()];
    let mut any = false;
    for line in text.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        if !wanted(line[..colon].trim_ascii()) {
            continue;
        }
        any = true;
        let words = line[colon + 1..].split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let mut columns = COLUMNS.iter().zip(&mut sums).peekable();
        for (index, word) in words.enumerate() {
            if let Some((_, sum)) = columns.next_if(|((column, _), _)| *column == index) {
                *sum = sum.wrapping_add(number(word).unwrap_or(0));
            }
        }
    }
    if any {
        COLUMNS.iter().zip(sums).for_each(|((_, metric), sum)| reading.set(*metric, sum));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"Inter-|   Receive                                                |  Transmit\n \
        face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n    \
        lo:     999       9    0    0    0     0          0         0      999       9    0    0    0     0       0          0\n  \
        eth0: 1000      10    1    2    0     0          0         0     2000      20    3    4    0     0       0          0\n";

    #[test]
    fn the_loopback_interface_does_not_count() {
        let mut reading = Reading::default();
        take(TEXT, of_pod, &mut reading);
        let counts = COLUMNS.map(|(_, metric)| reading.get(metric).unwrap());
        assert_eq!(counts, [1000, 10, 1, 2, 2000, 20, 3, 4]);
        let mut nothing = Reading::default();
        take(TEXT, |_| false, &mut nothing);
        assert!(nothing.is_empty());
    }
}

//! Damaged files and failing disks: a torn end is dropped, everything else is an error that says where.

use super::{Embedded, Options, Stats, frame};
use crate::files::Files;
use crate::files::power_loss::{Disk, EIO, ENOSPC, Fault, Operation};
use crate::{Op, Outcome, Revision, Store, StoreError, Txn};
use bytes::Bytes;
use std::sync::Arc;
use std::time::{Duration, Instant};

const FIRST: &str = "log-00000000000000000001";

async fn commit(store: &Embedded, n: usize) -> Result<Outcome, StoreError> {
    let op = Op::Put { key: format!("key-{}", n % 7).into(), value: Bytes::from(vec![n as u8; 300]) };
    store.commit(Txn { checks: Vec::new(), ops: vec![op] }).await
}

fn open(disk: &Disk, options: Options) -> Result<Embedded, StoreError> {
    Embedded::over(Arc::new(disk.clone()), options)
}

/// A disk with `commits` transactions, one a frame.
async fn filled(commits: usize, options: Options) -> Disk {
    let disk = Disk::new(1);
    let store = open(&disk, options).unwrap();
    for n in 0..commits {
        assert_eq!(commit(&store, n).await.unwrap(), Outcome::Committed(Revision(n as u64 + 1)));
    }
    drop(store);
    disk
}

/// Where each frame of a segment begins, and where the last ends.
fn frames(disk: &Disk, name: &str) -> Vec<usize> {
    let bytes = &disk.contents()[name];
    let mut offsets = vec![frame::FILE_HEADER];
    while let Some(last) = offsets.last().copied().filter(|last| *last < bytes.len()) {
        let len = u32::from_le_bytes(bytes[last..last + 4].try_into().unwrap()) as usize;
        offsets.push(last + frame::FRAME_HEADER + len);
    }
    offsets
}

fn stats(disk: &Disk) -> Result<Stats, String> {
    open(disk, Options::default()).map(|store| store.stats()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_log_cut_anywhere_in_its_last_frame_loses_only_that() {
    let whole = filled(5, Options::default()).await;
    let frames = frames(&whole, FIRST);
    let bytes = whole.contents()[FIRST].clone();
    for cut in frames[4]..frames[5] {
        let disk = Disk::new(1);
        Files::create(&disk, FIRST).unwrap();
        disk.edit(FIRST, |file| file.extend(&bytes[..cut]));
        assert_eq!(stats(&disk).unwrap().revision, Revision(4), "cut at {cut}");
        assert_eq!(disk.contents()[FIRST], bytes[..frames[4]], "the torn end is cut off");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_last_frame_is_a_torn_write_and_before_it_an_error() {
    let whole = filled(5, Options::default()).await;
    let frames = frames(&whole, FIRST);
    for at in (frame::FILE_HEADER..frames[5]).step_by(3) {
        let disk = whole.after_power_loss();
        disk.edit(FIRST, |file| file[at] ^= 0x10);
        match stats(&disk) {
            Ok(stats) => assert_eq!((stats.revision, at >= frames[4]), (Revision(4), true), "flipped at {at}"),
            Err(error) => {
                let frame = frames.iter().rfind(|frame| **frame <= at).unwrap();
                assert!(at < frames[4], "flipped at {at}: {error}");
                assert!(error.starts_with(&format!("read disk/{FIRST} at offset {frame}: the frame")), "{error}");
            }
        }
    }
}

/// Commits until a snapshot is there; the thread that writes it may take its time.
async fn until_snapshot(store: &Embedded) {
    let deadline = Instant::now() + Duration::from_secs(60);
    for n in 0.. {
        commit(store, n).await.unwrap();
        if store.stats().snapshots > 0 {
            return;
        }
        assert!(Instant::now() < deadline, "no snapshot was written");
    }
}

#[tokio::test]
async fn damage_in_an_older_segment_or_a_snapshot_is_an_error() {
    let options =
        Options { history_events_max: 20, segment_bytes_max: 1000, snapshot_log_bytes: 5_000, ..Options::default() };
    let whole = filled(100, options.clone()).await;
    until_snapshot(&open(&whole, options).unwrap()).await;
    // Recovery removes what a snapshot made superfluous: damage to that would not matter.
    let revision = stats(&whole).unwrap().revision;
    Files::sync_names(&whole).unwrap();
    let names: Vec<String> = whole.contents().into_keys().collect();
    assert!(names.len() > 3 && names.iter().any(|name| name.starts_with("snapshot-")), "{names:?}");
    let newest = names.iter().rfind(|name| name.starts_with("log-")).unwrap();
    for name in names.iter().filter(|name| *name != newest) {
        let damaged = whole.after_power_loss();
        damaged.edit(name, |file| file.truncate(file.len() - 1));
        let error = stats(&damaged).unwrap_err();
        assert!(error.starts_with(&format!("read disk/{name} at offset ")), "{error}");
    }
    assert_eq!(stats(&whole).unwrap().revision, revision);
}

#[tokio::test]
async fn a_missing_segment_is_an_error() {
    let whole = filled(20, Options { segment_bytes_max: 1000, ..Options::default() }).await;
    let names: Vec<String> = whole.contents().into_keys().collect();
    Files::remove(&whole, &names[1]).unwrap();
    let error = stats(&whole).unwrap_err();
    let first: u64 = names[1]["log-".len()..].parse().unwrap();
    assert_eq!(error, format!("read the log in disk: the segment that holds revision {first} is missing"));
}

#[tokio::test]
async fn a_failed_write_is_not_acknowledged_and_ends_all_writing() {
    for (on, errno) in [(Operation::Write, ENOSPC), (Operation::Write, EIO), (Operation::Sync, EIO)] {
        let disk = filled(3, Options::default()).await;
        let store = open(&disk, Options::default()).unwrap();
        disk.set_fault(Fault { on, after: 0, errno });
        let message = std::io::Error::from_raw_os_error(errno).to_string();
        let error = commit(&store, 9).await.unwrap_err();
        assert!(matches!(&error, StoreError::Io { source, .. } if source.to_string().contains(&message)), "{error}");
        // The disk works again, but what it has of the failed write is unknown.
        disk.set_fault(Fault { on, after: u32::MAX, errno });
        let error = commit(&store, 9).await.unwrap_err().to_string();
        assert!(
            error.starts_with("the store is closed: a write failed: append") && error.contains(&message),
            "{error}"
        );
        assert_eq!(store.writable().unwrap_err().to_string(), error);
        assert_eq!(store.revision().await.unwrap(), Revision(3));
        assert_eq!(store.get("key-2").await.unwrap().unwrap().modified, Revision(3));
        drop(store);
        assert_eq!(stats(&disk.after_power_loss()).unwrap().keys, 3);
    }
}

#[tokio::test]
async fn a_snapshot_that_fails_costs_no_write() {
    let options =
        Options { history_events_max: 5, segment_bytes_max: 1 << 30, snapshot_log_bytes: 2_000, ..Options::default() };
    let disk = filled(3, options.clone()).await;
    let store = open(&disk, options).unwrap();
    disk.set_fault(Fault { on: Operation::Create, after: 0, errno: ENOSPC });
    for n in 0..100 {
        commit(&store, n).await.unwrap();
    }
    assert_eq!(store.stats().snapshots, 0);
    disk.set_fault(Fault { on: Operation::Create, after: u32::MAX, errno: ENOSPC });
    until_snapshot(&store).await;
}

#[tokio::test]
async fn too_large_a_transaction_is_refused_and_the_store_goes_on() {
    let store = open(&Disk::new(1), Options::default()).unwrap();
    let op = Op::Put { key: "large".into(), value: Bytes::from(vec![0; super::queue::TXN_BYTES_MAX]) };
    let error = store.commit(Txn { checks: Vec::new(), ops: vec![op] }).await.unwrap_err();
    assert_eq!(error.to_string(), "commit a transaction: it has 8388613 bytes, more than 8388608");
    assert_eq!(commit(&store, 1).await.unwrap(), Outcome::Committed(Revision(1)));
}

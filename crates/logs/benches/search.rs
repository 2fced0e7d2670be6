//! Searches a gigabyte of archived logs, and says how long each question took: `cargo bench -p logs`.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // It talks to the person who runs it, and may fail.

use logs::{Archive, Filter, Identity, Level, Options, Order, Query, Search};
use std::fmt::Write;
use std::time::{Duration, Instant};

const LOG_BYTES: usize = 10 << 20;

fn main() {
    let megabytes: usize = std::env::var("LOGS_BENCH_MB").map_or(1024, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let archive = Archive::open(Options {
        live: path("live"),
        ended: path("ended"),
        archive: path("archive"),
        age_max: Duration::from_secs(3600),
        bytes_max: Some(4 << 30),
    })
    .unwrap();
    let (mut number, mut time) = (0, 1_700_000_000_000_000_000);
    let mut archiving = Duration::ZERO;
    for pod in 0..megabytes * (1 << 20) / LOG_BYTES {
        let identity = Identity::new("shop", &format!("web-{pod}"), &format!("uid-{pod}"), Default::default(), None);
        let directory = path("live").join(identity.directory());
        std::fs::create_dir_all(directory.join("main")).unwrap();
        identity.write(&directory).unwrap();
        std::fs::write(directory.join("main/0.log"), text(&mut number, &mut time)).unwrap();
        let begun = Instant::now();
        archive.take_over(&directory).unwrap();
        archive.settle();
        archiving += begun.elapsed();
    }
    let packed: u64 = walk(&path("archive"));
    println!("{number} lines, {megabytes} MB raw, {} MB packed, archived in {archiving:.1?}", packed >> 20);
    let any = Query::default;
    ask(&archive, "a rare word", Query { patterns: vec!["needle-7777777".into()], ..any() });
    ask(&archive, "a rare pattern", Query { patterns: vec![r"took 99\d\d ms for user-1\d*7$".into()], ..any() });
    ask(&archive, "without case", Query { patterns: vec!["(?i)NEEDLE-7777777".into()], ..any() });
    let grave = Some(Level::Error);
    ask(&archive, "rare errors", Query { level: grave, ..any() });
    ask(&archive, "a word in errors", Query { level: grave, patterns: vec!["needle-7777777".into()], ..any() });
    ask(&archive, "fatal lines", Query { level: Some(Level::Fatal), ..any() });
    ask(&archive, "a field", Query { fields: vec![("user".into(), "user-424242".into())], ..any() });
    ask(&archive, "the newest 1000", Query { limit: Some(1000), order: Order::NewestFirst, ..any() });
    let since = Some(time - 60_000_000_000);
    ask(&archive, "the last minute", Query { since, ..any() });
    ask(&archive, "everything", any());
}

fn text(number: &mut u64, time: &mut i64) -> String {
    let mut log = String::with_capacity(LOG_BYTES + 512);
    let mut state = *number | 1;
    while log.len() < LOG_BYTES {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let (user, took) = (state % 1_000_000, state >> 40 & 0x3fff);
        let stamp = logs::time::format(*time);
        let stamp = std::str::from_utf8(&stamp).unwrap();
        let written = match *number % 4 {
            0 => writeln!(
                log,
                r#"{stamp} stdout F {{"level":"info","user":"user-{user}","path":"/cart/{}","status":200,"took_ms":{took},"trace":"{state:016x}"}}"#,
                state % 977
            ),
            1 => writeln!(
                log,
                "{stamp} stdout F 10.0.{}.{} - - \"GET /items/{} HTTP/1.1\" 200 {} \"-\" \"Mozilla/5.0 (X11; Linux x86_64)\"",
                user % 255,
                took % 255,
                state % 99_991,
                state % 65_536
            ),
            2 => writeln!(
                log,
                "{stamp} stderr F level=debug msg=\"request took {took} ms for user-{user}\" trace={state:016x}"
            ),
            _ => writeln!(
                log,
                "{stamp} stdout F 2026-01-02 03:04:05 INFO  com.example.shop.OrderService - order {number} of user-{user} placed, {} items",
                state % 40
            ),
        };
        written.unwrap();
        if number.is_multiple_of(100_000) {
            writeln!(log, "{stamp} stderr F ERROR order {number} was lost").unwrap();
        }
        *number += 1;
        *time += 100_000;
    }
    log
}

fn walk(directory: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| match entry.file_type().unwrap().is_dir() {
            true => walk(&entry.path()),
            false => entry.metadata().unwrap().len(),
        })
        .sum()
}

fn ask(archive: &Archive, name: &str, query: Query) {
    let (begun, used) = (Instant::now(), processor_time());
    let mut search = Search::new(archive, Filter::new(query).unwrap()).unwrap();
    let mut lines = 0_u64;
    while search.next_entry().is_some() {
        lines += 1;
    }
    let (took, used) = (begun.elapsed(), processor_time() - used);
    println!("{name:>16}: {lines:>9} lines in {took:.2?}, {used:.2?} of a processor");
}

/// Says more than the time on a clock where others have work to do too.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

//! Input that means harm, through the doors that anybody can knock at: the parsers, and the server itself.
//!
//! Seeded: the same run makes the same inputs. `SAMPAN_FUZZ` is how many times as many (1 unless said, about a minute
//! for all), `SAMPAN_FUZZ_SEED` begins elsewhere. What must hold of every input: an answer, in bounded time and memory,
//! on a thread's usual stack. A panic or an overflow of the stack ends the test by itself.

mod chaos;
mod depths;
mod parsers;
mod requests;

use chaos::Chaos;
use std::time::{Duration, Instant};

/// One input's most time, on a busy machine in a debug build; what takes longer grows faster than its input.
const TIME_MAX: Duration = Duration::from_secs(5);
/// The test process's most memory, the server and its client in it.
const MEMORY_MAX_KIB: u64 = 1 << 20;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Feeds a parser this many inputs, unless the environment asks for more.
fn rounds(count: u64) -> impl Iterator<Item = Chaos> {
    let seed = setting("SAMPAN_FUZZ_SEED", 1);
    (0..count * setting("SAMPAN_FUZZ", 1)).map(move |round| Chaos::new(seed.wrapping_mul(0x9e37_79b9) ^ round))
}

/// Runs one input; `what` tells of it should it take too long.
fn timed<T>(run: impl FnOnce() -> T, what: impl FnOnce() -> String) -> T {
    let begun = Instant::now();
    let done = run();
    assert!(begun.elapsed() < TIME_MAX, "{:?}: {}", begun.elapsed(), what());
    done
}

/// The most memory that this process has had.
fn assert_memory_was_bounded() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MEMORY_MAX_KIB, "{peak} KiB");
}

/// Every kind's message and sample.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let stored = api::object::builtin().iter().filter(|row| row.def().verbs == api::resource::Verbs::Full);
    stored.map(|row| (row.def().message, crate::samples::sample(*row).to_string().into_bytes())).collect()
}

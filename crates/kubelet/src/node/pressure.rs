//! Watches for want of memory, disk and process ids, and ends a pod when memory runs out.

use super::machine::{disk, meminfo};
use super::thresholds::Thresholds;
use crate::context::Context;
use crate::router::Pods;
use kernel::cgroup::Cgroup;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often the node looks: upstream's figure.
const LOOK: Duration = Duration::from_secs(10);
/// Pressure that has passed is still reported for so long, so that it does not flap: upstream's figure.
const HELD: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pressure {
    pub(crate) memory: bool,
    pub(crate) disk: bool,
    pub(crate) pid: bool,
}

/// Runs until `stop` changes.
pub(crate) async fn run(
    context: Arc<Context>,
    least: Thresholds,
    pods: Pods,
    pressure: watch::Sender<Pressure>,
    mut stop: watch::Receiver<bool>,
) {
    let memory_least = least.memory(context.machine.capacity.memory_bytes);
    let mut seen = [None::<Instant>; 3];
    loop {
        let available = memory_available(&context);
        let now = [
            available < memory_least,
            disk(&context.dirs.pods()).is_some_and(|disk| least.disk_is_full(disk)),
            pids().is_some_and(|(most, existing)| least.too_few_pids(most, existing)),
        ];
        for (seen, now) in seen.iter_mut().zip(now) {
            if now {
                *seen = Some(Instant::now());
            }
        }
        let held = |seen: Option<Instant>| seen.is_some_and(|at| at.elapsed() < HELD);
        let fresh = Pressure { memory: held(seen[0]), disk: held(seen[1]), pid: held(seen[2]) };
        pressure.send_if_modified(|old| std::mem::replace(old, fresh.clone()) != fresh);
        if now[0] {
            let message = format!(
                "The node was low on resource: memory. Threshold quantity: {}Mi, available: {}Ki. ",
                memory_least >> 20,
                available >> 10
            );
            if !pods.evict_one(message).await {
                tracing::warn!(available, "memory runs out, and there is no pod to end");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = stop.changed() => return,
        }
    }
}

/// The machine's, or what the limit of the container that this runs in leaves.
fn memory_available(context: &Context) -> i64 {
    let machine = meminfo("MemAvailable").unwrap_or(i64::MAX);
    let root = Cgroup::at("/").map(|root| root.stats()).unwrap_or_default();
    let used = i64::try_from(root.working_set_bytes).unwrap_or(0);
    let limited = root.memory_bytes_max.is_some();
    if limited { machine.min(context.machine.capacity.memory_bytes - used) } else { machine }
}

/// How many there may be, and are.
fn pids() -> Option<(i64, i64)> {
    let most: i64 = kernel::sysctl::read("kernel.pid_max").ok()?.parse().ok()?;
    // The fourth word is `running/existing` threads.
    let load = std::fs::read_to_string("/proc/loadavg").ok()?;
    let existing: i64 = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    Some((most, existing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_its_process_ids() {
        assert!(pids().is_some_and(|(most, existing)| (1..most).contains(&existing)));
    }
}

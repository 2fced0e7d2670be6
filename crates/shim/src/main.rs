//! The shim: one small process per pod that holds its namespaces, starts its containers, writes their logs, reaps
//! them and remembers how they ended, whatever becomes of the node process.
//!
//! Invariants: one thread; no call that could block on a container or a client; every buffer has a bound.
//! Started as `sampan-shim` with a `PodSpec` on standard input; answers `ok` or the reason on standard output once
//! it serves, from a process of its own session.

mod attach;
mod child;
mod connection;
mod container;
mod log;
mod pod;
mod rate;
mod serve;
mod spawn;
mod sys;

use std::io::{Read, Write};
use std::os::fd::AsFd;

use shim::protocol::{FRAME_BYTES_MAX, PodSpec, decode};

fn main() {
    match start() {
        Ok(()) => sys::exit(0),
        Err(message) => {
            // Whoever started us reads this line; when it cannot be written, the exit code still tells.
            std::io::stdout().write_all(format!("{message}\n").as_bytes()).ok();
            sys::exit(1)
        }
    }
}

/// Reads the pod's description and leaves a daemon behind. The daemon never returns from here.
fn start() -> Result<(), String> {
    // What the node's own parent left open would stay open as long as the pod lives.
    sys::close_from(3).map_err(|error| format!("close descriptors: {error}"))?;
    let mut bytes = Vec::new();
    let mut input = std::io::stdin().take(FRAME_BYTES_MAX as u64);
    input.read_to_end(&mut bytes).map_err(|error| format!("read the pod's description: {error}"))?;
    let spec: PodSpec = decode(&bytes).map_err(|error| error.to_string())?;
    drop(bytes);
    let unified = match spec.cgroup.unified.as_str() {
        "" => None,
        path => Some(sys::open_path(path).map_err(|error| format!("open {path}: {error}"))?),
    };
    // The daemon is the node's child, which so can reap it. When the node is gone, it is init's.
    match sys::clone(libc::CLONE_PARENT, unified.as_ref().map(|fd| fd.as_fd())) {
        Ok(sys::Side::Parent(_)) => Ok(()),
        Ok(sys::Side::Child) => daemon(spec),
        Err(error) => Err(format!("clone: {error}")),
    }
}

fn daemon(spec: PodSpec) -> ! {
    let served = pod::Pod::set_up(&spec).and_then(|pod| {
        let shim = serve::Shim::new(pod)?;
        std::io::stdout().write_all(b"ok\n").map_err(|error| format!("report: {error}"))?;
        let null = sys::open("/dev/null", libc::O_RDWR).map_err(|error| format!("open /dev/null: {error}"))?;
        for stream in 0..3 {
            sys::replace_standard(null.as_fd(), stream).map_err(|error| format!("leave the terminal: {error}"))?;
        }
        drop(spec);
        shim.run()
    });
    if let Err(message) = served {
        std::io::stdout().write_all(format!("{message}\n").as_bytes()).ok();
        sys::exit(1)
    }
    sys::exit(0)
}

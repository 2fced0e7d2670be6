//! Sampan as a systemd unit on a machine that has only control groups v2: a virtual one, as the tests' own may have v1.
//!
//! Its kernel is Debian's (scripts/tools.sh fetches it), its programs are copies of this machine's. What it checks is in
//! `cgroup_v2/checks.sh`; all that comes out of it is its console.

use crate::harness::{must, possible};
use crate::{image, kubectl_verbs};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Under emulation it takes 95 s where nothing else runs. The runner ends a test after 360 s.
const LIFE_TIME_MAX: Duration = Duration::from_secs(310);
/// What a guest has printed and nobody has read yet.
const LINES_WAITING_MAX: usize = 1000;

const CHECKS: &[&str] = &[
    "begins_as_a_unit",
    "runs_pods",
    "kills_what_takes_too_much_memory",
    "limits_in_the_files_of_v2",
    "measures",
    "answers_at_a_service",
    "restarts_below_its_containers",
    "leaves_nothing",
];

/// The content of a kernel's package; `None`, said aloud, where the guest cannot be had.
fn kernel() -> Option<PathBuf> {
    let kernel = kubectl_verbs::tools().join("guest-kernel");
    let programs = ["/usr/bin/qemu-system-x86_64", "/lib/systemd/systemd", "/usr/sbin/mkfs.ext4"];
    let missing = programs.iter().map(Path::new).chain([kernel.as_path()]).find(|path| !path.exists());
    if let Some(path) = missing {
        eprintln!("SKIPPED: {} is missing (scripts/packages.sh browser, scripts/tools.sh)", path.display());
        return None;
    }
    Some(kernel)
}

fn vmlinuz(kernel: &Path) -> PathBuf {
    let mut files = std::fs::read_dir(kernel.join("boot")).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("vmlinuz")).unwrap()
}

/// A running machine; killed with the test.
struct Guest(Child);

impl Guest {
    fn boot(folder: &Path, kernel: &Path) -> Guest {
        let mut command = Command::new("/usr/bin/qemu-system-x86_64");
        // Emulated, as a machine of the tests' own is often one that cannot have others below it.
        command.args(["-machine", "pc,usb=off,vmport=off,smbus=off", "-accel", "tcg,thread=multi", "-cpu", "max"]);
        command.args(["-smp", "2", "-m", "1200", "-nodefaults", "-no-user-config", "-no-reboot"]);
        command.args(["-display", "none", "-serial", "stdio", "-append", "console=ttyS0 panic=-1 quiet loglevel=1"]);
        command.arg("-kernel").arg(vmlinuz(kernel)).arg("-initrd").arg(folder.join("initrd"));
        let disk = format!("id=disk,file={},format=raw,if=none,cache=unsafe", folder.join("disk").display());
        command.args(["-drive", &disk, "-device", "virtio-blk-pci,drive=disk"]);
        Guest(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap())
    }

    /// All that it prints until it ends by itself, or until its time is over.
    fn console(&mut self) -> Vec<String> {
        let output = BufReader::new(self.0.stdout.take().unwrap());
        let (lines, console) = mpsc::sync_channel(LINES_WAITING_MAX);
        let reader = std::thread::spawn(move || {
            // Ends with the machine, or when nobody listens any more.
            output.split(b'\n').map_while(Result::ok).try_for_each(|line| lines.send(line))
        });
        let deadline = Instant::now() + LIFE_TIME_MAX;
        let mut seen = Vec::new();
        while let Ok(line) = console.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            eprintln!("{line}");
            seen.push(line);
        }
        self.end();
        drop(console);
        // Whether it could hand over its last line is of no interest.
        reader.join().unwrap().ok();
        seen
    }

    fn end(&mut self) {
        // It has mostly ended already.
        self.0.kill().ok();
        self.0.wait().unwrap();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.end();
    }
}

#[test]
fn a_unit_of_systemd_on_control_groups_v2() {
    let Some(kernel) = kernel().filter(|_| possible()) else { return };
    let folder = tempfile::Builder::new().prefix("sampan-guest").tempdir().unwrap();
    std::fs::rename(image::archive(folder.path(), "v1.0"), folder.path().join("image.tar")).unwrap();
    let make = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cluster/cgroup_v2/guest.sh");
    must(Command::new("sh").arg(make).arg(folder.path()).arg(&kernel).arg(env!("CARGO_BIN_EXE_sampan")));
    let console = Guest::boot(folder.path(), &kernel).console();
    let held: Vec<&str> = console.iter().filter_map(|line| line.strip_prefix("ok ")?.split(' ').next()).collect();
    assert_eq!(held, CHECKS, "the console is above");
    assert!(console.iter().any(|line| line == "all checks hold"));
}

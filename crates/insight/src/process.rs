//! What this process itself uses, under the names that Prometheus' client libraries give it.

use crate::exposition::Exposition;
use crate::metric::Kind;
use std::path::Path;

/// Kernel's clock ticks a second: the same wherever Linux runs.
const TICKS: f64 = 100.0;

/// Figures that the kernel does not tell are left out.
pub fn page() -> String {
    of(Path::new("/proc"))
}

fn of(proc: &Path) -> String {
    let own = proc.join("self");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let stat = read(&own.join("stat"));
    // The program's name comes before, in brackets, and may have any character.
    let words: Vec<f64> = stat
        .rsplit_once(')')
        .map_or(Vec::new(), |(_, rest)| rest.split_whitespace().map(|word| word.parse().unwrap_or(f64::NAN)).collect());
    // Numbered as in proc(5), where the name is the second.
    let word = |number: usize| words.get(number - 3).copied().filter(|value| value.is_finite());
    let boot = read(&proc.join("stat"));
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.parse::<f64>().ok());
    let number_in = |file: &str, name: &str| {
        let text = read(&own.join(file));
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok())
    };
    let kib_in_status = |name: &str| number_in("status", name).map(|kib| kib * 1024.0);
    let open = std::fs::read_dir(own.join("fd")).ok().map(|all| all.count() as f64);
    let mut page = Exposition::default();
    for (name, kind, help, value) in [
        (
            "process_cpu_seconds_total",
            Kind::Counter,
            "Total user and system CPU time spent in seconds.",
            word(14).zip(word(15)).map(|(user, system)| (user + system) / TICKS),
        ),
        (
            "process_max_fds",
            Kind::Gauge,
            "Maximum number of open file descriptors.",
            number_in("limits", "Max open files"),
        ),
        ("process_open_fds", Kind::Gauge, "Number of open file descriptors.", open),
        ("process_resident_memory_bytes", Kind::Gauge, "Resident memory size in bytes.", kib_in_status("VmRSS:")),
        (
            "process_start_time_seconds",
            Kind::Gauge,
            "Start time of the process since unix epoch in seconds.",
            boot.zip(word(22)).map(|(boot, after)| boot + after / TICKS),
        ),
        ("process_threads", Kind::Gauge, "Number of threads.", word(20)),
        ("process_virtual_memory_bytes", Kind::Gauge, "Virtual memory size in bytes.", kib_in_status("VmSize:")),
    ] {
        if let Some(value) = value {
            page.family(name, kind, help);
            page.sample(name, &[], value, 0);
        }
    }
    page.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_read() {
        let proc = tempfile::tempdir().unwrap();
        let own = proc.path().join("self");
        std::fs::create_dir_all(own.join("fd")).unwrap();
        std::fs::write(own.join("fd/0"), "").unwrap();
        let words: Vec<String> = (3..53).map(|number| number.to_string()).collect();
        std::fs::write(own.join("stat"), format!("1 (a) b) {}", words.join(" "))).unwrap();
        std::fs::write(own.join("limits"), "Limit  Soft  Hard  Units\nMax open files  1024  20000  files\n").unwrap();
        std::fs::write(proc.path().join("stat"), "cpu 1 2\nbtime 1700000000\n").unwrap();
        std::fs::write(own.join("status"), "Name:\tx\nVmSize:\t   23 kB\nVmRSS:\t   96 kB\n").unwrap();
        let page = of(proc.path());
        let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
        let wanted = [
            "process_cpu_seconds_total 0.29",
            "process_max_fds 1024",
            "process_open_fds 1",
            "process_resident_memory_bytes 98304",
            "process_start_time_seconds 1700000000.22",
            "process_threads 20",
            "process_virtual_memory_bytes 23552",
        ];
        assert_eq!(samples, wanted);
    }

    #[test]
    fn this_process_has_them_all() {
        let page = page();
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(samples.count(), 7, "{page}");
        assert!(!page.contains("\nprocess_resident_memory_bytes 0\n"), "{page}");
    }

    #[test]
    fn what_the_kernel_does_not_tell_is_left_out() {
        assert_eq!(of(Path::new("/nowhere")), "");
    }
}

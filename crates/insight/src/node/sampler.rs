//! Reads everything that runs here once; keeps what the next time needs.
//!
//! Invariants: counters of a container are of its present instance, but kills for want of memory are of all instances
//! that this process has seen, since the kernel forgets them with the instance.

use super::group::{Group, Kept, READ_BYTES_MAX};
use super::host::Host;
use super::layer::{self, Layer};
use super::{ContainerTarget, PodTarget, network};
use crate::sample::{ContainerSample, NodeSample, PodSample};
use crate::{Metric, Reading};
use kernel::cgroup::Layout;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub struct Sampler {
    layout: Layout,
    host: Host,
    root: Group,
    kept: Kept,
    /// By uid.
    pods: HashMap<String, Known>,
    buffer: Vec<u8>,
    round: u64,
}

/// What is known of a pod since it was first seen.
struct Known {
    group: Group,
    /// By name.
    containers: HashMap<String, KnownContainer>,
    seen: u64,
}

struct KnownContainer {
    id: String,
    group: Group,
    /// Kills in the instances before.
    kills_before: u64,
    kills: u64,
    /// One that ran when it was last sampled.
    process: Option<u64>,
    layer: Layer,
    seen: u64,
}

impl Sampler {
    /// `data_dir` lies on the file system that pods are kept on.
    pub fn new(data_dir: &Path) -> kernel::Result<Sampler> {
        Ok(Sampler::of(Layout::detect()?.clone(), "/proc".into(), data_dir))
    }

    pub(super) fn of(layout: Layout, proc: PathBuf, data_dir: &Path) -> Sampler {
        let kept = Kept::default();
        let root = Group::open(&layout, Path::new("/"), &kept, false);
        let host = Host { proc, data_dir: data_dir.to_owned() };
        Sampler { layout, host, root, kept, pods: HashMap::new(), buffer: Vec::new(), round: 0 }
    }

    /// Blocks for some 20 µs a container, and for a round of `layer`.
    pub fn sample(&mut self, node: &str, targets: &[PodTarget], time_ms: i64) -> NodeSample {
        self.round += 1;
        let reading = self.host.read(&self.root, &mut self.buffer);
        let pods = targets.iter().filter_map(|target| self.pod(target)).collect();
        let round = self.round;
        self.pods.retain(|_, known| known.seen == round);
        let containers = self.pods.values_mut().flat_map(|known| known.containers.values_mut());
        let layers = containers.filter_map(|own| Some((own.process?, &mut own.layer)));
        layer::go_on(&self.host.proc, layers, Instant::now());
        NodeSample { node: node.to_owned(), time_ms, reading, pods }
    }

    fn pod(&mut self, target: &PodTarget) -> Option<PodSample> {
        let (layout, kept, round) = (&self.layout, &self.kept, self.round);
        let path = Path::new(&target.cgroup);
        if !self.pods.contains_key(&target.uid) {
            let group = Group::open(layout, path, kept, false);
            self.pods.insert(target.uid.clone(), Known { group, containers: HashMap::new(), seen: round });
        }
        let known = self.pods.get_mut(&target.uid)?;
        known.seen = round;
        self.buffer.resize(READ_BYTES_MAX, 0);
        let Some(mut reading) = known.group.read(&mut self.buffer) else {
            // It may only not have been made yet: it is looked for again the next time.
            self.pods.remove(&target.uid);
            return None;
        };
        let mut process = None;
        let mut containers = Vec::with_capacity(target.containers.len());
        for container in &target.containers {
            let known = known.container(container, layout, path, kept, round);
            let Some(mut own) = known.group.read(&mut self.buffer) else { continue };
            known.complete(container, &mut self.buffer, &mut own);
            process = process.or(known.process);
            containers.push(ContainerSample {
                name: container.name.clone(),
                id: container.id.clone(),
                image: container.image.clone(),
                started_ms: container.started_ms,
                reading: own,
            });
        }
        known.containers.retain(|_, container| container.seen == round);
        // On v1 a group does not count what is killed below it.
        let kills = containers.iter().filter_map(|own| own.reading.get(Metric::OomKills)).sum();
        reading.set(Metric::OomKills, kills);
        // Likewise processes; where one container's are not known, nor is the sum.
        let processes = containers.iter().map(|own| own.reading.get(Metric::Processes)).sum::<Option<u64>>();
        if let Some(processes) = processes {
            reading.set(Metric::Processes, processes);
        }
        if let Some(process) = process.filter(|_| target.own_network) {
            let file = self.host.proc.join(format!("{process}/net/dev"));
            network::read(&file, &mut self.buffer, network::of_pod, &mut reading);
        }
        Some(PodSample {
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            uid: target.uid.clone(),
            started_ms: target.started_ms,
            reading,
            containers,
        })
    }
}

impl Known {
    fn container(
        &mut self,
        target: &ContainerTarget,
        layout: &Layout,
        pod: &Path,
        kept: &Kept,
        round: u64,
    ) -> &mut KnownContainer {
        let open = || Group::open(layout, &pod.join(&target.id), kept, true);
        let fresh = || KnownContainer {
            id: target.id.clone(),
            group: open(),
            kills_before: u64::from(target.oom_killed_before),
            kills: 0,
            process: None,
            layer: Layer::default(),
            seen: round,
        };
        let known = self.containers.entry(target.name.clone()).or_insert_with(fresh);
        known.seen = round;
        if known.group.is_empty() {
            // It had not been made yet.
            known.group = open();
        }
        if known.id != target.id {
            let last = known.kills.max(u64::from(target.oom_killed_before));
            let kills_before = known.kills_before + last;
            *known = KnownContainer { kills_before, ..fresh() };
        }
        known
    }
}

impl KnownContainer {
    /// What is not in its group's files.
    fn complete(&mut self, target: &ContainerTarget, buffer: &mut [u8], reading: &mut Reading) {
        let processes = self.group.processes(buffer);
        self.process = processes.map(|(first, _)| first);
        if let Some(count) = processes.and_then(|(_, count)| count) {
            reading.set(Metric::Processes, count);
        }
        if let Some(bytes) = self.layer.bytes() {
            reading.set(Metric::LayerUsage, bytes);
        }
        self.kills = reading.get(Metric::OomKills).unwrap_or(0);
        reading.set(Metric::OomKills, self.kills_before + self.kills);
        reading.set(Metric::Restarts, target.restarts);
        if let Ok(log) = std::fs::metadata(&target.log) {
            reading.set(Metric::DiskUsage, log.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::group::tests::{V1, V1_FILES, layout, write};
    use super::*;
    use rustix::time::{ClockId, clock_gettime};
    use std::time::Duration;

    struct Folder {
        root: tempfile::TempDir,
        sampler: Sampler,
    }

    fn folder() -> Folder {
        let root = tempfile::tempdir().unwrap();
        let net = root.path().join("proc/4711/net");
        std::fs::create_dir_all(&net).unwrap();
        std::fs::write(net.join("dev"), "eth0: 7 1 0 0 0 0 0 0 8 1 0 0 0 0 0 0\n").unwrap();
        let sampler = Sampler::of(layout(root.path(), V1), root.path().join("proc"), root.path());
        Folder { root, sampler }
    }

    impl Folder {
        fn group(&self, path: &str) {
            write(self.root.path(), path, V1_FILES);
        }
    }

    fn pod(uid: &str, container: &str) -> PodTarget {
        let container = ContainerTarget { name: "a".into(), id: container.into(), ..ContainerTarget::default() };
        PodTarget {
            uid: uid.into(),
            cgroup: format!("/kubepods/pod{uid}"),
            own_network: true,
            containers: vec![container],
            ..PodTarget::default()
        }
    }

    #[test]
    fn pods_and_their_containers_are_read() {
        let mut folder = folder();
        folder.group("kubepods/podu1");
        folder.group("kubepods/podu1/c1");
        let sample = folder.sampler.sample("n", &[pod("u1", "c1"), pod("u2", "c1")], 5);
        assert_eq!((sample.pods.len(), sample.time_ms), (1, 5), "what does not run is left out");
        let pod = &sample.pods[0];
        assert_eq!(pod.reading.get(Metric::NetworkReceived), Some(7));
        assert_eq!(pod.containers[0].reading.get(Metric::MemoryWorkingSet), Some(8_000_000));
        assert_eq!(pod.containers[0].reading.get(Metric::Restarts), Some(0));
        assert_eq!(pod.containers[0].reading.get(Metric::Processes), Some(2));
        assert_eq!(pod.reading.get(Metric::Processes), Some(2), "the sum over its containers");
        assert_eq!(pod.reading.get(Metric::OomKills), Some(2), "the sum over its containers");
    }

    #[test]
    fn a_layer_is_in_the_sample_behind_the_round_that_measured_it() {
        let mut folder = folder();
        folder.group("kubepods/podu1");
        folder.group("kubepods/podu1/c1");
        let (proc, upper) = (folder.root.path().join("proc"), folder.root.path().join("upper"));
        std::fs::create_dir(&upper).unwrap();
        std::fs::write(upper.join("a"), [1; 100_000]).unwrap();
        for process in ["self", "4711"] {
            std::fs::create_dir_all(proc.join(process).join("ns")).unwrap();
            std::os::unix::fs::symlink("user:[1]", proc.join(process).join("ns/user")).unwrap();
        }
        let line = format!("21 1 0:31 / / rw - overlay overlay rw,lowerdir=/l,upperdir={}\n", upper.display());
        std::fs::write(proc.join("4711/mountinfo"), line).unwrap();
        let layer = |sample: NodeSample| sample.pods[0].containers[0].reading.get(Metric::LayerUsage);
        assert_eq!(layer(folder.sampler.sample("n", &[pod("u1", "c1")], 0)), None, "not known is not none");
        assert!(layer(folder.sampler.sample("n", &[pod("u1", "c1")], 0)).is_some_and(|bytes| bytes >= 100_000));
    }

    #[test]
    fn kills_outlive_the_instance() {
        let mut folder = folder();
        folder.group("kubepods/podu1");
        folder.group("kubepods/podu1/c1");
        folder.group("kubepods/podu1/c2");
        let kills = |sample: NodeSample| sample.pods[0].containers[0].reading.get(Metric::OomKills);
        assert_eq!(kills(folder.sampler.sample("n", &[pod("u1", "c1")], 0)), Some(2));
        assert_eq!(kills(folder.sampler.sample("n", &[pod("u1", "c2")], 0)), Some(4));
        assert_eq!(kills(folder.sampler.sample("n", &[pod("u1", "c2")], 0)), Some(4));
    }

    #[test]
    fn a_pod_whose_group_comes_late_is_found() {
        let mut folder = folder();
        assert!(folder.sampler.sample("n", &[pod("u1", "c1")], 0).pods.is_empty());
        folder.group("kubepods/podu1");
        let sample = folder.sampler.sample("n", &[pod("u1", "c1")], 0);
        assert!(sample.pods[0].containers.is_empty());
        folder.group("kubepods/podu1/c1");
        assert_eq!(folder.sampler.sample("n", &[pod("u1", "c1")], 0).pods[0].containers.len(), 1);
        folder.sampler.sample("n", &[], 0);
        assert!(folder.sampler.pods.is_empty(), "what has ended is forgotten");
    }

    /// This thread's own: what else runs on the machine does not count.
    fn processor_time() -> Duration {
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap()
    }

    /// 1 % of a core is 100 ms each ten seconds; files in memory stand for the kernel's.
    #[test]
    fn three_hundred_pods_take_less_than_a_hundredth_of_a_core() {
        let mut folder = folder();
        let pods: Vec<_> = (0..300).map(|number| pod(&number.to_string(), "c")).collect();
        for target in &pods {
            folder.group(&target.cgroup[1..]);
            folder.group(&format!("{}/c", &target.cgroup[1..]));
        }
        folder.sampler.sample("n", &pods, 0);
        let time = |sampler: &mut Sampler| {
            let begun = processor_time();
            assert_eq!(sampler.sample("n", &pods, 0).pods.len(), 300);
            processor_time() - begun
        };
        let best = (0..5).map(|_| time(&mut folder.sampler)).min().unwrap();
        eprintln!("300 pods: {best:?} a sample");
        assert!(best < Duration::from_millis(100), "{best:?}");
    }
}

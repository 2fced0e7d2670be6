//! Whose a log is: the pod, its labels and its workload, and which part of a container's log a file holds.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// The file beside a pod's logs that says whose they are.
const FILE: &str = "pod.json";

/// A workload by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    pub kind: String,
    pub name: String,
}

/// A pod as its logs know it, also when it is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    pub namespace: String,
    pub pod: String,
    pub uid: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What made the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<Workload>,
    /// What stands above the owner, as far as names tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<Workload>,
}

impl Identity {
    /// `owner` is the controller that made the pod. A ReplicaSet's name is its Deployment's and the template's hash, a
    /// Job's of a CronJob that one's and a time: what stands above is read from there.
    pub fn new(
        namespace: &str,
        pod: &str,
        uid: &str,
        labels: BTreeMap<String, String>,
        owner: Option<Workload>,
    ) -> Identity {
        let workload = owner.as_ref().and_then(|owner| above(owner, &labels)).or_else(|| owner.clone());
        Identity { namespace: namespace.to_owned(), pod: pod.to_owned(), uid: uid.to_owned(), labels, owner, workload }
    }

    /// The directory of the pod's logs, in upstream's form.
    pub fn directory(&self) -> String {
        format!("{}_{}_{}", self.namespace, self.pod, self.uid)
    }

    /// What a directory's name tells.
    pub fn of_directory(name: &str) -> Option<Identity> {
        let mut parts = name.splitn(3, '_');
        let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Identity::new(namespace, pod, uid, BTreeMap::new(), None))
    }

    /// What the file beside the logs tells, once it is there.
    pub(crate) fn written(directory: &Path) -> Option<Identity> {
        serde_json::from_slice(&std::fs::read(directory.join(FILE)).ok()?).ok()
    }

    /// Of the pod whose logs are in `directory`; without its file, what the directory's name tells.
    pub fn read(directory: &Path) -> Option<Identity> {
        Identity::written(directory).or_else(|| Identity::of_directory(directory.file_name()?.to_str()?))
    }

    /// Writes it beside the pod's logs, unless it stands there already.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        let path = directory.join(FILE);
        if std::fs::read(&path).is_ok_and(|present| present == bytes) {
            return Ok(());
        }
        let temporary = directory.join(".pod.json");
        std::fs::File::create(&temporary)?.write_all(&bytes)?;
        std::fs::rename(temporary, path)
    }
}

fn above(owner: &Workload, labels: &BTreeMap<String, String>) -> Option<Workload> {
    let (kind, name) = match owner.kind.as_str() {
        "ReplicaSet" => {
            let hash = labels.get("pod-template-hash")?;
            ("Deployment", owner.name.strip_suffix(hash.as_str())?.strip_suffix('-')?)
        }
        "Job" => {
            let (name, minute) = owner.name.rsplit_once('-')?;
            let is_time = minute.len() == 8 && minute.bytes().all(|byte| byte.is_ascii_digit());
            ("CronJob", is_time.then_some(name)?)
        }
        _ => return None,
    };
    Some(Workload { kind: kind.to_owned(), name: name.to_owned() })
}

/// Which rotation of an instance's log a file is; the one that is written to comes after all.
///
/// Numbers grow whatever the clock says, and are never given twice; some may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Rotation {
    Number(u64),
    /// On its way from live to a number; the runtime may still write to it.
    Moving,
    Live,
}

/// A part of a container's log: the parts in order are the whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Part {
    pub container: Box<str>,
    /// Which instance of the container; each restart has the next.
    pub attempt: u32,
    pub rotation: Rotation,
}

impl Part {
    /// Of a file in a container's directory: `0.log`, or `0.log.000001-20260102-030405` where it was rotated.
    pub fn of_log(container: &str, file: &str) -> Option<Part> {
        let (attempt, rest) = file.split_once(".log")?;
        let rotation = match rest.strip_prefix('.') {
            None if rest.is_empty() => Rotation::Live,
            Some("rotating") => Rotation::Moving,
            None => return None,
            Some(suffix) => Rotation::Number(suffix.split('-').next()?.parse().ok()?),
        };
        Some(Part { container: container.into(), attempt: attempt.parse().ok()?, rotation })
    }

    /// Of a segment's file: `container.attempt.rotation.seg`.
    pub(crate) fn of_segment(file: &str) -> Option<Part> {
        let mut parts = file.strip_suffix(".seg")?.rsplitn(3, '.');
        let (rotation, attempt, container) = (parts.next()?, parts.next()?, parts.next()?);
        let rotation = match rotation {
            "live" => Rotation::Live,
            "moving" => Rotation::Moving,
            number => Rotation::Number(number.parse().ok()?),
        };
        Some(Part { container: container.into(), attempt: attempt.parse().ok()?, rotation })
    }

    pub(crate) fn segment_name(&self) -> String {
        let Part { container, attempt, .. } = self;
        match self.rotation {
            Rotation::Live => format!("{container}.{attempt}.live.seg"),
            Rotation::Moving => format!("{container}.{attempt}.moving.seg"),
            Rotation::Number(number) => format!("{container}.{attempt}.{number:06}.seg"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_parts() {
        let check = |file: &str, wanted: Option<(u32, Rotation)>| {
            let part = Part::of_log("web", file);
            assert_eq!(part.as_ref().map(|part| (part.attempt, part.rotation)), wanted, "{file}");
            if let Some(part) = part {
                assert_eq!(Part::of_segment(&part.segment_name()), Some(part));
            }
        };
        check("0.log", Some((0, Rotation::Live)));
        check("12.log.000003-20260102-030405", Some((12, Rotation::Number(3))));
        check("0.log.20260102-030405", Some((0, Rotation::Number(20_260_102))));
        check("0.log.rotating", Some((0, Rotation::Moving)));
        check("0.log.else", None);
        check("0.logx", None);
        check("x.log", None);
        assert!(Rotation::Number(u64::MAX) < Rotation::Moving && Rotation::Moving < Rotation::Live);
    }

    #[test]
    fn owners_tell_what_stands_above() {
        let check = |kind: &str, name: &str, hash: &str, wanted: (&str, &str)| {
            let labels = BTreeMap::from([("pod-template-hash".to_owned(), hash.to_owned())]);
            let owner = Workload { kind: kind.to_owned(), name: name.to_owned() };
            let top = Identity::new("a", "p", "u", labels, Some(owner)).workload.unwrap();
            assert_eq!((top.kind.as_str(), top.name.as_str()), wanted);
        };
        check("ReplicaSet", "web-5d4f", "5d4f", ("Deployment", "web"));
        check("ReplicaSet", "own", "5d4f", ("ReplicaSet", "own"));
        check("Job", "backup-29123456", "", ("CronJob", "backup"));
        check("Job", "once", "", ("Job", "once"));
        check("DaemonSet", "agent", "", ("DaemonSet", "agent"));
    }

    #[test]
    fn the_file_tells_more_than_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let pod = dir.path().join("shop_web-1_u-1");
        std::fs::create_dir(&pod).unwrap();
        let named = Identity::read(&pod).unwrap();
        assert_eq!((named.namespace.as_str(), named.pod.as_str(), named.uid.as_str()), ("shop", "web-1", "u-1"));
        let labels = BTreeMap::from([("app".to_owned(), "web".to_owned())]);
        let whole = Identity::new("shop", "web-1", "u-1", labels, None);
        whole.write(&pod).unwrap();
        whole.write(&pod).unwrap();
        assert_eq!(Identity::read(&pod), Some(whole));
    }
}

//! What is kept of sandboxes and containers, in memory and in one JSON file each.
//!
//! Invariant: a file that an older build wrote is understood: own fields have defaults, and CRI's messages are kept
//! in protobuf, which is made for that.

use std::net::IpAddr;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cri::v1;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A CRI message inside JSON.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Message<T>(pub(crate) T);

impl<T: prost::Message> Serialize for Message<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.0.encode_to_vec()))
    }
}

impl<'de, T: prost::Message + Default> Deserialize<'de> for Message<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        T::decode(bytes.as_slice()).map(Message).map_err(D::Error::custom)
    }
}

/// A sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxRecord {
    pub(crate) id: String,
    pub(crate) config: Message<v1::PodSandboxConfig>,
    pub(crate) created_ns: i64,
    pub(crate) state: SandboxState,
    #[serde(default)]
    pub(crate) ips: Vec<IpAddr>,
    /// Whether this runtime made the pod's cgroup, and so removes it.
    #[serde(default)]
    pub(crate) made_cgroup: bool,
}

/// How far a sandbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum SandboxState {
    /// Being made: one that is found so after a restart is removed.
    Creating,
    /// Ready for containers.
    Ready,
    /// Stopped, or its shim is gone.
    NotReady,
}

/// A container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ContainerRecord {
    pub(crate) id: String,
    pub(crate) sandbox: String,
    pub(crate) config: Message<v1::ContainerConfig>,
    pub(crate) image_id: String,
    pub(crate) image_ref: String,
    /// The image's layers, the topmost first.
    pub(crate) layers: Vec<PathBuf>,
    pub(crate) plan: Plan,
    pub(crate) cgroup: PathBuf,
    pub(crate) log_path: String,
    /// The limits in force.
    pub(crate) resources: Message<v1::LinuxContainerResources>,
    pub(crate) created_ns: i64,
    pub(crate) phase: Phase,
    #[serde(default)]
    pub(crate) identity: Option<Identity>,
}

/// What a container runs and what it may do, decided when it was created.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<String>,
    pub(crate) cwd: String,
    pub(crate) user: String,
    pub(crate) groups: Vec<u32>,
    pub(crate) image_groups: bool,
    /// Bounding, effective and permitted capabilities.
    pub(crate) capabilities: u64,
    /// Inheritable and ambient ones.
    pub(crate) ambient: u64,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Filter,
    pub(crate) privileged: bool,
    pub(crate) masked_paths: Vec<String>,
    pub(crate) readonly_paths: Vec<String>,
    pub(crate) stop_signal: i32,
}

/// Which filter system calls go through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Filter {
    /// None.
    #[default]
    Unconfined,
    /// The runtime's own, after the container's capabilities.
    Default,
    /// The profile in this file.
    Local(PathBuf),
}

/// Whom a container runs as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// How far a container is. Times are nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Created,
    Running { started_ns: i64, pid: i32 },
    Exited { started_ns: i64, finished_ns: i64, exit_code: i32, reason: String, message: String },
}

impl Phase {
    /// Created, running, exited: a container only goes forward.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Phase::Created => 0,
            Phase::Running { .. } => 1,
            Phase::Exited { .. } => 2,
        }
    }
}

/// Now, in nanoseconds since 1970, as CRI counts.
pub(crate) fn now_ns() -> i64 {
    jiff::Timestamp::now().as_nanosecond().try_into().unwrap_or(i64::MAX)
}

/// A fresh id: 64 hexadecimal digits, as other runtimes have them.
pub(crate) fn new_id() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_their_file() {
        let config = v1::PodSandboxConfig { hostname: "h".into(), ..Default::default() };
        let record = SandboxRecord {
            id: new_id(),
            config: Message(config),
            created_ns: 5,
            state: SandboxState::Ready,
            ips: vec!["10.0.0.1".parse().unwrap()],
            made_cgroup: true,
        };
        let text = serde_json::to_string(&record).unwrap();
        let back: SandboxRecord = serde_json::from_str(&text).unwrap();
        assert_eq!((back.id.len(), back.config, back.ips), (64, record.config, record.ips));
        let older = text.replace(r#","made_cgroup":true"#, r#","unknown":1"#);
        assert!(!serde_json::from_str::<SandboxRecord>(&older).unwrap().made_cgroup);
    }
}

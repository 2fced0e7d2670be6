//! What a pod's machine wants done.

use super::probes::ProbeKind;
use super::state::Name;
use k8s_openapi::api::core::v1::PodStatus;

/// One thing to do. Those that end with a result are answered with the event of that name.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Directories, cgroup and volumes. Answered `VolumesReady` or `VolumesFailed`.
    SetUpVolumes,
    /// Answered `SandboxCreated` or `SandboxFailed`.
    CreateSandbox {
        attempt: u32,
    },
    /// Answered `SandboxStopped` (and an observation of what ended with it) or `SandboxStopFailed`.
    StopSandbox {
        id: String,
    },
    /// Answered `ImageReady` or `ImageFailed`.
    EnsureImage {
        container: Name,
    },
    /// Answered `Started` or `StartFailed`.
    StartContainer {
        container: Name,
        attempt: u32,
        sandbox: String,
    },
    /// Answered `PostStartDone`.
    PostStart {
        container: Name,
        id: String,
    },
    /// preStop hook if `hook`, then the stop signal, then the end by force after `grace_seconds` in all.
    /// Answered by an observation, or `StopFailed`.
    StopContainer {
        container: Name,
        id: String,
        grace_seconds: i64,
        hook: bool,
    },
    /// Answered `Probed`.
    Probe {
        container: Name,
        id: String,
        kind: ProbeKind,
    },
    /// Dead containers that nobody will ask for again.
    RemoveContainers {
        ids: Vec<String>,
    },
    /// Volumes unmounted, cgroup removed. Answered `CleanedUp` or `CleanUpFailed`.
    CleanUp,
    /// Containers, sandboxes, logs and directories removed. Answered `Forgotten` or `ForgetFailed`.
    Forget,
    WriteStatus(Box<PodStatus>),
    /// Delete the API's object at once, after the last status is written.
    DeleteObject,
    Record(Note),
    /// Nothing is left to do, ever.
    Finish,
}

/// An event object to be: something a user should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) warning: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// The container it is about; `None`: the pod.
    pub(crate) container: Option<Name>,
}

impl Note {
    pub(crate) fn normal(reason: &'static str, message: impl Into<String>) -> Note {
        Note { warning: false, reason, message: message.into(), container: None }
    }

    pub(crate) fn warning(reason: &'static str, message: impl Into<String>) -> Note {
        Note { warning: true, reason, message: message.into(), container: None }
    }

    pub(crate) fn about(mut self, container: &Name) -> Note {
        self.container = Some(container.clone());
        self
    }
}

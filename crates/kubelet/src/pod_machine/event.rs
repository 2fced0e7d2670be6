//! What a pod's machine is told.

use super::probes::{Outcome, ProbeKind};
use super::state::{Exit, Name};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One thing that happened. Results name the container and, where one exists, the runtime's id, so that a late
/// result of an earlier instance is told apart and dropped.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The API's latest object.
    Updated(Arc<Pod>),
    /// The API has no such object any more.
    Removed,
    /// What the runtime holds.
    Observed(Observation),
    VolumesReady,
    VolumesFailed,
    SandboxCreated {
        id: String,
        ips: Vec<String>,
    },
    SandboxFailed(String),
    SandboxStopped,
    SandboxStopFailed,
    ImageReady {
        container: Name,
    },
    ImageFailed {
        container: Name,
        reason: PullFailure,
        message: String,
    },
    Started {
        container: Name,
        id: String,
        started_at: Timestamp,
        image: String,
        image_id: String,
    },
    /// `ended` where the runtime had made the container already and keeps it as one that failed.
    StartFailed {
        container: Name,
        reason: &'static str,
        message: String,
        ended: Option<Exit>,
    },
    PostStartDone {
        container: Name,
        id: String,
        result: Result<(), String>,
    },
    /// The stop was carried out; the exit itself comes as an observation.
    StopFailed {
        container: Name,
        id: String,
    },
    Probed {
        container: Name,
        id: String,
        kind: ProbeKind,
        outcome: Outcome,
    },
    CleanedUp,
    CleanUpFailed,
    Forgotten,
    ForgetFailed,
    /// The node cannot take it.
    Refused {
        reason: String,
        message: String,
    },
    /// The node needs its room.
    Evicted {
        message: String,
    },
    /// The time asked for has come.
    Timer,
}

/// Why an image is not there, which decides what is shown and when it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PullFailure {
    ErrImagePull,
    ErrImageNeverPull,
    InvalidImageName,
    ImageInspectError,
}

impl PullFailure {
    pub(crate) fn reason(self) -> &'static str {
        match self {
            PullFailure::ErrImagePull => "ErrImagePull",
            PullFailure::ErrImageNeverPull => "ErrImageNeverPull",
            PullFailure::InvalidImageName => "InvalidImageName",
            PullFailure::ImageInspectError => "ImageInspectError",
        }
    }
}

/// The runtime's view of one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observation {
    /// The latest sandbox.
    pub(crate) sandbox: Option<ObservedSandbox>,
    /// In order of creation.
    pub(crate) containers: Vec<ObservedContainer>,
    /// Ids that were thought to exist and that the runtime has no record of.
    pub(crate) gone: Vec<String>,
    /// Of each container that has logs here: the number of an instance after all of them.
    pub(crate) logged: BTreeMap<Name, u32>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ObservedSandbox {
    pub(crate) id: String,
    pub(crate) ready: bool,
    pub(crate) attempt: u32,
    pub(crate) ips: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ObservedContainer {
    pub(crate) name: Name,
    pub(crate) id: String,
    pub(crate) sandbox_id: String,
    pub(crate) restarts: u32,
    pub(crate) hash: String,
    pub(crate) image: String,
    pub(crate) image_id: String,
    pub(crate) run: ObservedRun,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ObservedRun {
    /// Made, not started: left over from a start that was interrupted.
    Created,
    Running {
        started_at: Timestamp,
    },
    Exited(Exit),
}

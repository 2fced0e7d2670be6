//! Runs `testdata/*.script`: a pod, then events with the time at which they come, then what the machine answers.
//!
//! `UPDATE_SCRIPTS=1 cargo nextest run -p kubelet scripts` writes the answers anew; read the difference.

use super::event::{Event, Observation, ObservedContainer, ObservedRun, ObservedSandbox, PullFailure};
use super::state::{Exit, Facts, PodState};
use super::{Effect, Outcome, ProbeKind, step};
use crate::pod::{containers, tests::from_yaml};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

#[test]
fn scripts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata");
    let mut ran = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "script") {
            check(&path);
            ran += 1;
        }
    }
    assert!(ran >= 10, "the scripts are gone: {ran} found");
}

fn check(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap();
    let (pod, script) = text.split_once("\n---\n").expect("a script is a pod, `---`, events");
    let answered = run(from_yaml(pod), script);
    let wanted = format!("{pod}\n---\n{answered}");
    if std::env::var_os("UPDATE_SCRIPTS").is_some() {
        std::fs::write(path, wanted).unwrap();
    } else {
        assert_eq!(text, wanted, "{}: answered otherwise", path.display());
    }
}

fn run(pod: Pod, script: &str) -> String {
    let mut player = Player { pod: Arc::new(pod), state: None };
    let mut answered = String::new();
    for line in script.lines().filter(|line| !line.starts_with('>')) {
        writeln!(answered, "{line}").unwrap();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (seconds, event) = line.split_once(' ').expect("time, then event");
        let now = at(seconds);
        for effect in player.play(event, now) {
            writeln!(answered, "> {}", effect_text(&effect)).unwrap();
        }
        if let Some(wake) = player.state.as_ref().and_then(|state| state.wake) {
            writeln!(answered, "> wake at {}", wake.as_duration().as_secs_f64()).unwrap();
        }
    }
    answered
}

fn at(seconds: &str) -> Timestamp {
    let seconds: f64 = seconds.parse().expect("a line begins with seconds");
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).unwrap()
}

struct Player {
    pod: Arc<Pod>,
    state: Option<PodState>,
}

impl Player {
    fn play(&mut self, text: &str, now: Timestamp) -> Vec<Effect> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words[0] == "start" {
            let facts = Facts { host_ips: vec!["192.0.2.1".into()], runtime_name: "test".into() };
            let observed = observation(&self.pod, &words[1..], now);
            let pod = match &self.state {
                Some(state) => Arc::new(Pod { status: state.reported.clone(), ..(*self.pod).clone() }),
                None => self.pod.clone(),
            };
            self.state = Some(PodState::new(pod, Arc::new(facts), observed, now));
            return step(self.state.as_mut().unwrap(), Event::Timer, now);
        }
        let event = self.event(&words, now);
        step(self.state.as_mut().expect("a script begins with start"), event, now)
    }

    fn event(&mut self, words: &[&str], now: Timestamp) -> Event {
        let rest = |from: usize| words[from..].join(" ");
        match *words {
            ["volumes", "ready"] => Event::VolumesReady,
            ["volumes", "failed"] => Event::VolumesFailed,
            ["sandbox", "created", id, ip] => Event::SandboxCreated { id: id.into(), ips: vec![ip.into()] },
            ["sandbox", "failed", ..] => Event::SandboxFailed(rest(2)),
            ["sandbox", "stopped"] => Event::SandboxStopped,
            ["image", "ready", name] => Event::ImageReady { container: name.into() },
            ["image", "failed", name, reason, ..] => {
                let reason = match reason {
                    "ErrImageNeverPull" => PullFailure::ErrImageNeverPull,
                    "InvalidImageName" => PullFailure::InvalidImageName,
                    _ => PullFailure::ErrImagePull,
                };
                Event::ImageFailed { container: name.into(), reason, message: rest(4) }
            }
            ["started", name, id] => Event::Started {
                container: name.into(),
                id: id.into(),
                started_at: now,
                image: "image".into(),
                image_id: "sha256:1".into(),
            },
            ["start-failed", name, ..] => {
                let (reason, message) = ("CreateContainerConfigError", rest(2));
                Event::StartFailed { container: name.into(), reason, message, ended: None }
            }
            ["start-ended", name, id, ..] => {
                let exit =
                    Exit { id: id.into(), code: 128, reason: "StartError".into(), finished_at: now, ..Exit::default() };
                let reason = "RunContainerError";
                Event::StartFailed { container: name.into(), reason, message: rest(3), ended: Some(exit) }
            }
            ["hook", "done", name, id] => {
                Event::PostStartDone { container: name.into(), id: id.into(), result: Ok(()) }
            }
            ["hook", "failed", name, id, ..] => {
                Event::PostStartDone { container: name.into(), id: id.into(), result: Err(rest(4)) }
            }
            ["stop-failed", name, id] => Event::StopFailed { container: name.into(), id: id.into() },
            ["probe", name, id, kind, result, ..] => Event::Probed {
                container: name.into(),
                id: id.into(),
                kind: match kind {
                    "startup" => ProbeKind::Startup,
                    "liveness" => ProbeKind::Liveness,
                    _ => ProbeKind::Readiness,
                },
                outcome: match result {
                    "ok" => Outcome::Success,
                    "error" => Outcome::Error(rest(5)),
                    _ => Outcome::Failure(rest(5)),
                },
            },
            ["observe", ..] => Event::Observed(observation(&self.pod, &words[1..], now)),
            ["cleaned"] => Event::CleanedUp,
            ["forgotten"] => Event::Forgotten,
            ["removed"] => Event::Removed,
            ["timer"] => Event::Timer,
            ["refuse", reason, ..] => Event::Refused { reason: reason.into(), message: rest(2) },
            ["evict", ..] => Event::Evicted { message: rest(1) },
            ["delete", grace] => {
                let pod = Arc::make_mut(&mut self.pod);
                pod.metadata.deletion_timestamp = Some(Time(now));
                pod.metadata.deletion_grace_period_seconds = Some(grace.parse().unwrap());
                Event::Updated(self.pod.clone())
            }
            ["set-image", name, image] => {
                let pod = Arc::make_mut(&mut self.pod);
                let containers = pod.spec.as_mut().unwrap().containers.iter_mut();
                containers.filter(|container| container.name == name).for_each(|one| one.image = Some(image.into()));
                Event::Updated(self.pod.clone())
            }
            _ => panic!("no such event: {words:?}"),
        }
    }
}

/// `sandbox=s1:ready a=c1:running b=c2:3:Error:restarts gone=c3 logged=a:2`; the pod's own hashes are assumed.
fn observation(pod: &Pod, words: &[&str], now: Timestamp) -> Observation {
    let mut observation = Observation::default();
    for word in words {
        let (name, value) = word.split_once('=').expect("name=value");
        let parts: Vec<&str> = value.split(':').collect();
        match name {
            "gone" => observation.gone.push(value.into()),
            "logged" => drop(observation.logged.insert(parts[0].into(), parts[1].parse().unwrap())),
            "sandbox" => {
                let ready = parts[1] == "ready";
                observation.sandbox =
                    Some(ObservedSandbox { id: parts[0].into(), ready, attempt: 0, ips: vec!["10.0.0.9".into()] });
            }
            _ => {
                let run = match parts[1] {
                    "running" => ObservedRun::Running { started_at: now },
                    "created" => ObservedRun::Created,
                    code => ObservedRun::Exited(Exit {
                        id: parts[0].into(),
                        code: code.parse().unwrap(),
                        reason: parts.get(2).copied().unwrap_or_default().into(),
                        started_at: Some(now),
                        finished_at: now,
                        ..Exit::default()
                    }),
                };
                observation.containers.push(ObservedContainer {
                    name: name.into(),
                    id: parts[0].into(),
                    sandbox_id: "s1".into(),
                    restarts: parts.get(3).map_or(0, |count| count.parse().unwrap()),
                    hash: containers::find(pod, name).map(|(_, spec)| containers::hash(&spec)).unwrap(),
                    image: "image".into(),
                    image_id: "sha256:1".into(),
                    run,
                });
            }
        }
    }
    observation
}

fn effect_text(effect: &Effect) -> String {
    match effect {
        Effect::SetUpVolumes => "set up volumes".into(),
        Effect::CreateSandbox { attempt } => format!("create sandbox {attempt}"),
        Effect::StopSandbox { id } => format!("stop sandbox {id}"),
        Effect::EnsureImage { container } => format!("ensure image of {container}"),
        Effect::StartContainer { container, attempt, sandbox } => format!("start {container} #{attempt} in {sandbox}"),
        Effect::PostStart { container, id } => format!("post start {container} {id}"),
        Effect::StopContainer { container, id, grace_seconds, hook } => {
            format!("stop {container} {id} in {grace_seconds}s{}", if *hook { " after its hook" } else { "" })
        }
        Effect::Probe { container, id, kind } => format!("probe {container} {id} {kind:?}"),
        Effect::RemoveContainers { ids } => format!("remove {}", ids.join(" ")),
        Effect::CleanUp => "clean up".into(),
        Effect::Forget => "forget".into(),
        Effect::WriteStatus(status) => status_text(status),
        Effect::DeleteObject => "delete object".into(),
        Effect::Record(note) => {
            let kind = if note.warning { "Warning" } else { "Normal" };
            let about = note.container.as_ref().map(|name| format!(" [{name}]")).unwrap_or_default();
            format!("event {kind} {}{about} {}", note.reason, note.message)
        }
        Effect::Finish => "finish".into(),
    }
}

fn status_text(status: &PodStatus) -> String {
    let mut text = format!("status {}", status.phase.as_deref().unwrap_or("?"));
    for part in [&status.reason, &status.message].into_iter().flatten() {
        write!(text, " ({part})").unwrap();
    }
    for condition in status.conditions.iter().flatten().filter(|condition| condition.type_ != "PodScheduled") {
        let sign = if condition.status == "True" { '+' } else { '-' };
        write!(text, " {sign}{}", condition.type_).unwrap();
        if let Some(reason) = &condition.reason {
            write!(text, "({reason})").unwrap();
        }
    }
    let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    for container in lists.into_iter().flatten().flatten() {
        write!(text, " | {}", container_text(container)).unwrap();
    }
    text
}

fn container_text(container: &ContainerStatus) -> String {
    let state = |state: &k8s_openapi::api::core::v1::ContainerState| -> Option<String> {
        if let Some(waiting) = &state.waiting {
            let message = waiting.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            return Some(format!("{}{message}", waiting.reason.as_deref().unwrap_or("?")));
        }
        let ended = state.terminated.as_ref();
        let ended = ended.map(|ended| format!("{} {}", ended.reason.as_deref().unwrap_or("?"), ended.exit_code));
        ended.or(state.running.as_ref().map(|_| "running".to_owned()))
    };
    let mut text = format!("{} {}", container.name, container.state.as_ref().and_then(state).unwrap_or("?".into()));
    if container.ready {
        text.push_str(" ready");
    }
    if container.restart_count > 0 {
        write!(text, " restarts={}", container.restart_count).unwrap();
    }
    if let Some(last) = container.last_state.as_ref().and_then(state) {
        write!(text, " last=[{last}]").unwrap();
    }
    text
}

//! One task per pod: feeds the pod's machine, carries out what it decides, and owns the only actual state of the pod.
//!
//! Invariants: what comes from outside is coalesced (the latest object, one pending nudge), so nothing here grows;
//! ending the task leaves the pod's containers running, and a new task finds everything again.

pub(crate) mod cleanup;
mod effects;
pub(crate) mod observe;
mod sandbox;
mod start;
mod stop;

use crate::context::Context;
use crate::logs::attempts;
use crate::pod;
use crate::pod::Uid;
use crate::pod_machine::{Effect, Event, Observation, PodState, step};
use crate::status_writer::StatusWriter;
use crate::volumes::keeper::{Keeper, Volumes};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// What the API wants of a pod.
#[derive(Clone, Debug)]
pub(crate) struct Desired {
    pub(crate) pod: Arc<Pod>,
    /// The API has no such object any more.
    pub(crate) removed: bool,
}

/// What others see of a pod that is here.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) status: Option<PodStatus>,
    pub(crate) sandbox: Option<String>,
    /// Name, id and attempt of each container's instances: the present one, then the one before.
    pub(crate) instances: Vec<InstanceView>,
}

#[derive(Clone, Debug)]
pub(crate) struct InstanceView {
    pub(crate) container: String,
    pub(crate) id: String,
    pub(crate) running: bool,
    pub(crate) attempt: u32,
}

/// How a pod begins on this node.
#[derive(Clone, Debug)]
pub(crate) enum Beginning {
    /// With what the runtime holds of it.
    Found(Observation),
    /// Turned away.
    Refused { reason: String, message: String },
}

/// The handle that the router keeps.
pub(crate) struct PodHandle {
    pub(crate) desired: watch::Sender<Desired>,
    pub(crate) view: watch::Receiver<Arc<View>>,
    nudge: Arc<Notify>,
    evict: mpsc::Sender<String>,
}

impl PodHandle {
    /// Has the runtime's state looked at anew.
    pub(crate) fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// Ends it for want of room, unless that is under way already.
    pub(crate) fn evict(&self, message: String) {
        if self.evict.try_send(message).is_err() {
            tracing::debug!("the pod is being evicted already");
        }
    }
}

/// Starts a pod's task; `finished` hears of its end.
pub(crate) fn spawn(
    context: Arc<Context>,
    pod: Arc<Pod>,
    beginning: Beginning,
    finished: mpsc::Sender<Uid>,
    tasks: &mut JoinSet<()>,
) -> PodHandle {
    let (desired, wishes) = watch::channel(Desired { pod: pod.clone(), removed: false });
    let (views, view) = watch::channel(Arc::new(View::default()));
    let nudge = Arc::new(Notify::new());
    // One is enough: an eviction is final.
    let (evict, evictions) = mpsc::channel(1);
    let uid: Uid = pod::uid(&pod).into();
    let (observed, refusal) = match beginning {
        Beginning::Found(observed) => {
            let logged = attempts::logged(&context.dirs.pod_logs(&pod));
            (Observation { logged, ..observed }, None)
        }
        Beginning::Refused { reason, message } => (Observation::default(), Some(Event::Refused { reason, message })),
    };
    let state = PodState::new(pod, context.facts.clone(), observed, Timestamp::now());
    let shared = context.clone();
    let worker = Worker {
        writer: StatusWriter::spawn(context.clone(), wishes.clone()),
        context,
        state,
        wishes,
        views,
        nudge: nudge.clone(),
        evictions,
        results: JoinSet::new(),
        keeper: None,
        finished: false,
    };
    tasks.spawn(async move {
        Box::pin(worker.run(refusal.unwrap_or(Event::Timer))).await;
        shared.probes.forget(&uid);
        // The router may be gone already when the node shuts down.
        if finished.send(uid).await.is_err() {
            tracing::debug!("a pod ended after the router");
        }
    });
    PodHandle { desired, view, nudge, evict }
}

struct Worker {
    context: Arc<Context>,
    state: PodState,
    wishes: watch::Receiver<Desired>,
    views: watch::Sender<Arc<View>>,
    nudge: Arc<Notify>,
    evictions: mpsc::Receiver<String>,
    results: JoinSet<Outcome>,
    keeper: Option<Keeper>,
    writer: StatusWriter,
    finished: bool,
}

/// What a finished effect tells.
#[derive(Default)]
struct Outcome {
    events: Vec<Event>,
    volumes: Option<Volumes>,
}

impl From<Event> for Outcome {
    fn from(event: Event) -> Outcome {
        Outcome { events: vec![event], volumes: None }
    }
}

impl Worker {
    async fn run(mut self, first: Event) {
        self.take(first);
        while !self.finished {
            let wait = self.wait();
            tokio::select! {
                changed = self.wishes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let wish = self.wishes.borrow_and_update().clone();
                    self.take(if wish.removed { Event::Removed } else { Event::Updated(wish.pod) });
                }
                Some(done) = self.results.join_next() => self.conclude(done),
                () = self.nudge.notified() => self.look(),
                Some(message) = self.evictions.recv() => self.take(Event::Evicted { message }),
                () = tokio::time::sleep(wait), if self.state.wake.is_some() => self.take(Event::Timer),
            }
        }
    }

    fn wait(&self) -> Duration {
        let wake = self.state.wake.unwrap_or(Timestamp::MAX);
        Duration::try_from(wake.duration_since(Timestamp::now())).unwrap_or_default()
    }

    fn conclude(&mut self, done: Result<Outcome, tokio::task::JoinError>) {
        match done {
            Ok(outcome) => {
                if let Some(volumes) = outcome.volumes {
                    self.keeper = volumes.keep(self.wishes.clone(), self.state.pod_ips.clone());
                }
                for event in outcome.events {
                    let started = matches!(event, Event::Started { .. } | Event::StartFailed { .. });
                    self.take(event);
                    // An end that came before its container was known here found nobody to tell.
                    if started {
                        self.look();
                    }
                }
            }
            // The machine would wait for that result for ever: what is there is looked at anew by a new task.
            Err(error) => tracing::error!(pod = %pod::described(&self.state.pod), %error, "an effect failed to run"),
        }
    }

    fn take(&mut self, event: Event) {
        tracing::trace!(pod = %pod::described(&self.state.pod), ?event, "pod event");
        for effect in step(&mut self.state, event, Timestamp::now()) {
            self.perform(effect);
        }
        self.show();
    }

    fn show(&self) {
        let state = &self.state;
        let instances = state.containers.iter().flat_map(|container| {
            let present = match (container.instance(), container.exit()) {
                (Some(instance), _) => Some((&instance.id, true)),
                (None, Some(exit)) => Some((&exit.id, false)),
                (None, None) => None,
            };
            let view = |id: &String, running: bool, attempt: u32| InstanceView {
                container: container.name.to_string(),
                id: id.clone(),
                running,
                attempt,
            };
            let present = present.map(|(id, running)| view(id, running, container.restarts));
            let before =
                container.last.as_ref().map(|last| view(&last.id, false, container.restarts.saturating_sub(1)));
            present.into_iter().chain(before)
        });
        self.views.send_replace(Arc::new(View {
            status: state.reported.clone(),
            sandbox: state.sandbox.ready_id().map(str::to_owned),
            instances: instances.collect(),
        }));
    }

    fn look(&mut self) {
        let context = self.context.clone();
        let uid = pod::uid(&self.state.pod).to_owned();
        let expected = self.state.running_ids();
        let sandbox = self.state.sandbox.ready_id().map(str::to_owned);
        self.results.spawn(async move {
            match observe::again(&context, expected, sandbox).await {
                Ok(observed) => Event::Observed(observed).into(),
                Err(error) => {
                    tracing::warn!(uid, error, "the runtime was not asked about a pod; the next event does");
                    Outcome::default()
                }
            }
        });
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::WriteStatus(status) => self.writer.write(*status),
            Effect::DeleteObject => self.writer.delete(),
            Effect::Record(note) => self.context.record(&self.state.pod, &note),
            Effect::Finish => self.finished = true,
            Effect::CleanUp => {
                self.keeper = None;
                self.spawn(Effect::CleanUp);
            }
            other => self.spawn(other),
        }
    }

    fn spawn(&mut self, effect: Effect) {
        let snapshot = effects::Snapshot::of(&self.context, &self.state);
        self.results.spawn(Box::pin(effects::perform(snapshot, effect)));
    }
}

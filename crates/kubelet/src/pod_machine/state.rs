//! The actual state of one pod on this node, and how it is found again after a restart of this process.

use super::backoff::{Backoff, Retry};
use super::event::{Observation, ObservedContainer, ObservedRun};
use super::probes::Probes;
use crate::pod::containers::{Role, all};
use crate::pod::{self, containers};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use std::sync::Arc;

/// A container's name, unique in its pod.
pub(crate) type Name = Arc<str>;

/// What the machine must know of its node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) host_ips: Vec<String>,
    /// The scheme of container ids: `sampan`, `containerd`.
    pub(crate) runtime_name: String,
}

/// Everything about one pod. Created once, then changed by `step` alone.
#[derive(Clone, Debug)]
pub(crate) struct PodState {
    pub(crate) pod: Arc<Pod>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) stage: Stage,
    /// The API has no object any more: no status is written, nothing deleted there.
    pub(crate) removed: bool,
    /// Why it failed as a whole, beside its containers.
    pub(crate) verdict: Option<Verdict>,
    pub(crate) volumes: Setup,
    pub(crate) sandbox: Sandbox,
    /// The attempt of the next sandbox.
    pub(crate) sandbox_attempt: u32,
    /// Kept when the sandbox ends, as upstream does.
    pub(crate) pod_ips: Vec<String>,
    /// Init and sidecars in their order, main, ephemeral.
    pub(crate) containers: Vec<ContainerState>,
    /// Every init container has done its part in this sandbox.
    pub(crate) initialized: bool,
    pub(crate) start_time: Timestamp,
    /// What was last handed to the writer.
    pub(crate) reported: Option<PodStatus>,
    /// The next moment at which something is due.
    pub(crate) wake: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Kept as the spec says.
    Syncing,
    Ending(Ending),
    /// Nothing runs.
    Ended(Cleaning),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) since: Timestamp,
    pub(crate) grace: SignedDuration,
    pub(crate) sandbox_retry: Retry,
}

impl Ending {
    pub(crate) fn deadline(&self) -> Timestamp {
        self.since + self.grace
    }
}

/// How far the traces of a pod that ended are gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cleaning {
    pub(crate) clean_up: Setup,
    pub(crate) forget: Setup,
    pub(crate) delete_sent: bool,
    pub(crate) finished: bool,
}

/// An effect that has to succeed once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Setup {
    #[default]
    Todo,
    InFlight(Retry),
    Failed(Retry),
    Done,
}

impl Setup {
    pub(crate) fn is_done(&self) -> bool {
        *self == Setup::Done
    }

    /// Whether to do it now; marks it as under way. `Err` is when to come back.
    pub(crate) fn claim(&mut self, now: Timestamp) -> Result<bool, Timestamp> {
        let retry = match self {
            Setup::Todo => Retry::default(),
            Setup::Failed(retry) => match retry.until(now) {
                Some(at) => return Err(at),
                None => retry.clone(),
            },
            Setup::InFlight(_) | Setup::Done => return Ok(false),
        };
        *self = Setup::InFlight(retry);
        Ok(true)
    }

    pub(crate) fn fail(&mut self, now: Timestamp) {
        let mut retry = match self {
            Setup::InFlight(retry) | Setup::Failed(retry) => retry.clone(),
            Setup::Todo | Setup::Done => Retry::default(),
        };
        retry.fail(now);
        *self = Setup::Failed(retry);
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sandbox {
    None(Retry),
    Creating(Retry),
    Ready {
        id: String,
    },
    /// It ended by itself: what is left of it must be stopped before the next.
    Lost {
        id: String,
        retry: Retry,
    },
    Stopping {
        id: String,
        retry: Retry,
    },
}

impl Sandbox {
    pub(crate) fn ready_id(&self) -> Option<&str> {
        match self {
            Sandbox::Ready { id } => Some(id),
            _ => None,
        }
    }
}

/// Why a pod failed as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reason: String,
    pub(crate) message: String,
    /// It never ran here: its status shows nothing but the verdict.
    pub(crate) refused: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct ContainerState {
    pub(crate) name: Name,
    pub(crate) role: Role,
    pub(crate) run: Run,
    pub(crate) step: Step,
    /// The instance before the one in `run`.
    pub(crate) last: Option<Exit>,
    /// How many instances came before the one in `run`.
    pub(crate) restarts: u32,
    /// Ended in an earlier sandbox: must run again in this one, whatever its exit code.
    pub(crate) redo: bool,
    /// Why it does not run, where the default reason does not tell.
    pub(crate) waiting: Option<Waiting>,
    pub(crate) crash: Backoff,
    pub(crate) pull: Backoff,
    pub(crate) retry: Retry,
    /// The end for which a back-off was recorded already.
    pub(crate) backoff_recorded: Option<Timestamp>,
    pub(crate) probes: Probes,
    pub(crate) image: String,
    pub(crate) image_id: String,
    /// Instances that ended before `last`, to be removed.
    pub(crate) old_ids: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Run {
    Never,
    Running(Instance),
    Exited(Exit),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) hash: String,
    pub(crate) started_at: Timestamp,
    /// The postStart hook has ended, or there is none. Until then it does not count as running.
    pub(crate) hook_done: bool,
    pub(crate) stop: Option<Stop>,
}

/// A stop that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    pub(crate) deadline: Timestamp,
    pub(crate) in_flight: bool,
    pub(crate) retry: Retry,
}

/// What starting it is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Idle,
    Pulling,
    Starting,
}

/// How an instance ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) id: String,
    pub(crate) code: i32,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Timestamp,
}

impl Exit {
    /// Of an instance that the runtime has no record of any more; upstream's texts.
    pub(crate) fn unknown(id: &str, finished_at: Timestamp) -> Exit {
        Exit {
            id: id.to_owned(),
            code: 137,
            reason: "ContainerStatusUnknown".to_owned(),
            message: "The container could not be located when the pod was terminated".to_owned(),
            started_at: None,
            finished_at,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl ContainerState {
    pub(crate) fn new(name: &str, role: Role, image: &str) -> ContainerState {
        ContainerState {
            name: name.into(),
            role,
            run: Run::Never,
            step: Step::Idle,
            last: None,
            restarts: 0,
            redo: false,
            waiting: None,
            crash: Backoff::default(),
            pull: Backoff::default(),
            retry: Retry::default(),
            backoff_recorded: None,
            probes: Probes::default(),
            image: image.to_owned(),
            image_id: String::new(),
            old_ids: Vec::new(),
        }
    }

    pub(crate) fn instance(&self) -> Option<&Instance> {
        match &self.run {
            Run::Running(instance) => Some(instance),
            _ => None,
        }
    }

    pub(crate) fn instance_mut(&mut self, id: &str) -> Option<&mut Instance> {
        match &mut self.run {
            Run::Running(instance) if instance.id == id => Some(instance),
            _ => None,
        }
    }

    pub(crate) fn exit(&self) -> Option<&Exit> {
        match &self.run {
            Run::Exited(exit) => Some(exit),
            _ => None,
        }
    }

    /// Whether it runs, its hook has ended, and its startup probe (if any) has succeeded.
    pub(crate) fn is_started(&self) -> bool {
        self.instance().is_some_and(|instance| instance.hook_done) && self.probes.started()
    }

    /// The number of the next instance.
    pub(crate) fn next_attempt(&self) -> u32 {
        match self.run {
            Run::Never => self.restarts,
            Run::Running(_) | Run::Exited(_) => self.restarts + 1,
        }
    }

    /// Puts a new instance in the place of the present one, whose end is remembered.
    pub(crate) fn begin(&mut self, run: Run) {
        let attempt = self.next_attempt();
        let replaced = std::mem::replace(&mut self.run, run);
        if let Run::Exited(exit) = replaced
            && let Some(older) = self.last.replace(exit)
        {
            self.old_ids.push(older.id);
        }
        self.restarts = attempt;
        self.redo = false;
        self.waiting = None;
        self.retry.reset();
    }
}

impl PodState {
    /// A pod as it is found: new, or with what the runtime holds of it since before this process began.
    pub(crate) fn new(pod: Arc<Pod>, facts: Arc<Facts>, observed: Observation, now: Timestamp) -> PodState {
        let start_time = pod::status(&pod).start_time.as_ref().map_or(now, |time| time.0);
        let mut state = PodState {
            facts,
            stage: Stage::Syncing,
            removed: false,
            verdict: None,
            volumes: Setup::Todo,
            sandbox: Sandbox::None(Retry::default()),
            sandbox_attempt: 0,
            pod_ips: pod::status(&pod).pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect(),
            containers: Vec::new(),
            initialized: false,
            start_time,
            reported: pod.status.clone(),
            wake: None,
            pod,
        };
        state.follow_spec();
        state.restore(observed);
        if pod::is_terminal(&state.pod) && state.containers.iter().all(|container| container.instance().is_none()) {
            state.stage = Stage::Ended(Cleaning::default());
        }
        state
    }

    /// Adds what the spec gained; containers are never taken out of a pod.
    pub(crate) fn follow_spec(&mut self) {
        let missing: Vec<ContainerState> = all(&self.pod)
            .filter(|(_, container)| !self.containers.iter().any(|known| *known.name == *container.name))
            .map(|(role, container)| {
                ContainerState::new(&container.name, role, container.image.as_deref().unwrap_or_default())
            })
            .collect();
        self.containers.extend(missing);
    }

    fn restore(&mut self, observed: Observation) {
        let sandbox_id = observed.sandbox.as_ref().map(|sandbox| sandbox.id.clone());
        if let Some(sandbox) = observed.sandbox {
            self.sandbox_attempt = sandbox.attempt + 1;
            if sandbox.ready {
                self.sandbox = Sandbox::Ready { id: sandbox.id };
                self.pod_ips = sandbox.ips;
            } else {
                self.sandbox = Sandbox::Lost { id: sandbox.id, retry: Retry::default() };
            }
        }
        for found in observed.containers {
            let in_sandbox = sandbox_id.as_deref() == Some(&*found.sandbox_id);
            let ran = in_sandbox && found.run != ObservedRun::Created;
            let Some(index) = self.containers.iter().position(|container| container.name == found.name) else {
                continue;
            };
            self.initialized |= ran && self.containers[index].role == Role::Main;
            restore_container(&mut self.containers[index], found, in_sandbox);
        }
        // The runtime forgets its containers when the machine starts anew; a number must not be given twice, as logs are
        // kept by it.
        for container in self.containers.iter_mut().filter(|container| container.run == Run::Never) {
            let next = observed.logged.get(&container.name).copied().unwrap_or(0);
            container.restarts = container.restarts.max(next);
        }
        let statuses = pod::status(&self.pod).clone();
        for container in &mut self.containers {
            let spec = containers::find(&self.pod, &container.name).map(|(_, spec)| spec.into_owned());
            let Some((instance, spec)) = container.instance().cloned().zip(spec) else { continue };
            container.probes = Probes::begin(&spec, instance.started_at);
            if let Some(before) = reported_of(&statuses, &instance.id) {
                container.probes.resume(before.started == Some(true), before.ready);
            }
        }
    }

    pub(crate) fn container_mut(&mut self, name: &Name) -> Option<&mut ContainerState> {
        self.containers.iter_mut().find(|container| container.name == *name)
    }

    /// Comes back at `at` at the latest.
    pub(crate) fn wake_at(&mut self, at: Timestamp) {
        self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
    }

    /// Ids that the runtime should have a record of.
    pub(crate) fn running_ids(&self) -> Vec<String> {
        self.containers
            .iter()
            .filter_map(|container| container.instance())
            .map(|instance| instance.id.clone())
            .collect()
    }
}

fn restore_container(container: &mut ContainerState, found: ObservedContainer, in_sandbox: bool) {
    let run = match found.run {
        // A container that was made and never started cannot be told from one that is about to be: it is replaced.
        ObservedRun::Created => {
            container.old_ids.push(found.id);
            return;
        }
        ObservedRun::Running { started_at } => {
            Run::Running(Instance { id: found.id, hash: found.hash, started_at, hook_done: true, stop: None })
        }
        ObservedRun::Exited(exit) => Run::Exited(exit),
    };
    container.begin(run);
    container.restarts = found.restarts;
    container.redo = !in_sandbox;
    container.image = found.image;
    container.image_id = found.image_id;
}

/// What the API was last told of the instance with this id.
fn reported_of<'a>(status: &'a PodStatus, id: &str) -> Option<&'a ContainerStatus> {
    let lists = [&status.init_container_statuses, &status.container_statuses, &status.ephemeral_container_statuses];
    lists.into_iter().flatten().flatten().find(|status| {
        status.container_id.as_deref().and_then(|full| full.split_once("://")).is_some_and(|(_, own)| own == id)
    })
}

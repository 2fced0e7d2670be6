//! What a deployment does next. Pure: from what is to what is to be written.

use super::revision;
use super::sets::Set;
use super::status;
use crate::scaled::fenceposts;
use client::PodView;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet};
use k8s_openapi::jiff::Timestamp;
use reconcile::Action;
use std::sync::Arc;

pub(super) struct View {
    pub(super) deployment: Arc<Deployment>,
    /// The deployment's own.
    pub(super) sets: Vec<Arc<ReplicaSet>>,
    /// Pods of those sets; given only to a deployment that recreates.
    pub(super) pods: Vec<Arc<PodView>>,
}

#[derive(Default)]
pub(super) struct Plan {
    pub(super) create: Option<ReplicaSet>,
    pub(super) update: Vec<ReplicaSet>,
    pub(super) delete: Vec<Arc<ReplicaSet>>,
    /// The deployment's revision annotation.
    pub(super) revision: Option<String>,
    pub(super) status: Option<DeploymentStatus>,
    /// Reason and message.
    pub(super) events: Vec<(&'static str, String)>,
    pub(super) action: Action,
}

pub(super) fn recreates(deployment: &Deployment) -> bool {
    deployment.spec.strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

/// A deployment in the middle of being thought about.
pub(super) struct Rollout<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) now: Timestamp,
    pub(super) replicas: i32,
    pub(super) recreates: bool,
    pub(super) surge: i32,
    pub(super) unavailable: i32,
    pub(super) sets: Vec<Set>,
    /// The status so far: the stored one, with conditions that the plan has set.
    pub(super) status: DeploymentStatus,
    pub(super) events: Vec<(&'static str, String)>,
    revision: Option<i64>,
}

pub(super) fn plan(view: &View, now: Timestamp) -> Plan {
    let mut rollout = Rollout::new(view, now);
    let spec = &view.deployment.spec;
    let ending = view.deployment.metadata.deletion_timestamp.is_some();
    let paused = spec.paused == Some(true);
    let progress = if ending {
        let newest = rollout.find_newest();
        rollout.plain_status(newest)
    } else {
        rollout.note_pause(paused);
        if paused || rollout.was_scaled() {
            let newest = rollout.newest(false);
            rollout.scale(newest);
            if paused {
                rollout.forget_history(newest);
            }
            rollout.plain_status(newest)
        } else if rollout.recreates {
            rollout.recreate(&view.pods)
        } else {
            rollout.roll()
        }
    };
    rollout.finish(progress)
}

impl<'a> Rollout<'a> {
    fn new(view: &'a View, now: Timestamp) -> Rollout<'a> {
        let deployment = &*view.deployment;
        let replicas = deployment.spec.replicas.unwrap_or(1);
        let rolling = deployment.spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
        let recreates = recreates(deployment);
        let (surge, unavailable) = match (recreates, rolling) {
            (true, _) => (0, 0),
            (false, rolling) => {
                let surge = rolling.and_then(|rolling| rolling.max_surge.as_ref());
                fenceposts(surge, rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), replicas)
            }
        };
        Rollout {
            deployment,
            now,
            replicas,
            recreates,
            surge,
            unavailable: unavailable.min(replicas),
            sets: view.sets.iter().map(Set::existing).collect(),
            status: deployment.status.clone().unwrap_or_default(),
            events: Vec::new(),
            revision: None,
        }
    }

    /// The oldest set of the present template.
    fn find_newest(&self) -> Option<usize> {
        let same = |index: &usize| revision::is_of_template(&self.sets[*index].object, self.deployment);
        (0..self.sets.len()).filter(same).min_by_key(|index| self.sets[*index].age_order())
    }

    /// The set of the present template, its annotations brought up to date; made if there is none and `create`.
    fn newest(&mut self, create: bool) -> Option<usize> {
        let found = self.find_newest();
        let others = (0..self.sets.len()).filter(|index| Some(*index) != found);
        let next = others.map(|index| self.sets[index].revision()).max().unwrap_or(0) + 1;
        if let Some(newest) = found {
            let min_ready = self.deployment.spec.min_ready_seconds;
            let set = &mut self.sets[newest];
            revision::annotate(set, self.deployment, next);
            if set.object.spec.min_ready_seconds.unwrap_or(0) != min_ready.unwrap_or(0) {
                set.object.spec.min_ready_seconds = min_ready;
            }
            self.revision = Some(set.revision());
            if self.has_deadline() && status::find(&self.status, status::PROGRESSING).is_none() {
                let message = format!("Found new replica set {:?}", self.sets[newest].name());
                self.set_progressing("True", "FoundNewReplicaSet", message);
            }
            return found;
        }
        if !create {
            return None;
        }
        let mut set = revision::new_set(self.deployment, next);
        let size = self.newest_replicas(&set);
        set.set_replicas(size);
        revision::note_replicas(&mut set, self.replicas, self.replicas + self.surge);
        if size > 0 {
            let message = format!("Scaled up replica set {} from 0 to {size}", set.name());
            self.events.push(("ScalingReplicaSet", message));
        }
        if self.has_deadline() {
            let message = format!("Created new replica set {:?}", set.name());
            self.set_progressing("True", "NewReplicaSetCreated", message);
        }
        self.revision = Some(next);
        self.sets.push(set);
        Some(self.sets.len() - 1)
    }

    /// Whether the deployment's replicas changed since its sets were last sized.
    fn was_scaled(&self) -> bool {
        let active = self.sets.iter().filter(|set| set.replicas() > 0);
        active.filter_map(revision::desired).any(|desired| desired != self.replicas)
    }

    fn roll(&mut self) -> Action {
        let Some(newest) = self.newest(true) else { return Action::Done };
        if !self.grow_newest(newest) && !self.shrink_old(newest) && status::is_complete(self, &self.status) {
            self.forget_history(Some(newest));
        }
        self.rollout_status(Some(newest))
    }

    /// Ends all of the old before anything of the new begins.
    fn recreate(&mut self, pods: &[Arc<PodView>]) -> Action {
        let newest = self.newest(false);
        let old: Vec<usize> = (0..self.sets.len()).filter(|index| Some(*index) != newest).collect();
        let mut scaled_down = false;
        for index in &old {
            scaled_down |= self.sets[*index].replicas() > 0 && self.resize(*index, 0);
        }
        let newest_uid = newest.and_then(|newest| self.sets[newest].object.metadata.uid.clone());
        let running = old.iter().any(|index| self.sets[*index].actual() > 0)
            || pods.iter().any(|pod| {
                let owner = pod.controller().map(|owner| &owner.uid);
                owner != newest_uid.as_ref() && !pod.is_terminal()
            });
        if scaled_down || running {
            return self.rollout_status(newest);
        }
        let Some(newest) = self.newest(true) else { return Action::Done };
        if self.sets[newest].replicas() != self.replicas {
            self.resize(newest, self.replicas);
        }
        if status::is_complete(self, &self.status) {
            self.forget_history(Some(newest));
        }
        self.rollout_status(Some(newest))
    }

    /// Deletes the oldest sets beyond the history's limit.
    fn forget_history(&mut self, newest: Option<usize>) {
        let limit = self.deployment.spec.revision_history_limit;
        let Some(limit) = limit.filter(|limit| *limit != i32::MAX).and_then(|limit| usize::try_from(limit).ok()) else {
            return;
        };
        let alive =
            |index: &usize| Some(*index) != newest && self.sets[*index].object.metadata.deletion_timestamp.is_none();
        let mut old: Vec<usize> = (0..self.sets.len()).filter(alive).collect();
        old.sort_by_cached_key(|index| (self.sets[*index].revision(), self.sets[*index].age_order()));
        for index in old.iter().take(old.len().saturating_sub(limit)) {
            let set = &mut self.sets[*index];
            let observed = set.object.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
            let settled = observed >= set.object.metadata.generation.unwrap_or(0);
            set.delete = set.actual() == 0 && set.replicas() == 0 && settled;
        }
    }

    fn finish(self, action: Action) -> Plan {
        let noted = revision::of(&self.deployment.metadata);
        let mut plan = Plan {
            revision: self.revision.filter(|revision| *revision != noted).map(|revision| revision.to_string()),
            status: Some(self.status).filter(|status| self.deployment.status.as_ref() != Some(status)),
            events: self.events,
            action,
            ..Plan::default()
        };
        for set in self.sets {
            match &set.original {
                None => plan.create = Some(set.object),
                Some(original) if set.delete => plan.delete.push(original.clone()),
                Some(_) if set.changed() => plan.update.push(set.object),
                Some(_) => {}
            }
        }
        plan
    }
}

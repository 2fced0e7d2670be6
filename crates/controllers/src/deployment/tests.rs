//! Rollouts as simulations: the plan against sets and pods that lag behind it.

use super::plan::{Plan, View, plan};
use super::status;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus, ReplicaSet, ReplicaSetStatus};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A deployment, its sets, and pods as no more than a set's name and whether they are ready.
struct World {
    now: Timestamp,
    deployment: Deployment,
    sets: BTreeMap<String, ReplicaSet>,
    pods: Vec<(String, bool)>,
    events: Vec<String>,
}

fn deployment(replicas: i32, surge: &Value, unavailable: &Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "d", "generation": 1},
        "spec": {
            "replicas": replicas, "revisionHistoryLimit": 2, "progressDeadlineSeconds": 600,
            "selector": {"matchLabels": {"app": "web"}},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}},
        },
    }))
    .unwrap()
}

impl World {
    fn new(deployment: Deployment) -> World {
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        World { now, deployment, sets: BTreeMap::new(), pods: Vec::new(), events: Vec::new() }
    }

    fn plan(&self) -> Plan {
        let sets = self.sets.values().cloned().map(Arc::new).collect();
        plan(&View { deployment: Arc::new(self.deployment.clone()), sets, pods: Vec::new() }, self.now)
    }

    /// One reconcile of the deployment. Whether anything was written.
    fn deploy(&mut self) -> bool {
        self.now += SignedDuration::from_secs(1);
        let mut plan = self.plan();
        let wrote =
            plan.create.is_some() || !plan.update.is_empty() || plan.status.is_some() || plan.revision.is_some();
        if let Some(created) = &mut plan.create {
            created.metadata.creation_timestamp = Some(self.now.into());
            created.metadata.uid = created.metadata.name.clone();
        }
        for mut set in plan.create.into_iter().chain(plan.update) {
            set.metadata.generation = Some(set.metadata.generation.unwrap_or(0) + 1);
            self.sets.insert(set.metadata.name.clone().unwrap(), set);
        }
        for set in &plan.delete {
            self.sets.remove(set.metadata.name.as_deref().unwrap());
        }
        if let Some(revision) = plan.revision {
            let annotations = self.deployment.metadata.annotations.get_or_insert_default();
            annotations.insert(super::revision::REVISION.to_owned(), revision);
        }
        self.deployment.status = plan.status.or(self.deployment.status.take());
        self.events.extend(plan.events.into_iter().map(|(_, message)| message));
        wrote
    }

    /// A set's controller makes and deletes its pods, those that are not ready first.
    fn sync_pods(&mut self, name: &str) -> bool {
        let wanted = usize::try_from(self.sets[name].spec.replicas.unwrap_or(0)).unwrap();
        let mut mine: Vec<bool> = self.pods.iter().filter(|pod| pod.0 == name).map(|pod| pod.1).collect();
        let before = mine.len();
        mine.sort_by_key(|ready| !ready);
        mine.resize(wanted, false);
        self.pods.retain(|pod| pod.0 != name);
        self.pods.extend(mine.into_iter().map(|ready| (name.to_owned(), ready)));
        before != wanted
    }

    /// A set's controller writes what it sees.
    fn sync_status(&mut self, name: &str) -> bool {
        let mine: Vec<bool> = self.pods.iter().filter(|pod| pod.0 == name).map(|pod| pod.1).collect();
        let ready = Some(i32::try_from(mine.iter().filter(|ready| **ready).count()).unwrap());
        let set = self.sets.get_mut(name).unwrap();
        let status = ReplicaSetStatus {
            replicas: i32::try_from(mine.len()).unwrap(),
            ready_replicas: ready,
            available_replicas: ready,
            observed_generation: set.metadata.generation,
            ..ReplicaSetStatus::default()
        };
        let changed = set.status.as_ref() != Some(&status);
        set.status = Some(status);
        changed
    }

    fn ready_one(&mut self, index: usize) -> bool {
        let waiting: Vec<usize> = (0..self.pods.len()).filter(|index| !self.pods[*index].1).collect();
        if waiting.is_empty() {
            return false;
        }
        self.pods[waiting[index % waiting.len()]].1 = true;
        true
    }

    /// Everything in turn until nothing changes.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut changed = self.deploy();
            for name in self.sets.keys().cloned().collect::<Vec<_>>() {
                changed |= self.sync_pods(&name);
                changed |= self.sync_status(&name);
            }
            if !(self.ready_one(0) | changed) {
                return;
            }
        }
        panic!("the rollout does not end: {:?}", self.deployment.status);
    }

    fn set_image(&mut self, image: &str) {
        self.deployment.spec.template.spec.as_mut().unwrap().containers[0].image = Some(image.to_owned());
        self.deployment.metadata.generation = self.deployment.metadata.generation.map(|generation| generation + 1);
    }

    fn set_replicas(&mut self, replicas: i32) {
        self.deployment.spec.replicas = Some(replicas);
        self.deployment.metadata.generation = self.deployment.metadata.generation.map(|generation| generation + 1);
    }

    fn condition(&self, type_: &str) -> (String, String, String) {
        let condition = status::find(self.deployment.status.as_ref().unwrap(), type_).unwrap().clone();
        (condition.status.unwrap(), condition.reason.unwrap(), condition.message.unwrap())
    }

    fn sizes(&self) -> Vec<i32> {
        let mut sets: Vec<_> = self.sets.values().collect();
        sets.sort_by_key(|set| set.metadata.creation_timestamp.clone());
        sets.iter().map(|set| set.spec.replicas.unwrap()).collect()
    }
}

fn status_of(world: &World) -> DeploymentStatus {
    world.deployment.status.clone().unwrap()
}

#[test]
fn a_new_deployment_gets_a_set_and_becomes_available() {
    let mut world = World::new(deployment(3, &json!("25%"), &json!("25%")));
    world.deploy();
    let set = world.sets.values().next().unwrap().clone();
    let name = set.metadata.name.clone().unwrap();
    let annotations = set.metadata.annotations.unwrap();
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "1");
    assert_eq!(annotations["deployment.kubernetes.io/desired-replicas"], "3");
    assert_eq!(annotations["deployment.kubernetes.io/max-replicas"], "4");
    let hash = &set.metadata.labels.unwrap()["pod-template-hash"];
    assert_eq!(name, format!("web-{hash}"));
    assert_eq!(set.spec.selector.match_labels.unwrap()["pod-template-hash"], *hash);
    assert_eq!(world.events, [format!("Scaled up replica set {name} from 0 to 3")]);
    assert_eq!(
        world.condition("Progressing"),
        ("True".to_owned(), "NewReplicaSetCreated".to_owned(), format!("Created new replica set {name:?}"))
    );
    assert_eq!(world.condition("Available").1, "MinimumReplicasUnavailable");
    world.settle();
    assert_eq!(
        world.condition("Progressing"),
        (
            "True".to_owned(),
            "NewReplicaSetAvailable".to_owned(),
            format!("ReplicaSet {name:?} has successfully progressed.")
        )
    );
    assert_eq!(world.condition("Available").1, "MinimumReplicasAvailable");
    let status = status_of(&world);
    assert_eq!((status.replicas, status.available_replicas, status.unavailable_replicas), (Some(3), Some(3), None));
}

#[test]
fn undo_brings_the_old_set_back_as_the_newest_revision() {
    let mut world = World::new(deployment(2, &json!(1), &json!(0)));
    world.settle();
    world.set_image("v2");
    world.settle();
    assert_eq!(world.sizes(), [0, 2]);
    world.set_image("v1");
    world.settle();
    assert_eq!(world.sizes(), [2, 0]);
    let first = world.sets.values().find(|set| set.spec.replicas == Some(2)).unwrap();
    let annotations = first.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "3");
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
    assert_eq!(world.deployment.metadata.annotations.as_ref().unwrap()["deployment.kubernetes.io/revision"], "3");
}

#[test]
fn history_beyond_the_limit_is_deleted_oldest_first() {
    let mut world = World::new(deployment(1, &json!(1), &json!(0)));
    for version in 1..=5 {
        world.set_image(&format!("v{version}"));
        world.settle();
    }
    let mut revisions: Vec<i64> = world.sets.values().map(|set| super::revision::of(&set.metadata)).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, [3, 4, 5]);
}

#[test]
fn a_rollout_without_progress_times_out_and_looks_at_its_deadline() {
    let mut world = World::new(deployment(1, &json!(1), &json!(0)));
    world.deploy();
    let name = world.sets.keys().next().unwrap().clone();
    world.sync_pods(&name);
    world.sync_status(&name);
    world.deploy();
    let reconcile::Action::After(wait) = world.plan().action else { panic!("nothing would wake it") };
    assert!((598..=601).contains(&wait.as_secs()), "{wait:?}");
    world.now += SignedDuration::from_secs(601);
    world.deploy();
    assert_eq!(
        world.condition("Progressing"),
        (
            "False".to_owned(),
            "ProgressDeadlineExceeded".to_owned(),
            format!("ReplicaSet {name:?} has timed out progressing.")
        )
    );
    assert_eq!(world.plan().action, reconcile::Action::Done);
    world.settle();
    assert_eq!(world.condition("Progressing").1, "NewReplicaSetAvailable", "it may still succeed");
}

#[test]
fn a_paused_rollout_scales_and_does_not_roll() {
    let mut world = World::new(deployment(4, &json!(1), &json!(1)));
    world.settle();
    world.set_image("v2");
    world.deployment.spec.paused = Some(true);
    world.settle();
    assert_eq!(world.sizes(), [4]);
    assert_eq!(world.condition("Progressing").1, "DeploymentPaused");
    world.set_replicas(6);
    world.settle();
    assert_eq!(world.sizes(), [6]);
    world.deployment.spec.paused = Some(false);
    world.deploy();
    assert_eq!(world.sizes(), [5, 1]);
    world.settle();
    assert_eq!(world.sizes(), [0, 6]);
}

#[test]
fn scaling_in_the_middle_of_a_rollout_keeps_proportions() {
    let mut world = World::new(deployment(10, &json!(3), &json!(2)));
    world.settle();
    world.set_image("v2");
    world.deploy();
    world.deploy();
    assert_eq!(world.sizes(), [8, 5]);
    world.set_replicas(15);
    world.deploy();
    // 18 pods at most: five more, of which 8/13 are the old set's.
    assert_eq!(world.sizes(), [11, 7]);
    world.set_replicas(5);
    world.deploy();
    assert_eq!(world.sizes().iter().sum::<i32>(), 8);
    world.settle();
    assert_eq!(world.sizes(), [0, 5]);
}

#[test]
fn recreate_ends_all_of_the_old_first() {
    let mut deployment = deployment(3, &json!(1), &json!(1));
    deployment.spec.strategy = serde_json::from_value(json!({"type": "Recreate"})).unwrap();
    let mut world = World::new(deployment);
    world.settle();
    world.set_image("v2");
    world.deploy();
    assert_eq!(world.sizes(), [0], "no new set while old pods run");
    world.deploy();
    assert_eq!(world.sizes(), [0]);
    world.settle();
    assert_eq!(world.sizes(), [0, 3]);
}

#[test]
fn a_sets_failure_is_the_deployments() {
    let mut world = World::new(deployment(1, &json!(1), &json!(0)));
    world.deploy();
    let set = world.sets.values_mut().next().unwrap();
    set.status = serde_json::from_value(json!({"replicas": 0, "conditions": [
        {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}]}))
    .unwrap();
    world.deploy();
    assert_eq!(world.condition("ReplicaFailure"), ("True".to_owned(), "FailedCreate".to_owned(), "quota".to_owned()));
    world.settle();
    assert!(status::find(&status_of(&world), "ReplicaFailure").is_none());
}

fn count_or_percent() -> impl Strategy<Value = Value> {
    prop_oneof![(0..6i32).prop_map(|n| json!(n)), (0..=100i32).prop_map(|n| json!(format!("{n}%")))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// However the sets and their statuses lag, a rolling update asks for no more pods than the surge allows, and never
    /// has fewer available than allowed, as long as pods that are ready stay so.
    #[test]
    fn a_rolling_update_stays_within_its_bounds(
        replicas in 1..20i32, surge in count_or_percent(), unavailable in count_or_percent(),
        steps in proptest::collection::vec((0..8u8, 0..64usize), 1..400),
    ) {
        let mut world = World::new(deployment(replicas, &surge, &unavailable));
        world.settle();
        let rolling = world.deployment.spec.strategy.as_ref().unwrap().rolling_update.as_ref().unwrap();
        let (surge, unavailable) =
            crate::scaled::fenceposts(rolling.max_surge.as_ref(), rolling.max_unavailable.as_ref(), replicas);
        let mut version = 2;
        world.set_image("v2");
        for (step, pick) in steps {
            let names: Vec<String> = world.sets.keys().cloned().collect();
            let name = &names[pick % names.len()];
            match step {
                0..=2 => {
                    world.deploy();
                }
                3 => {
                    world.sync_pods(name);
                }
                4 => {
                    world.sync_status(name);
                }
                5 | 6 => {
                    world.ready_one(pick);
                }
                _ if pick == 0 => {
                    version += 1;
                    world.set_image(&format!("v{version}"));
                }
                _ => {}
            }
            let asked: i32 = world.sizes().iter().sum();
            prop_assert!(asked <= replicas + surge, "{asked} > {replicas} + {surge}");
            let available = world.pods.iter().filter(|pod| pod.1).count();
            prop_assert!(available as i32 >= replicas - unavailable, "{available} < {replicas} - {unavailable}");
        }
        world.settle();
        prop_assert_eq!(world.condition("Progressing").1, "NewReplicaSetAvailable");
        prop_assert_eq!(status_of(&world).updated_replicas, Some(replicas));
        prop_assert_eq!(world.pods.len(), usize::try_from(replicas).unwrap());
    }
}

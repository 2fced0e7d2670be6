//! Which pods stand behind each service, kept as they change.
//!
//! Invariants: a pod's change looks only at services that ask for one of its labels, and a service's reconcile only at
//! its own pods. Services and pods are as this one consumer was told of them, so that they never disagree. Bound: an
//! entry per live service and pod, and one per service and pod that it selects.

use super::backend;
use client::{Cache, Change, Labels, PodView};
use k8s_openapi::api::core::v1::Service;
use parking_lot::RwLock;
use reconcile::{Feed, Key, split};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

#[derive(Default)]
pub(super) struct Members {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    services: HashMap<Key, Entry>,
    /// The services of a namespace by one of the labels that they ask for: name, then value.
    asking: HashMap<String, HashMap<String, HashMap<String, Vec<Key>>>>,
    pods: BTreeMap<Key, Arc<PodView>>,
}

struct Entry {
    service: Arc<Service>,
    pods: BTreeMap<Key, Arc<PodView>>,
}

impl Members {
    /// The service, and the pods that it selects and that could serve, in key order.
    pub(super) fn get(&self, service: &str) -> Option<(Arc<Service>, Vec<Arc<PodView>>)> {
        let state = self.state.read();
        let entry = state.services.get(service)?;
        Some((entry.service.clone(), entry.pods.values().filter(|pod| backend::stands(pod)).cloned().collect()))
    }

    /// The services with a pod on this node.
    pub(super) fn on_node(&self, node: &str) -> Vec<Key> {
        let state = self.state.read();
        let has = |entry: &Entry| entry.pods.values().any(|pod| &*pod.node == node);
        state.services.iter().filter(|(_, entry)| has(entry)).map(|(key, _)| key.clone()).collect()
    }

    /// Keeps up with the caches, and tells of every service that has to be looked at.
    pub(super) async fn follow(self: Arc<Members>, services: Cache<Service>, pods: Cache<PodView>, mut feed: Feed) {
        services.synced().await;
        pods.synced().await;
        let (mut services, mut pods) = (services.changes(), pods.changes());
        while let Some(change) = services.try_next() {
            feed.add(self.state.write().service(&change));
        }
        while let Some(change) = pods.try_next() {
            self.state.write().pod(&change).into_iter().for_each(|key| feed.add(key));
        }
        feed.started();
        loop {
            tokio::select! {
                change = services.next() => feed.add(self.state.write().service(&change)),
                change = pods.next() => {
                    let keys = self.state.write().pod(&change);
                    keys.into_iter().for_each(|key| feed.add(key));
                }
            }
        }
    }
}

/// The label by which a service is found: the one with the longest value, which most likely is the fewest pods'.
fn handle(wanted: &Labels) -> Option<(&String, &String)> {
    wanted.iter().max_by_key(|(_, value)| value.len())
}

fn selects(wanted: &Labels, labels: &Labels) -> bool {
    wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

impl State {
    fn service(&mut self, change: &Change<Service>) -> Key {
        let key = change.key.clone();
        let before = self.services.remove(&key);
        let known = before.as_ref().and_then(|entry| backend::selector(&entry.service));
        let wanted = change.new.as_deref().and_then(backend::selector);
        let same = known == wanted;
        if !same && let Some(known) = known {
            self.forget(&key, &known.clone());
        }
        let Some(service) = change.new.clone() else { return key };
        let pods = match (wanted, before) {
            (_, Some(entry)) if same => entry.pods,
            (Some(wanted), _) => {
                self.register(&key, wanted);
                self.selected(split(&key).0, wanted)
            }
            (None, _) => BTreeMap::new(),
        };
        self.services.insert(key.clone(), Entry { service, pods });
        key
    }

    fn register(&mut self, key: &Key, wanted: &Labels) {
        let Some((name, value)) = handle(wanted) else { return };
        let names = self.asking.entry(split(key).0.to_owned()).or_default();
        names.entry(name.clone()).or_default().entry(value.clone()).or_default().push(key.clone());
    }

    fn forget(&mut self, key: &Key, wanted: &Labels) {
        let (Some((name, value)), Some(names)) = (handle(wanted), self.asking.get_mut(split(key).0)) else { return };
        let Some(values) = names.get_mut(name) else { return };
        if let Some(keys) = values.get_mut(value) {
            keys.retain(|other| other != key);
        }
        values.retain(|_, keys| !keys.is_empty());
        names.retain(|_, values| !values.is_empty());
        if names.is_empty() {
            self.asking.remove(split(key).0);
        }
    }

    fn selected(&self, namespace: &str, wanted: &Labels) -> BTreeMap<Key, Arc<PodView>> {
        let first: Key = format!("{namespace}/").into();
        let pods = self.pods.range(first.clone()..).take_while(|(key, _)| key.starts_with(&*first));
        let own = pods.filter(|(_, pod)| selects(wanted, &pod.labels));
        own.map(|(key, pod)| (key.clone(), pod.clone())).collect()
    }

    /// The services that select such a pod.
    fn selecting(&self, namespace: &str, pod: &PodView) -> Vec<Key> {
        let Some(names) = self.asking.get(namespace) else { return Vec::new() };
        let labels = &*pod.labels;
        let candidates = labels.iter().filter_map(|(name, value)| names.get(name)?.get(value)).flatten();
        let wants = |key: &&Key| {
            let wanted = self.services.get(*key).and_then(|entry| backend::selector(&entry.service));
            wanted.is_some_and(|wanted| selects(wanted, labels))
        };
        candidates.filter(wants).cloned().collect()
    }

    /// Takes a pod's change in; the services to which it matters.
    fn pod(&mut self, change: &Change<PodView>) -> Vec<Key> {
        let namespace = split(&change.key).0;
        let of = |pod: Option<&PodView>| pod.map(|pod| self.selecting(namespace, pod)).unwrap_or_default();
        let (left, joined) = (of(change.old.as_deref()), of(change.new.as_deref()));
        match &change.new {
            Some(pod) => self.pods.insert(change.key.clone(), pod.clone()),
            None => self.pods.remove(&change.key),
        };
        let mut keys = Vec::new();
        for key in left.iter().filter(|key| !joined.contains(key)) {
            if let Some(entry) = self.services.get_mut(key) {
                entry.pods.remove(&change.key);
            }
            keys.push(key.clone());
        }
        let Some(pod) = &change.new else { return keys };
        for key in joined {
            if let Some(entry) = self.services.get_mut(&key) {
                entry.pods.insert(change.key.clone(), pod.clone());
            }
            let old = change.old.as_deref().filter(|_| left.contains(&key));
            if backend::differs(old, pod) {
                keys.push(key);
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// The state, and the told objects as the next change's `old`.
    #[derive(Default)]
    struct Told {
        state: State,
        services: HashMap<String, Arc<Service>>,
        pods: HashMap<String, Arc<PodView>>,
    }

    fn change<K>(told: &mut HashMap<String, Arc<K>>, key: &str, new: Option<K>) -> Change<K> {
        let new = new.map(Arc::new);
        let old = match &new {
            Some(new) => told.insert(key.to_owned(), new.clone()),
            None => told.remove(key),
        };
        Change { key: key.into(), old, new }
    }

    impl Told {
        fn service(&mut self, key: &str, selector: Option<Value>) {
            let service =
                selector.map(|selector| serde_json::from_value(json!({"spec": {"selector": selector}})).unwrap());
            let change = change(&mut self.services, key, service);
            assert_eq!(&*self.state.service(&change), key);
        }

        /// The services that a pod's change concerns.
        fn pod(&mut self, key: &str, labels: Option<Value>, ip: &str) -> Vec<String> {
            let pod = labels.map(|labels| {
                serde_json::from_value(json!({"metadata": {"labels": labels}, "status": {"podIP": ip}})).unwrap()
            });
            let change = change(&mut self.pods, key, pod);
            let mut keys: Vec<String> = self.state.pod(&change).iter().map(ToString::to_string).collect();
            keys.sort();
            keys
        }

        fn members(&self, key: &str) -> Vec<String> {
            self.state.services[key].pods.keys().map(ToString::to_string).collect()
        }
    }

    #[test]
    fn services_and_pods_find_each_other_whoever_comes_first() {
        let mut told = Told::default();
        told.service("d/web", Some(json!({"app": "web"})));
        told.service("d/v1", Some(json!({"app": "web", "v": "1"})));
        told.service("e/web", Some(json!({"app": "web"})));
        assert_eq!(told.pod("d/a", Some(json!({"app": "web", "v": "1"})), "1.1.1.1"), ["d/v1", "d/web"]);
        assert_eq!(told.pod("d/b", Some(json!({"app": "web", "v": "2"})), "1.1.1.2"), ["d/web"]);
        told.service("d/late", Some(json!({"v": "2"})));
        assert_eq!(
            (told.members("d/web"), told.members("d/late")),
            (vec!["d/a".to_owned(), "d/b".to_owned()], vec!["d/b".to_owned()])
        );
        assert!(told.members("e/web").is_empty());
        told.service("d/late", Some(json!({"v": "1"})));
        assert_eq!(told.members("d/late"), ["d/a"]);
        told.service("d/late", Some(json!({})));
        assert!(told.members("d/late").is_empty());
        told.service("d/late", None);
        assert_eq!(told.pod("d/a", Some(json!({"app": "db", "v": "1"})), "1.1.1.1"), ["d/v1", "d/web"]);
        assert_eq!((told.members("d/web"), told.members("d/v1")), (vec!["d/b".to_owned()], vec![]));
        assert_eq!(told.pod("d/b", None, ""), ["d/web"]);
        told.service("d/web", None);
        told.service("d/v1", None);
        told.service("e/web", None);
        assert_eq!(told.pod("d/a", None, ""), Vec::<String>::new());
        assert!(told.state.services.is_empty() && told.state.asking.is_empty() && told.state.pods.is_empty());
    }

    #[test]
    fn a_change_that_endpoints_do_not_show_concerns_nobody() {
        let mut told = Told::default();
        told.service("d/web", Some(json!({"app": "web"})));
        assert_eq!(told.pod("d/a", Some(json!({"app": "web"})), ""), Vec::<String>::new(), "no address yet");
        assert_eq!(told.pod("d/a", Some(json!({"app": "web"})), "1.1.1.1"), ["d/web"]);
        assert_eq!(told.pod("d/a", Some(json!({"app": "web", "other": "label"})), "1.1.1.1"), Vec::<String>::new());
        assert_eq!(told.pod("d/a", Some(json!({"app": "web"})), "1.1.1.2"), ["d/web"]);
    }
}

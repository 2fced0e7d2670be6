//! The embedded engine against a model that keeps every revision whole: random transactions, ranges at revisions,
//! watches, compactions and restarts.

use bytes::Bytes;
use futures::FutureExt as _;
use proptest::prelude::*;
use std::collections::BTreeMap;
use store::{Embedded, Event, Expect, Key, KeyValue, Op, Options, Outcome, Revision, Store, StoreError, Txn, Watch};

const KEYS: [&str; 8] = ["", "/a", "/a/1", "/a/2", "/ab", "/b/1", "/b/2", "/c"];
const PREFIXES: [&str; 6] = ["", "/a", "/a/", "/b/", "/c", "/d"];

#[derive(Clone, Debug)]
enum Step {
    /// Checks: key and which revision (0 absent, 1 the right one, 2 a wrong one). Operations: key and value or delete.
    Commit(Vec<(usize, u8)>, Vec<(usize, Option<u16>)>),
    /// Prefix, after, limit, at.
    Range(usize, Option<usize>, usize, Option<u8>),
    Watch(usize, u8),
    Compact(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let check = (0..KEYS.len(), 0..10u8);
    let op = (0..KEYS.len(), prop::option::weighted(0.7, any::<u16>()));
    let commit = (prop::collection::vec(check, 0..2), prop::collection::vec(op, 0..4));
    prop_oneof![
        12 => commit.prop_map(|(checks, ops)| Step::Commit(checks, ops)),
        4 => (0..PREFIXES.len(), prop::option::of(0..KEYS.len()), 0..5usize, prop::option::of(any::<u8>()))
            .prop_map(|(prefix, after, limit, at)| Step::Range(prefix, after, limit, at)),
        3 => (0..PREFIXES.len(), any::<u8>()).prop_map(|(prefix, after)| Step::Watch(prefix, after)),
        1 => any::<u8>().prop_map(Step::Compact),
        1 => Just(Step::Reopen),
    ]
}

type State = BTreeMap<&'static str, KeyValue>;

/// Every revision's state and events; index is the revision.
struct Model {
    states: Vec<State>,
    events: Vec<Event>,
    floor: u64,
}

impl Model {
    fn current(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    /// A revision from before the floor to after the newest.
    fn revision(&self, pick: u8) -> u64 {
        u64::from(pick) % (self.current() + 2)
    }

    fn commit(&mut self, ops: &[(usize, Option<u16>)]) -> u64 {
        let revision = Revision(self.current() + 1);
        let mut state = self.states.last().unwrap().clone();
        let mut events = Vec::new();
        for (at, (key, value)) in ops.iter().enumerate() {
            let (name, value) = (KEYS[*key], value.map(|v| Bytes::from(vec![v as u8; usize::from(v) % 300])));
            let previous = state.get(name).cloned();
            let is_last = ops[at + 1..].iter().all(|(later, _)| later != key);
            if !is_last || (value.is_none() && previous.is_none()) {
                continue;
            }
            let created = previous.as_ref().map_or(revision, |previous| previous.created);
            match value.clone() {
                Some(value) => state.insert(name, KeyValue { key: name.into(), value, created, modified: revision }),
                None => state.remove(name),
            };
            events.push(Event { revision, key: name.into(), value, previous });
        }
        if !events.is_empty() {
            self.states.push(state);
            self.events.extend(events);
        }
        self.current()
    }

    fn events(&self, prefix: &str, after: u64) -> Vec<Event> {
        let wanted = |event: &&Event| event.revision.0 > after && event.key.starts_with(prefix);
        self.events.iter().filter(wanted).cloned().collect()
    }

    /// What reading or watching from a revision must answer, if not data.
    fn refusal(&self, revision: u64) -> Option<String> {
        let (asked, current) = (Revision(revision), Revision(self.current()));
        if asked > current {
            return Some(StoreError::Future { asked, current }.to_string());
        }
        let compacted = StoreError::Compacted { asked, oldest: Revision(self.floor) };
        (revision < self.floor).then(|| compacted.to_string())
    }
}

struct Run {
    model: Model,
    dir: tempfile::TempDir,
    store: Option<Embedded>,
    /// Watches everything from the beginning of this opening.
    watch: Option<Box<dyn Watch>>,
}

fn options() -> Options {
    Options { segment_bytes_max: 500, snapshot_log_bytes: 1000, ..Options::default() }
}

impl Run {
    fn store(&self) -> &Embedded {
        self.store.as_ref().unwrap()
    }

    async fn open(&mut self) {
        self.watch = None;
        self.store = None;
        let store = Embedded::open(self.dir.path(), options()).unwrap();
        assert_eq!(store.revision().await.unwrap().0, self.model.current());
        let oldest = store.stats().oldest.0;
        assert!(oldest <= self.model.floor);
        self.model.floor = oldest;
        let mut watch = store.watch("", Revision(oldest)).await.unwrap();
        assert_eq!(ready(&mut *watch), self.model.events("", oldest));
        self.watch = Some(watch);
        self.store = Some(store);
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Commit(checks, ops) => self.commit(checks, ops).await,
            Step::Range(prefix, after, limit, at) => {
                self.range(PREFIXES[prefix], after.map(|after| KEYS[after]), limit, at).await
            }
            Step::Watch(prefix, after) => self.watch(PREFIXES[prefix], self.model.revision(after)).await,
            Step::Compact(at) => {
                let at = self.model.revision(at);
                let result = self.store().compact(Revision(at)).await;
                assert_eq!(result.is_ok(), at <= self.model.current());
                if result.is_ok() {
                    self.model.floor = self.model.floor.max(at);
                }
            }
            Step::Reopen => self.open().await,
        }
    }

    async fn commit(&mut self, checks: Vec<(usize, u8)>, ops: Vec<(usize, Option<u16>)>) {
        let state = self.model.states.last().unwrap();
        let expect = |(key, which): &(usize, u8)| match (which, state.get(KEYS[*key])) {
            (9, _) => (Expect::At(Revision(1_000_000)), false),
            (_, None) => (Expect::Absent, true),
            (8, Some(_)) => (Expect::Absent, false),
            (_, Some(kv)) => (Expect::At(kv.modified), true),
        };
        let holds = checks.iter().all(|check| expect(check).1);
        let states = checks.iter().map(|(key, _)| state.get(KEYS[*key]).cloned()).collect();
        let checks = checks.iter().map(|check| (Key::from(KEYS[check.0]), expect(check).0)).collect();
        let op = |(key, value): &(usize, Option<u16>)| match value {
            Some(v) => Op::Put { key: KEYS[*key].into(), value: Bytes::from(vec![*v as u8; usize::from(*v) % 300]) },
            None => Op::Delete { key: KEYS[*key].into() },
        };
        let outcome = self.store().commit(Txn { checks, ops: ops.iter().map(op).collect() }).await.unwrap();
        let before = self.model.current();
        let expected = match holds {
            true => Outcome::Committed(Revision(self.model.commit(&ops))),
            false => Outcome::Conflict(states),
        };
        assert_eq!(outcome, expected);
        assert_eq!(ready(&mut **self.watch.as_mut().unwrap()), self.model.events("", before));
    }

    async fn range(&self, prefix: &str, after: Option<&str>, limit: usize, at: Option<u8>) {
        let at = at.map(|at| self.model.revision(at));
        let result = self.store().range(prefix, after, limit, at.map(Revision)).await;
        let revision = at.unwrap_or(self.model.current());
        if let Some(refusal) = self.model.refusal(revision) {
            return assert_eq!(result.unwrap_err().to_string(), refusal);
        }
        let range = result.unwrap();
        let matches = |kv: &&KeyValue| kv.key.starts_with(prefix) && after.is_none_or(|after| &*kv.key > after);
        let mut items: Vec<_> = self.model.states[revision as usize].values().filter(matches).cloned().collect();
        let more = limit > 0 && items.len() > limit;
        items.truncate(if limit > 0 { limit } else { usize::MAX });
        assert_eq!((range.items, range.more, range.revision), (items, more, Revision(revision)));
    }

    async fn watch(&self, prefix: &str, after: u64) {
        let watch = self.store().watch(prefix, Revision(after)).await;
        match (self.model.refusal(after), watch) {
            (Some(refusal), watch) => assert_eq!(watch.err().map(|error| error.to_string()), Some(refusal)),
            (None, watch) => assert_eq!(ready(&mut *watch.unwrap()), self.model.events(prefix, after)),
        }
    }
}

/// All that a watch has to say now.
fn ready(watch: &mut dyn Watch) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some(batch) = watch.next().now_or_never() {
        events.extend(batch.unwrap());
    }
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn does_what_the_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let model = Model { states: vec![State::new()], events: Vec::new(), floor: 0 };
            let dir = tempfile::tempdir().unwrap();
            let mut run = Run { model, dir, store: None, watch: None };
            run.open().await;
            for step in steps {
                run.step(step).await;
            }
            run.open().await;
        });
    }
}

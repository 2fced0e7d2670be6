//! A registry in a directory of its own, with a clock that stands still and countable randomness.

use api::user::User;
use api::{Kind, Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::jiff::Timestamp;
use registry::{Admission, Attempt, Claim, Notes, Options, Registry, Resource, Surroundings, Write, Written};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Admits everything.
pub(crate) struct Open;

#[async_trait]
impl Admission for Open {
    async fn mutate(&self, _: &Attempt<'_>, _: &mut Box<dyn Object>, _: Option<&dyn Object>) -> Result<(), Status> {
        Ok(())
    }
    async fn validate(
        &self,
        _: &Attempt<'_>,
        _: Option<&dyn Object>,
        _: Option<&dyn Object>,
    ) -> Result<Vec<Claim>, Status> {
        Ok(Vec::new())
    }
}

/// 2001-09-09T01:46:40Z for ever; every filling is of one byte, one more than the last, unless it sticks.
pub(crate) struct Still {
    next: AtomicU8,
    pub(crate) stuck: bool,
}

impl Surroundings for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_000_000_000).unwrap()
    }
    fn fill(&self, bytes: &mut [u8]) {
        let step = if self.stuck { 0 } else { 1 };
        bytes.fill(self.next.fetch_add(step, Ordering::Relaxed));
    }
}

pub(crate) struct Kept {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Arc<store::Embedded>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) maps: Arc<Resource>,
    pub(crate) pods: Arc<Resource>,
    user: User,
}

impl Kept {
    pub(crate) async fn new() -> Kept {
        Kept::over(tempfile::tempdir().unwrap(), false).await
    }

    pub(crate) async fn over(dir: tempfile::TempDir, stuck: bool) -> Kept {
        let store = Arc::new(store::Embedded::open(dir.path(), store::Options::default()).unwrap());
        let surroundings = Arc::new(Still { next: AtomicU8::new(0), stuck });
        let options = Options { surroundings, ..Options::default() };
        let registry = Registry::open(store.clone(), options).await.unwrap();
        let maps = registry.resource(&ConfigMap::DEF).unwrap();
        let pods = registry.resource(&Pod::DEF).unwrap();
        Kept { dir, store, registry, maps, pods, user: User::component("test") }
    }

    /// The same directory, opened again.
    pub(crate) async fn restart(self) -> Kept {
        let Kept { dir, store, registry, .. } = self;
        drop(registry);
        // The follower holds the store until it has ended.
        while Arc::strong_count(&store) > 1 {
            tokio::task::yield_now().await;
        }
        drop(store);
        Kept::over(dir, false).await
    }

    pub(crate) fn write(&self) -> Write<'_> {
        Write {
            user: &self.user,
            admission: &Open,
            dry_run: false,
            subresource: None,
            manager: Some("test"),
            options: None,
            notes: Notes::unheard(),
            fence: None,
        }
    }

    pub(crate) async fn create(&self, resource: &Resource, value: Value) -> Result<Written, Status> {
        let object = resource.kind.from_value(value).unwrap();
        self.registry.create(resource, &self.write(), "ns", object).await
    }

    pub(crate) async fn map(&self, name: &str, label: &str) -> Written {
        self.create(&self.maps, json!({"metadata": {"name": name, "labels": {"app": label}}})).await.unwrap()
    }

    pub(crate) async fn relabel(&self, name: &str, label: &str) -> Written {
        self.patch(&self.maps, name, json!({"metadata": {"labels": {"app": label}}})).await.unwrap()
    }

    pub(crate) async fn patch(&self, resource: &Resource, name: &str, patch: Value) -> Result<Written, Status> {
        let patch = registry::Patch {
            kind: registry::PatchKind::Merge,
            body: patch.to_string().into(),
            validation: registry::FieldValidation::Strict,
        };
        let part = registry::Part::Object;
        self.registry.patch(resource, &self.write(), part, "ns", name, &patch, None).await
    }

    pub(crate) async fn delete(&self, resource: &Resource, name: &str) -> Result<registry::Deleted, Status> {
        self.registry.delete(resource, &self.write(), "ns", name, &registry::DeleteRequest::default()).await
    }
}

pub(crate) fn json_of(written: &Written) -> Value {
    serde_json::from_slice(&written.json()).unwrap()
}

pub(crate) fn pod(name: &str, node: Option<&str>) -> Value {
    json!({"metadata": {"name": name}, "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}})
}

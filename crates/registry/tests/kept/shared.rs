//! Two registries over one etcd, as two servers have it: each sees at once what the other was told is written.

use crate::open::Open;
use api::user::User;
use api::{Kind, Status};
use k8s_openapi::api::core::v1::ConfigMap;
use registry::{
    Entry, Fence, ListQuery, Notes, Options, ReadVersion, Registry, Resource, Selection, Start, Step, Write, Written,
};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use store::{Etcd, EtcdOptions, Store};

/// A private etcd on an address of this process's own; it dies with the thread that started it.
struct Member {
    child: Child,
    url: String,
    _dir: tempfile::TempDir,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Member {
    fn start() -> Option<Member> {
        if Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_err() {
            eprintln!("SKIPPED: etcd is not installed (scripts/packages.sh installs it)");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let [_, high, middle, low] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, high | 0x40, middle, low);
        let (url, peer) = (format!("http://{address}:23979"), format!("http://{address}:23980"));
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "etcd", "--logger=zap"])
            .arg(format!("--data-dir={}", dir.path().display()))
            .arg(format!("--initial-cluster=default={peer}"))
            .arg(format!("--listen-client-urls={url}"))
            .arg(format!("--advertise-client-urls={url}"))
            .arg(format!("--listen-peer-urls={peer}"))
            .arg(format!("--initial-advertise-peer-urls={peer}"))
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd starts");
        Some(Member { child, url, _dir: dir })
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.etcd().await)
    }

    async fn etcd(&self) -> Etcd {
        let options = EtcdOptions {
            endpoints: vec![self.url.clone()],
            patience: Duration::from_secs(30),
            ..EtcdOptions::default()
        };
        Etcd::open(options).await.unwrap()
    }
}

#[derive(Clone)]
struct Server {
    registry: Arc<Registry>,
    maps: Arc<Resource>,
    user: User,
}

impl Server {
    async fn over(member: &Member) -> Server {
        Server::named(member, "one of them").await
    }

    async fn named(member: &Member, server: &str) -> Server {
        let options = Options { exclusive: false, server: server.into(), ..Options::default() };
        let registry = Registry::open(member.open().await, options).await.unwrap();
        let maps = registry.resource(&ConfigMap::DEF).unwrap();
        Server { registry, maps, user: User::component("test") }
    }

    fn write(&self) -> Write<'_> {
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

    async fn create(&self, name: &str) -> Result<Written, Status> {
        self.create_as(&self.write(), name).await
    }

    async fn create_as(&self, write: &Write<'_>, name: &str) -> Result<Written, Status> {
        let value = json!({"metadata": {"name": name}, "data": {}});
        self.registry.create(&self.maps, write, "ns", self.maps.kind.from_value(value).unwrap()).await
    }

    async fn set(&self, name: &str, key: &str, value: &str) -> Written {
        let patch = registry::Patch {
            kind: registry::PatchKind::Merge,
            body: json!({"data": {key: value}}).to_string().into(),
            validation: registry::FieldValidation::Strict,
        };
        let part = registry::Part::Object;
        self.registry.patch(&self.maps, &self.write(), part, "ns", name, &patch, None).await.unwrap()
    }

    async fn get(&self, name: &str) -> Result<Arc<Entry>, Status> {
        self.registry.get(&self.maps, "ns", name, ReadVersion::Latest).await
    }

    async fn data(&self, name: &str) -> Value {
        let entry = self.get(name).await.unwrap();
        serde_json::from_slice::<Value>(&entry.json()).unwrap()["data"].clone()
    }
}

#[tokio::test]
async fn each_sees_at_once_what_the_other_wrote() {
    let Some(member) = Member::start() else { return };
    let (one, two) = (Server::over(&member).await, Server::over(&member).await);
    for n in 0..20 {
        let (writer, reader) = if n % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let name = format!("m{n}");
        writer.create(&name).await.unwrap();
        assert_eq!(reader.get(&name).await.unwrap().name(), name);
        assert_eq!(reader.create(&name).await.err().map(|status| status.code), Some(409));
        reader.set(&name, "by", "reader").await;
        assert_eq!(writer.data(&name).await, json!({"by": "reader"}));
        let query = ListQuery {
            selection: Selection::all("ns"),
            version: ReadVersion::Latest,
            limit: 0,
            continue_token: String::new(),
        };
        assert_eq!(writer.registry.list(&writer.maps, &query).await.unwrap().entries.len(), n + 1);
    }
    for n in 0..20 {
        let (writer, reader) = if n % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let request = registry::DeleteRequest::default();
        let name = format!("m{n}");
        writer.registry.delete(&writer.maps, &writer.write(), "ns", &name, &request).await.unwrap();
        assert_eq!(reader.get(&name).await.err().map(|status| status.code), Some(404));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_update_of_either_is_lost_and_watches_resume_on_either() {
    const UPDATES: usize = 25;
    let Some(member) = Member::start() else { return };
    let (one, two) = (Server::over(&member).await, Server::over(&member).await);
    let created = one.create("shared").await.unwrap().entry.revision;
    let writers = [&one, &two].into_iter().enumerate().map(|(of, server)| {
        let server = server.clone();
        tokio::spawn(async move {
            for n in 0..UPDATES {
                server.set("shared", &format!("k{of}-{n}"), "x").await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let data = one.data("shared").await;
    assert_eq!(data.as_object().unwrap().len(), 2 * UPDATES);
    assert_eq!(two.data("shared").await, data);
    // A watch that began at one server goes on at a third, from a revision before that one was there.
    let third = Server::over(&member).await;
    let seen = [events(&one, created, UPDATES).await, events(&third, created, UPDATES).await];
    assert_eq!(seen[0].len(), 2 * UPDATES);
    assert_eq!(seen[0], seen[1]);
}

/// The revisions of the events after `after`.
async fn events(server: &Server, after: registry::Revision, updates: usize) -> Vec<registry::Revision> {
    let start = Start::After(after);
    let mut watcher = server.registry.watch(&server.maps, Selection::all("ns"), start).await.unwrap();
    let mut seen = Vec::new();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while seen.len() < 2 * updates {
        assert!(tokio::time::Instant::now() < deadline, "only {} events", seen.len());
        match watcher.try_next().unwrap() {
            Some(Step::Events(events)) => seen.extend(events.iter().map(|(kind, event)| event.entry(*kind).revision)),
            Some(_) => {}
            None => tokio::task::yield_now().await,
        }
    }
    seen
}

#[tokio::test]
async fn who_leads_no_more_writes_nothing_more() {
    let Some(member) = Member::start() else { return };
    let etcd = member.etcd().await;
    let (one, two) = (Server::over(&member).await, Server::over(&member).await);
    let claim = etcd.claim("claims/leader", "one").await.unwrap();
    let (key, at) = claim.fence();
    let fence = Fence { key, at };
    let write = Write { fence: Some(&fence), ..one.write() };
    one.create_as(&write, "a").await.unwrap();
    claim.release().await.unwrap();
    let succeeded = etcd.claim("claims/leader", "two").await.unwrap();
    let refused = |status: Status| (status.code, status.message.contains("does not lead the cluster any more"));
    assert_eq!(one.create_as(&write, "b").await.map_err(refused).err(), Some((503, true)));
    let patch = registry::Patch {
        kind: registry::PatchKind::Merge,
        body: json!({"data": {"k": "v"}}).to_string().into(),
        validation: registry::FieldValidation::Strict,
    };
    let part = registry::Part::Object;
    let patched = one.registry.patch(&one.maps, &write, part, "ns", "a", &patch, None).await;
    assert_eq!(patched.map_err(refused).err(), Some((503, true)));
    let request = registry::DeleteRequest::default();
    let deleted = one.registry.delete(&one.maps, &write, "ns", "a", &request).await;
    assert_eq!(deleted.map_err(refused).err(), Some((503, true)));
    // Whoever does not write as the leader goes on, and so does the next leader.
    one.create("c").await.unwrap();
    let (key, at) = succeeded.fence();
    let fence = Fence { key, at };
    two.create_as(&Write { fence: Some(&fence), ..two.write() }, "b").await.unwrap();
    assert_eq!(one.get("a").await.unwrap().name(), "a");
}

/// A judge who lets a namespace have only so many objects, and counts them in its own server's cache.
struct AtMost {
    server: Server,
    count: usize,
}

#[async_trait::async_trait]
impl registry::Admission for AtMost {
    async fn mutate(
        &self,
        _: &registry::Attempt<'_>,
        _: &mut Box<dyn api::Object>,
        _: Option<&dyn api::Object>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn validate(
        &self,
        attempt: &registry::Attempt<'_>,
        _: Option<&dyn api::Object>,
        _: Option<&dyn api::Object>,
    ) -> Result<Vec<registry::Claim>, Status> {
        let charge = self.server.registry.charge(attempt.namespace);
        let prefix = ConfigMap::DEF.key(attempt.namespace, "");
        let present = self.server.maps.snapshot().objects.keys().filter(|key| key.starts_with(&prefix)).count();
        if present < self.count {
            Ok(vec![registry::Claim::charged((), charge)])
        } else {
            Err(Status::forbidden(attempt.def, "", "full"))
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_counts_the_other_counts_too() {
    const ALLOWED: usize = 3;
    const NAMESPACES: usize = 40;
    let Some(member) = Member::start() else { return };
    let servers = [Server::named(&member, "one").await, Server::named(&member, "two").await];
    let writers = servers.clone().map(|server| {
        tokio::spawn(async move {
            let judge = AtMost { server: server.clone(), count: ALLOWED };
            let write = Write { admission: &judge, ..server.write() };
            for namespace in (0..NAMESPACES).map(|n| format!("ns{n}")) {
                for _ in 0..=ALLOWED {
                    let value = json!({"metadata": {"generateName": "m-"}, "data": {}});
                    let object = server.maps.kind.from_value(value).unwrap();
                    let created = server.registry.create(&server.maps, &write, &namespace, object).await;
                    assert!(created.as_ref().err().is_none_or(|status| status.message.contains("full")), "{created:?}");
                }
            }
        })
    });
    for writer in writers {
        writer.await.unwrap();
    }
    for namespace in (0..NAMESPACES).map(|n| format!("ns{n}")) {
        let query = ListQuery {
            selection: Selection::all(&namespace),
            version: ReadVersion::Latest,
            limit: 0,
            continue_token: String::new(),
        };
        let listed = servers[0].registry.list(&servers[0].maps, &query).await.unwrap();
        assert_eq!(listed.entries.len(), ALLOWED, "in {namespace}");
    }
}

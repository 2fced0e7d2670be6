//! A node for a test: an API server, a runtime, a data directory and a cgroup of its own.

use crate::double::Double;
use client::Client;
use client::testing::Fake;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kubelet::certificates::Identity;
use kubelet::{Kubelet, Options, Serving, Tls};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test authority");
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// Chain and key of a name in a group.
    pub(crate) fn sign(&self, name: &str, group: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::OrganizationName, group);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

pub(crate) struct TestNode {
    pub(crate) fake: Fake,
    pub(crate) client: Client,
    pub(crate) runtime: Double,
    pub(crate) data: tempfile::TempDir,
    pub(crate) authority: Authority,
    cgroup: String,
}

/// `None`, said aloud, where control groups cannot be made.
pub(crate) fn node(name: &str) -> Option<TestNode> {
    let cgroup = format!("/kubelet-test-{name}-{}", std::process::id());
    let made = kernel::cgroup::Cgroup::at(&cgroup).and_then(|group| group.create());
    if let Err(error) = made {
        eprintln!("SKIPPED: {error}");
        return None;
    }
    let (fake, client) = Fake::start();
    let (data, runtime, authority) = (tempfile::tempdir().unwrap(), Double::new(), Authority::new());
    Some(TestNode { fake, client, runtime, data, authority, cgroup })
}

impl TestNode {
    pub(crate) async fn start(&self) -> Kubelet {
        // A client of its own: caches of an earlier kubelet must not help a later one.
        self.start_with(Client::new(self.client.transport().clone())).await
    }

    pub(crate) async fn start_with(&self, client: Client) -> Kubelet {
        let (chain, key) = self.authority.sign("n1", "system:nodes");
        let identity = Arc::new(Identity::from_pem(&chain, &key).unwrap());
        let tls =
            Tls { client_ca_pem: self.authority.pem.clone(), serving: Serving::Given(identity), client_identity: None };
        let ip = "127.0.0.1".parse().unwrap();
        let data_dir = self.data.path().join("kubelet");
        let logs = logs::Options {
            live: data_dir.join("pod-logs"),
            ended: data_dir.join("pod-logs-ended"),
            archive: data_dir.join("log-archive"),
            age_max: Duration::from_secs(3600),
            bytes_max: None,
        };
        let options = Options {
            data_dir,
            archive: Some(Arc::new(logs::Archive::open(logs).unwrap())),
            cgroup_root: self.cgroup.clone(),
            listen: ip,
            port: 0,
            ..Options::new("n1", ip, client, Arc::new(self.runtime.clone()), tls)
        };
        Kubelet::start(options).await.unwrap()
    }

    pub(crate) async fn create(&self, yaml: &str) -> Pod {
        let mut pod: Pod = serde_saphyr::from_str(yaml).unwrap();
        pod.metadata.namespace.get_or_insert_with(|| "default".into());
        pod.spec.as_mut().unwrap().node_name = Some("n1".into());
        self.client.create(&pod).await.unwrap()
    }

    pub(crate) fn status(&self, name: &str) -> Option<PodStatus> {
        self.fake.get::<Pod>("default", name)?.status
    }

    pub(crate) async fn until(&self, name: &str, what: &str, done: impl Fn(&PodStatus) -> bool) -> PodStatus {
        let waiting = self.fake.until(what, |_| self.status(name).is_some_and(|status| done(&status)));
        let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(waited.is_ok(), "waited too long for {what}: {:#?}", self.status(name));
        self.status(name).unwrap()
    }

    pub(crate) async fn until_ready(&self, name: &str) -> PodStatus {
        self.until(name, "the pod to be ready", |status| is_true(status, "Ready")).await
    }

    pub(crate) async fn until_gone(&self, name: &str) {
        let waiting = self.fake.until("the pod to be gone", |fake| fake.get::<Pod>("default", name).is_none());
        assert!(tokio::time::timeout(Duration::from_secs(60), waiting).await.is_ok(), "{:#?}", self.status(name));
    }

    /// Reasons of the events about pods, in order.
    pub(crate) fn reasons(&self) -> Vec<String> {
        let events = self.fake.history::<k8s_openapi::api::core::v1::Event>();
        events.into_iter().filter_map(|(old, new)| if old.is_none() { new?.reason } else { None }).collect()
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        let ended = kernel::cgroup::Cgroup::at(&self.cgroup).and_then(|group| group.end(Duration::from_secs(5)));
        if let Err(error) = ended {
            eprintln!("the test's cgroup stays: {error}");
        }
    }
}

pub(crate) fn is_true(status: &PodStatus, condition: &str) -> bool {
    status.conditions.iter().flatten().any(|one| one.type_ == condition && one.status == "True")
}

//! A server on a port of its own, without controllers and nodes.

use api::user::User;
use apiserver::admission::Chain;
use apiserver::authn::{Authenticators, ISSUER, Keys};
use apiserver::authz::Authorizer;
use apiserver::bootstrap::{Facts, bootstrap};
use apiserver::callout::Callout;
use apiserver::pki::{Pki, ServerNames, ShownCertificate, kubeconfig};
use apiserver::{Backend, Config, Direct, KubeletAccess, Parts, Server, ServiceRanges};
use client::Client;
use std::path::PathBuf;
use std::sync::Arc;

pub(crate) struct Cluster {
    dir: tempfile::TempDir,
    pub(crate) pki: Pki,
    pub(crate) client: Client,
    server: Server,
}

pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

impl Cluster {
    pub(crate) async fn start() -> Cluster {
        // In memory where there is room: how long the disk takes to confirm a write is no part of what is compared.
        let memory = std::path::Path::new("/dev/shm");
        let dir = tempfile::tempdir_in(if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }).unwrap();
        let names = ServerNames { addresses: vec!["127.0.0.1".parse().unwrap()], ..ServerNames::default() };
        let pki = Pki::open(&dir.path().join("pki"), &names, now()).unwrap();
        let store = store::Embedded::open(dir.path().join("store"), store::Options::default()).unwrap();
        let ranges = ServiceRanges::new(vec!["10.43.0.0/16".parse().unwrap()]);
        let options = registry::Options { hooks: apiserver::hooks(ranges), ..registry::Options::default() };
        let registry = registry::Registry::open(Arc::new(store), options).await.unwrap();
        let kubelets = KubeletAccess {
            tls: Arc::new(
                pki.kubelet_client_config(Arc::new(ShownCertificate::new(&pki.kubelet_client).unwrap())).unwrap(),
            ),
        };
        let backend = Backend::new(registry, Some(kubelets), Vec::new());
        let client = Client::new(Arc::new(Direct::new(backend.clone(), User::component("system:apiserver"))));
        let authz = Authorizer::start(&client);
        let keys = Keys::from_pem(&pki.service_account_keys).unwrap();
        let authn = Arc::new(Authenticators::new(ISSUER, keys, &client, Arc::new(now)));
        let callout = Callout::new(&client);
        let admission = Arc::new(Chain::new(&client, backend.registry(), &authz, &callout, &Default::default()));
        assert!(backend.install(Parts { authn, authz, admission, callout, front_proxy: None }).is_ok());
        let facts = Facts {
            address: "192.0.2.1".parse().unwrap(),
            port: 6443,
            alone: true,
            server: "https://127.0.0.1:6443".to_owned(),
            api_service_ip: "10.43.0.1".parse().unwrap(),
            dns_service_ip: "10.43.0.10".parse().unwrap(),
            server_ca: pki.server_ca.bundle_pem().to_owned(),
            client_ca: pki.client_ca.bundle_pem().to_owned(),
            front_proxy_ca: pki.front_proxy_ca.bundle_pem().to_owned(),
        };
        bootstrap(&client, &facts).await.unwrap();
        let tls = pki.server_config(Arc::new(ShownCertificate::new(&pki.apiserver).unwrap())).unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let server = Server::start(Config { listen, tls: Arc::new(tls), backend }).await.unwrap();
        Cluster { dir, pki, client, server }
    }

    /// The admin's, with a namespace to act in.
    pub(crate) fn kubeconfig(&self, namespace: &str) -> PathBuf {
        let url = format!("https://{}", self.server.local_addr());
        let text = kubeconfig(
            &url,
            self.pki.server_ca.bundle_pem(),
            self.pki.admin.certificate_pem(),
            self.pki.admin.key_pem(),
        );
        let path = self.dir.path().join(namespace);
        let mut config: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        config["contexts"][0]["context"]["namespace"] = namespace.into();
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    pub(crate) fn home(&self) -> PathBuf {
        let home = self.dir.path().join("home");
        std::fs::create_dir_all(&home).unwrap();
        home
    }

    pub(crate) async fn shutdown(self) {
        self.server.shutdown().await;
    }
}

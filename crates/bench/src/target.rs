//! What rows are measured on: a cluster, how to reach it, and its processes where they are known.

use anyhow::{Context, Result};
use api::Kind;
use bench::own::{OwnCluster, rss_mib};
use client::{Client, Config, DeleteOptions, Remote, Request, Verb};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use std::path::Path;
use std::sync::Arc;

/// The image of real pods on a cluster of our own, made from files of this machine.
const OWN_IMAGE: &str = "user-center:v1.0";

pub(crate) struct Target {
    pub(crate) config: Config,
    /// Pods that the API rows create.
    pub(crate) pods: usize,
    pub(crate) own: Option<OwnCluster>,
    pub(crate) image: String,
    pids: Vec<u32>,
}

impl Target {
    pub(crate) fn of_own(own: OwnCluster, pods: usize) -> Result<Target> {
        Ok(Target { config: own.config()?, pods, own: Some(own), image: OWN_IMAGE.to_owned(), pids: Vec::new() })
    }

    pub(crate) fn of_others(config: Config, pods: usize, pids: Vec<u32>, image: String) -> Target {
        Target { config, pods, own: None, image, pids }
    }

    /// A client with a connection of its own.
    pub(crate) fn client(&self) -> Result<Client> {
        Ok(Client::new(Arc::new(Remote::new(self.config.clone())?)))
    }

    pub(crate) fn own(&self) -> Result<&OwnCluster> {
        self.own.as_ref().context("only of a cluster of our own")
    }

    /// RSS of all its processes; `None` where they are not known.
    pub(crate) fn memory_mib(&self) -> Result<Option<f64>> {
        let pids = self.own.as_ref().map_or_else(|| Ok(self.pids.clone()), OwnCluster::pids)?;
        if pids.is_empty() {
            return Ok(None);
        }
        pids.into_iter().map(rss_mib).sum::<Result<f64>>().map(Some)
    }

    /// A fresh namespace with its service account.
    pub(crate) async fn namespace(&self, purpose: &str) -> Result<String> {
        let client = self.client()?;
        let name = format!("bench-{purpose}-{}", std::process::id());
        let namespace: Namespace = serde_json::from_value(serde_json::json!({"metadata": {"name": name}}))?;
        client.create(&namespace).await.context("making the namespace")?;
        let account: ServiceAccount =
            serde_json::from_value(serde_json::json!({"metadata": {"name": "default", "namespace": name}}))?;
        match client.create(&account).await {
            Err(status) if status.reason != api::Reason::AlreadyExists => {
                Err(status).context("making the service account")
            }
            _ => Ok(name),
        }
    }

    /// Removes a namespace with all that is in it; what is in our own cluster goes with it.
    pub(crate) async fn forget(&self, namespace: &str) -> Result<()> {
        if self.own.is_some() {
            return Ok(());
        }
        let options = DeleteOptions::default();
        self.client()?.delete::<Namespace>("", namespace, &options).await.context("removing the namespace")
    }

    /// Brings the image of real pods to our own cluster; another pulls it, with the first pod that is not measured.
    pub(crate) async fn import_image(&self) -> Result<()> {
        let Some(own) = &self.own else { return Ok(()) };
        let folder = tempfile::tempdir().context("making a folder for the image")?;
        let archive = folder.path().join("image.tar");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/user-center/image/make.sh");
        let made = tokio::process::Command::new("sh").arg(script).arg("v1.0").arg(&archive).status().await;
        anyhow::ensure!(made.context("making the image")?.success(), "making the image failed");
        own.command(&["image", "import", archive.to_str().context("a path that is text")?]).await.map(drop)
    }

    pub(crate) async fn stop(self) -> Result<()> {
        match self.own {
            Some(own) => own.stop().await,
            None => Ok(()),
        }
    }
}

/// A request to create one object of a kind.
pub(crate) fn create<K: Kind>(namespace: &str, object: &serde_json::Value) -> Request {
    let body = serde_json::to_vec(object).expect("a JSON value encodes");
    Request::new(Verb::Create, &K::DEF, namespace, "").body(body)
}

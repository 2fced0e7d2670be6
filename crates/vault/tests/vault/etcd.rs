//! What an etcd below is given.

use crate::fixture::{KEY, PLAIN, folder, key, on_disk, over, put, read, secrets};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use store::{Etcd, EtcdOptions};

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("etcd is a child of ours");
        self.0.wait().expect("it ends");
    }
}

#[tokio::test]
async fn etcd_is_given_nothing_that_can_be_read() {
    if Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_err() {
        return eprintln!("SKIPPED: etcd is not installed (scripts/packages.sh installs it)");
    }
    let dir = folder();
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, high | 0x20, middle, low);
    let (url, peer) = (format!("http://{address}:23790"), format!("http://{address}:23800"));
    let member = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "etcd", "--name=m", "--logger=zap"])
        .args([format!("--listen-client-urls={url}"), format!("--advertise-client-urls={url}")])
        .args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")])
        .args([format!("--initial-cluster=m={peer}"), format!("--data-dir={}", dir.path().display())])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let member = Killed(member.expect("etcd starts"));
    let options = EtcdOptions { endpoints: vec![url], patience: Duration::from_secs(30), ..EtcdOptions::default() };
    let engine = Arc::new(Etcd::open(options).await.expect("etcd answers"));
    let vault = over(&engine, secrets(&[&key("aesgcm", "k", 1)])).await;
    put(&vault, KEY, PLAIN).await;
    put(&vault, "/core/configmaps/default/web", "plain as day").await;
    assert_eq!(read(&vault, KEY).await.as_deref(), Ok(PLAIN));
    drop(member);
    assert!(on_disk(dir.path(), "plain as day") && on_disk(dir.path(), "k8s:enc:aesgcm:v1:k:"));
    assert!(!on_disk(dir.path(), "aHVudGVyMg"));
}

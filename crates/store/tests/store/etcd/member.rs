//! Private etcd members on loopback.
//!
//! Invariant: each test's members have an address of its process's own, so that their ports never meet another's; they
//! die with the thread that started them.

use std::fs::File;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use store::{Etcd, EtcdOptions};
use tempfile::TempDir;

/// Whether etcd is installed; says so when it is not.
pub(super) fn installed() -> bool {
    let found = Command::new("etcd").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("SKIPPED: etcd is not installed (scripts/packages.sh installs it)");
    }
    found
}

/// Certificates of a member, as files in its directory.
pub(super) struct Certificates {
    pub(super) ca: String,
    pub(super) certificate: String,
    pub(super) key: String,
}

pub(super) struct Member {
    dir: TempDir,
    name: String,
    arguments: Vec<String>,
    pub(super) url: String,
    child: Option<Child>,
}

/// One for each member of this process.
fn ports() -> (u16, u16) {
    static NEXT: AtomicU16 = AtomicU16::new(23_000);
    let first = NEXT.fetch_add(2, Ordering::Relaxed);
    (first, first + 1)
}

pub(super) fn address() -> Ipv4Addr {
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    // Process numbers have 22 bits; bit 6 keeps away from 127.0.0.1.
    Ipv4Addr::new(127, high | 0x40, middle, low)
}

impl Member {
    /// As many members of one cluster as asked for, started.
    pub(super) fn cluster(size: usize, extra: &[&str], tls: Option<&Certificates>) -> Vec<Member> {
        let address = address();
        let places: Vec<_> = (0..size).map(|n| (format!("m{n}"), ports())).collect();
        let peers: Vec<_> = places.iter().map(|(name, (_, peer))| format!("{name}=http://{address}:{peer}")).collect();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let member = |(name, (client, peer)): (String, (u16, u16))| {
            let url = format!("{scheme}://{address}:{client}");
            let peer = format!("http://{address}:{peer}");
            let mut arguments: Vec<String> = vec![
                format!("--name={name}"),
                format!("--initial-cluster={}", peers.join(",")),
                format!("--listen-client-urls={url}"),
                format!("--advertise-client-urls={url}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                "--logger=zap".to_owned(),
            ];
            arguments.extend(extra.iter().map(|&argument| argument.to_owned()));
            let dir = tempfile::tempdir().unwrap();
            if let Some(tls) = tls {
                arguments.extend(tls_arguments(dir.path(), tls));
            }
            arguments.push(format!("--data-dir={}", dir.path().join("data").display()));
            Member { dir, name, arguments, url, child: None }
        };
        let mut members: Vec<_> = places.into_iter().map(member).collect();
        members.iter_mut().for_each(Member::start);
        members
    }

    pub(super) fn single(extra: &[&str]) -> Member {
        Member::cluster(1, extra, None).remove(0)
    }

    pub(super) fn start(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "etcd"])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("etcd starts");
        self.child = Some(child);
    }

    /// As `kill -9` does.
    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(super) fn options(&self) -> EtcdOptions {
        options(&[&self.url])
    }

    /// What `etcdctl` prints when it is given this member and these arguments.
    pub(super) fn ctl(&self, arguments: &[&str]) -> String {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.url))
            .args(arguments)
            .output()
            .expect("etcdctl runs");
        assert!(output.status.success(), "{}: {}", self.name, String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Whether it leads its cluster.
    pub(super) fn leads(&self) -> bool {
        let text = self.ctl(&["endpoint", "status", "--write-out=json"]);
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        let status = &status[0]["Status"];
        status["leader"] == status["header"]["member_id"]
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

fn tls_arguments(dir: &Path, tls: &Certificates) -> Vec<String> {
    let file = |name: &str, text: &str| {
        std::fs::write(dir.join(name), text).unwrap();
        dir.join(name).display().to_string()
    };
    vec![
        "--client-cert-auth".to_owned(),
        format!("--trusted-ca-file={}", file("ca.pem", &tls.ca)),
        format!("--cert-file={}", file("member.pem", &tls.certificate)),
        format!("--key-file={}", file("member.key", &tls.key)),
    ]
}

/// Never compacts by itself, so that revisions are dense; patient with a member that is only starting.
pub(super) fn options(urls: &[&str]) -> EtcdOptions {
    EtcdOptions {
        endpoints: urls.iter().map(|&url| url.to_owned()).collect(),
        compact_every: None,
        patience: Duration::from_secs(30),
        ..EtcdOptions::default()
    }
}

pub(super) async fn open(options: EtcdOptions) -> Etcd {
    Etcd::open(options).await.expect("a private etcd answers")
}

//! A node's directories for tests, and containers that write logs there.

use crate::archive::{Archive, Options};
use crate::identity::{Identity, Workload};
use crate::query::{Filter, Query};
use crate::search::Search;
use crate::time;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) struct Node {
    pub(crate) dir: tempfile::TempDir,
}

impl Node {
    pub(crate) fn new() -> Node {
        Node { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn options(&self) -> Options {
        let path = |name: &str| self.dir.path().join(name);
        Options {
            live: path("live"),
            ended: path("ended"),
            archive: path("archive"),
            age_max: Duration::from_secs(3600),
            bytes_max: Some(1 << 30),
        }
    }

    pub(crate) fn archive(&self) -> Archive {
        Archive::open(self.options()).unwrap()
    }

    /// A pod whose uid is its name's.
    pub(crate) fn pod(&self, namespace: &str, name: &str) -> PodLogs {
        let labels = BTreeMap::from([("app".to_owned(), name.split('-').next().unwrap().to_owned())]);
        let owner = Workload { kind: "StatefulSet".into(), name: name.split('-').next().unwrap().into() };
        let identity = Identity::new(namespace, name, &format!("uid-{name}"), labels, Some(owner));
        let directory = self.dir.path().join("live").join(identity.directory());
        std::fs::create_dir_all(&directory).unwrap();
        identity.write(&directory).unwrap();
        PodLogs { directory }
    }
}

pub(crate) struct PodLogs {
    pub(crate) directory: PathBuf,
}

impl PodLogs {
    pub(crate) fn log(&self, container: &str, attempt: u32) -> PathBuf {
        let directory = self.directory.join(container);
        std::fs::create_dir_all(&directory).unwrap();
        directory.join(format!("{attempt}.log"))
    }

    /// Appends lines to an instance's log; times are in seconds.
    pub(crate) fn say(&self, container: &str, attempt: u32, lines: &[(i64, &str)]) -> PathBuf {
        let path = self.log(container, attempt);
        let mut file = File::options().append(true).create(true).open(&path).unwrap();
        for (second, text) in lines {
            file.write_all(&line(*second, text)).unwrap();
        }
        path
    }

    /// As kubelet and runtime do it.
    pub(crate) fn rotate(&self, archive: &Archive, container: &str, attempt: u32) {
        let path = self.log(container, attempt);
        let between = path.with_file_name(format!("{attempt}.log.rotating"));
        std::fs::rename(&path, &between).unwrap();
        File::create_new(&path).unwrap();
        let number = archive.claim_rotation(&path).unwrap();
        std::fs::rename(between, path.with_file_name(format!("{attempt}.log.{number:06}-x"))).unwrap();
    }
}

pub(crate) fn line(second: i64, text: &str) -> Vec<u8> {
    let time = time::format(second * 1_000_000_000);
    [&time, b" stdout F ".as_slice(), text.as_bytes(), b"\n"].concat()
}

/// `second text` of each line that is found.
pub(crate) fn found(archive: &Archive, query: Query) -> Vec<String> {
    let mut search = Search::new(archive, Filter::new(query).unwrap()).unwrap();
    let mut found = Vec::new();
    while let Some(entry) = search.next_entry() {
        found.push(format!("{} {}", entry.time / 1_000_000_000, String::from_utf8_lossy(entry.text)));
    }
    assert_eq!(search.take_warnings(), Vec::<String>::new());
    found
}

//! Configurations, and a sealed store over the embedded engine.

use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use store::{Embedded, Options, Outcome, Revision, Store, Txn, unreadable_reason};
use tempfile::TempDir;
use vault::{Configuration, Vault};

pub(crate) const KEY: &str = "/core/secrets/default/web";
pub(crate) const PLAIN: &str = r#"{"data":{"password":"aHVudGVyMg=="}}"#;

/// A key of 32 bytes, all the same.
pub(crate) fn key(cipher: &str, name: &str, fill: u8) -> String {
    let digit = ["AAAA", "AQEB", "AgIC", "AwMD"][fill as usize];
    let tail = ["AAA=", "AQE=", "AgI=", "AwM="][fill as usize];
    format!("{cipher}: {{keys: [{{name: {name}, secret: {}{tail}}}]}}", digit.repeat(10))
}

/// Secrets with these providers.
pub(crate) fn secrets(providers: &[&str]) -> Configuration {
    configuration("secrets", providers)
}

pub(crate) fn configuration(resources: &str, providers: &[&str]) -> Configuration {
    let providers: String = providers.iter().map(|provider| format!("  - {provider}\n")).collect();
    let text = format!(
        "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n\
         resources:\n- resources: ['{resources}']\n  providers:\n{providers}"
    );
    Configuration::parse(&text).expect("a valid configuration")
}

pub(crate) fn engine(dir: &Path) -> Arc<Embedded> {
    Arc::new(Embedded::open(dir, Options::default()).expect("the store opens"))
}

pub(crate) async fn over(engine: &Arc<impl Store>, configuration: Configuration) -> Vault {
    Vault::open(engine.clone(), configuration).await.expect("the vault opens")
}

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

pub(crate) async fn put(store: &impl Store, key: &str, text: &str) -> Revision {
    let txn = Txn { ops: vec![crate::suite::put(key, text)], ..Txn::default() };
    match store.commit(txn).await.expect("the write is taken") {
        Outcome::Committed(revision) => revision,
        Outcome::Conflict(_) => panic!("nothing was checked"),
    }
}

/// What reads as the key's value, or why it does not.
pub(crate) async fn read(store: &impl Store, key: &str) -> Result<String, String> {
    let value = store.get(key).await.expect("the store answers").expect("the key is there").value;
    match unreadable_reason(&value) {
        Some(reason) => Err(reason.to_owned()),
        None => Ok(String::from_utf8(value.to_vec()).expect("text")),
    }
}

pub(crate) async fn stored(engine: &impl Store, key: &str) -> Bytes {
    engine.get(key).await.expect("the store answers").expect("the key is there").value
}

/// Whether any file below `dir` has these bytes.
pub(crate) fn on_disk(dir: &Path, needle: &str) -> bool {
    let entries = std::fs::read_dir(dir).expect("a directory");
    entries.map(|entry| entry.expect("an entry").path()).any(|path| {
        if path.is_dir() {
            return on_disk(&path, needle);
        }
        let bytes = std::fs::read(&path).expect("a file");
        bytes.windows(needle.len()).any(|part| part == needle.as_bytes())
    })
}

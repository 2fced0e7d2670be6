//! The store sealed as a file says (`--encryption-provider-config`), and the file watched where that is asked for.
//!
//! Invariant: a changed file that is not valid, or names a key management service that is not well, changes nothing.

use crate::folder::FileWatch;
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::Arc;
use store::Store;
use vault::{Configuration, Vault};

/// The engine behind seals; watches the file from now on where `reload` says so.
pub(super) async fn seal(engine: Arc<dyn Store>, file: &Path, reload: bool) -> Result<Arc<Vault>> {
    let place = || format!("--encryption-provider-config {}", file.display());
    let watch = reload.then(|| FileWatch::open(file)).transpose().with_context(place)?;
    let configuration = Configuration::read(file).with_context(place)?;
    let vault = Arc::new(Vault::open(engine, configuration).await.with_context(place)?);
    if let Some(watch) = watch {
        let vault = vault.clone();
        watch.follow("encryption configuration", move |file| {
            let (configuration, vault) = (Configuration::read(file), vault.clone());
            async move { vault.replace(configuration?).await.context("asking its key management services") }
        });
    }
    Ok(vault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{Embedded, Options, Txn};

    const KEY: &str = "/core/secrets/default/web";

    fn write(file: &Path, key: &str) {
        let secret = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n\
             - resources: [secrets]\n  providers:\n  - aesgcm: {{keys: [{{name: {key}, secret: {secret}}}]}}\n  \
             - identity: {{}}\n"
        );
        // As editors do: under another name first.
        let draft = file.with_extension("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, file).unwrap();
    }

    #[tokio::test]
    async fn a_changed_file_is_followed_and_a_wrong_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("encryption.yaml");
        write(&file, "one");
        let engine = Arc::new(Embedded::open(folder.path().join("store"), Options::default()).unwrap());
        let vault = seal(engine.clone(), &file, true).await.unwrap();
        vault.commit(Txn::create(KEY.into(), "x".into())).await.unwrap();
        assert!(!vault.is_stale(KEY).await.unwrap());
        let followed = async {
            std::fs::write(&file, "kind: Nonsense\n").unwrap();
            write(&file, "two");
            while !vault.is_stale(KEY).await.unwrap() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), followed).await.expect("the change is followed");
        assert!(seal(engine, &folder.path().join("none.yaml"), false).await.is_err());
    }
}

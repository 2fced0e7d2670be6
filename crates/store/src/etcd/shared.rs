//! What lies beside the data: a few values that all processes on the same etcd share.
//!
//! Invariant: no range, watch or revision of the data shows them.

use super::keyspace::{AHEAD, Ahead};
use super::proto::PutRequest;
use super::{Etcd, Inner};
use crate::StoreError;

impl Etcd {
    /// What stands under a name, if anything does.
    pub async fn shared(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.shared(name).await
    }

    /// Writes a value under a name unless one stands there; what stands there then.
    pub async fn share(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, StoreError> {
        let put = PutRequest { key: self.inner.keys.beside(name), value: value.to_vec(), lease: 0 };
        let found = self.inner.put_if_absent("sharing a value in etcd", put).await?;
        Ok(found.map_or_else(|| value.to_vec(), |kv| kv.value))
    }
}

impl Inner {
    async fn shared(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.beside_at(name, 0).await?.map(|kv| kv.value))
    }

    /// How far our revisions are ahead of etcd's: to be read before anything else.
    pub(super) async fn read_ahead(&self) -> Result<(), StoreError> {
        let Some(kv) = self.beside_at(AHEAD, 0).await? else { return Ok(()) };
        let number = std::str::from_utf8(&kv.value).ok().and_then(|text| text.parse().ok());
        let Some(by) = number else {
            let reason = format!("{:?} is no number", String::from_utf8_lossy(&kv.value));
            let attempted = "reading from etcd where its revisions begin".to_owned();
            return Err(StoreError::Corrupt { attempted, reason });
        };
        self.keys.set_ahead(Ahead { by, since: kv.mod_revision });
        Ok(())
    }
}

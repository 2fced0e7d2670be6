//! The providers of one rule: the first seals, all open.

use crate::keys::Key;
use crate::kms::Kms;
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;

pub(crate) enum Provider {
    /// Writes values as they are, and reads what nobody sealed.
    Identity,
    Key(Key),
    Kms(Arc<Kms>),
}

/// How every sealed value begins.
pub(crate) const SEALED: &[u8] = b"k8s:enc:";

/// One pass over many values: a service that failed for one wrapped seed is not asked for it again.
#[derive(Default)]
pub(crate) struct Pass {
    pub(crate) failed: HashMap<crate::envelope::SourceId, String>,
}

pub(crate) struct Chain(pub(crate) Vec<Provider>);

impl Chain {
    pub(crate) fn identity() -> Chain {
        Chain(vec![Provider::Identity])
    }

    pub(crate) fn seal(&self, key: &str, plain: &Bytes) -> Result<Bytes, String> {
        match self.0.first() {
            None | Some(Provider::Identity) => Ok(plain.clone()),
            Some(Provider::Key(own)) => own.seal(key, plain).map(Bytes::from),
            Some(Provider::Kms(kms)) => kms.seal(key, plain).map(Bytes::from),
        }
    }

    pub(crate) async fn open(&self, key: &str, value: &Bytes, pass: &mut Pass) -> Result<Bytes, String> {
        let sealed = value.starts_with(SEALED);
        let mut failures = Vec::new();
        for provider in &self.0 {
            let opened = match provider {
                Provider::Identity if !sealed => return Ok(value.clone()),
                Provider::Identity => continue,
                Provider::Key(own) => match value.strip_prefix(own.prefix.as_bytes()) {
                    Some(sealed) => own.open(key, sealed),
                    None => continue,
                },
                Provider::Kms(kms) => match value.strip_prefix(kms.prefix.as_bytes()) {
                    Some(sealed) => kms.open(key, sealed, pass).await,
                    None => continue,
                },
            };
            match opened {
                Ok(plain) => return Ok(plain.into()),
                Err(failure) => failures.push(failure),
            }
        }
        Err(match failures.as_slice() {
            [] if matches!(self.0.as_slice(), [Provider::Identity]) => {
                "identity transformer tried to read encrypted data".to_owned()
            }
            [] => "no matching prefix found".to_owned(),
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        })
    }

    /// Whether a value would be sealed otherwise today.
    pub(crate) fn is_stale(&self, value: &[u8]) -> bool {
        match self.0.first() {
            None | Some(Provider::Identity) => value.starts_with(SEALED),
            Some(Provider::Key(own)) => !value.starts_with(own.prefix.as_bytes()),
            Some(Provider::Kms(kms)) => {
                value.strip_prefix(kms.prefix.as_bytes()).is_none_or(|sealed| kms.is_stale(sealed))
            }
        }
    }
}

//! Configuration of kind `apiserver.config.k8s.io`, read strictly.

use crate::authn::domain_path::aggregate;
use api::FieldError;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

const GROUP: &str = "apiserver.config.k8s.io/";

#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    #[error("reading {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("decoding {path}: {why}")]
    Decode { path: PathBuf, why: String },
    #[error("{path}: {}", aggregate(errors))]
    Invalid { path: PathBuf, errors: Vec<FieldError> },
    /// Flags that contradict each other or the file.
    #[error("{0}")]
    Flags(String),
    #[error("{path}: {why}")]
    Unusable { path: PathBuf, why: String },
    #[error(transparent)]
    Webhook(#[from] crate::review_webhook::WebhookFileError),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Head {
    api_version: String,
    kind: String,
}

pub(crate) fn text(path: &Path) -> Result<String, ConfigurationError> {
    std::fs::read_to_string(path).map_err(|source| ConfigurationError::Read { path: path.to_owned(), source })
}

/// The content of a file of that kind; fields that the kind has not are errors.
pub(crate) fn decode<T: DeserializeOwned>(
    path: &Path,
    text: &str,
    kind: &str,
    versions: &[&str],
) -> Result<T, ConfigurationError> {
    let bad = |why: String| ConfigurationError::Decode { path: path.to_owned(), why };
    let head: Head = serde_saphyr::from_str(text).map_err(|error| bad(error.to_string()))?;
    let version = head.api_version.strip_prefix(GROUP);
    if head.kind != kind || !version.is_some_and(|version| versions.contains(&version)) {
        return Err(bad(format!("no kind {:?} is registered for version {:?}", head.kind, head.api_version)));
    }
    serde_saphyr::from_str(text).map_err(|error| bad(error.to_string()))
}

//! Secret: settings that not everybody may read.

use super::config_map::{BYTES_MAX, IMMUTABLE};
use crate::check::{self, Errors};
use crate::core::columns;
use crate::field::{FieldError, FieldPath};
use crate::kind::{FieldValues, Kind};
use crate::labels;
use crate::resource::{Column, ResourceDef, Scope};
use crate::table::Cell;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;

/// The annotation by which a token secret names its account.
const ACCOUNT: &str = "kubernetes.io/service-account.name";

impl Kind for Secret {
    const DEF: ResourceDef = ResourceDef {
        columns: &[
            Column::NAME,
            Column::text("Type").about("What its entries are for."),
            Column::integer("Data").about("How many entries it has."),
            Column::AGE,
        ],
        selectable: &["type"],
        ..ResourceDef::new("", "v1", "Secret", "secrets", "secret", Scope::Namespaced, "k8s.io.api.core.v1.Secret")
    };

    /// `stringData` is for writers only: it becomes `data`, over what is there.
    fn defaults(&mut self) {
        if self.type_.as_deref().unwrap_or_default().is_empty() {
            self.type_ = Some("Opaque".to_owned());
        }
        for (key, text) in self.string_data.take().into_iter().flatten() {
            self.data.get_or_insert_default().insert(key, ByteString(text.into_bytes()));
        }
    }

    /// An update without a type means the one that it has.
    fn prepare_update(&mut self, old: &Secret) {
        if self.type_.as_deref().unwrap_or_default().is_empty() {
            self.type_.clone_from(&old.type_);
        }
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Errors::new();
        let path = FieldPath::new("data");
        let mut bytes = 0;
        for (key, value) in self.data.iter().flatten() {
            check::each(&mut errors, &path.key(key), key, labels::config_key(key));
            bytes += value.0.len();
        }
        if bytes > BYTES_MAX {
            errors.push(FieldError::too_long(path.clone(), BYTES_MAX));
        }
        of_type(&mut errors, &path, self);
        errors
    }

    fn validate_update(&self, old: &Secret) -> Vec<FieldError> {
        let mut errors = Errors::new();
        check::immutable(&mut errors, FieldPath::new("type"), &self.type_, &old.type_);
        if old.immutable == Some(true) {
            if self.immutable != Some(true) {
                errors.push(FieldError::forbidden(FieldPath::new("immutable"), IMMUTABLE));
            }
            if !check::same(&self.data, &old.data) {
                errors.push(FieldError::forbidden(FieldPath::new("data"), IMMUTABLE));
            }
        }
        errors
    }

    fn fields(&self) -> FieldValues {
        std::iter::once(("type", self.type_.clone().unwrap_or_default())).collect()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            columns::name(&self.metadata),
            Cell::from(self.type_.as_deref().unwrap_or_default()),
            Cell::Integer(self.data.as_ref().map_or(0, |data| data.len()) as i64),
            columns::created(&self.metadata, now),
        ]
    }
}

/// The entries that a type of secret must have.
fn of_type(errors: &mut Errors, path: &FieldPath, secret: &Secret) {
    let entry = |key: &str| secret.data.as_ref().and_then(|data| data.get(key));
    let required = |errors: &mut Errors, key: &str| {
        if entry(key).is_none() {
            errors.push(FieldError::required(path.key(key), ""));
        }
    };
    match secret.type_.as_deref().unwrap_or_default() {
        "kubernetes.io/service-account-token" => {
            let account = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ACCOUNT));
            let path = FieldPath::new("metadata").child("annotations").key(ACCOUNT);
            check::present(errors, path, account.map(String::as_str));
        }
        "kubernetes.io/dockercfg" => json_entry(errors, path, ".dockercfg", entry(".dockercfg")),
        "kubernetes.io/dockerconfigjson" => json_entry(errors, path, ".dockerconfigjson", entry(".dockerconfigjson")),
        "kubernetes.io/basic-auth" if entry("username").is_none() && entry("password").is_none() => {
            required(errors, "username");
            required(errors, "password");
        }
        "kubernetes.io/ssh-auth" if entry("ssh-privatekey").is_none_or(|key| key.0.is_empty()) => {
            errors.push(FieldError::required(path.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => {
            required(errors, "tls.crt");
            required(errors, "tls.key");
        }
        _ => {}
    }
}

fn json_entry(errors: &mut Errors, path: &FieldPath, key: &str, entry: Option<&ByteString>) {
    match entry.map(|entry| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&entry.0)) {
        None => errors.push(FieldError::required(path.key(key), "")),
        Some(Err(error)) => {
            errors.push(FieldError::invalid(path.key(key), "<secret contents redacted>", error.to_string()));
        }
        Some(Ok(_)) => {}
    }
}

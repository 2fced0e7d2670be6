//! What a service account token says.

use api::user::User;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The payload of a bound token; times in seconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) aud: Vec<String>,
    pub(crate) exp: i64,
    pub(crate) iat: i64,
    pub(crate) iss: String,
    pub(crate) jti: String,
    #[serde(rename = "kubernetes.io")]
    pub(crate) bound: Bound,
    pub(crate) nbf: i64,
    pub(crate) sub: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Bound {
    pub(crate) namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) node: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) secret: Option<Reference>,
    pub(crate) serviceaccount: Reference,
    /// After this its holder should have renewed it; only in tokens that were made to last longer than asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) warnafter: Option<i64>,
}

/// An object as a token names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reference {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) uid: String,
}

impl Reference {
    pub(crate) fn to(meta: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta) -> Reference {
        Reference { name: meta.name.clone().unwrap_or_default(), uid: meta.uid.clone().unwrap_or_default() }
    }
}

pub(crate) fn subject(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

impl Claims {
    /// The user that a service account's token stands for.
    pub(crate) fn user(&self) -> User {
        let bound = &self.bound;
        let mut groups =
            vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{}", bound.namespace)];
        super::add_authenticated(&mut groups);
        let mut extra = BTreeMap::from([(super::CREDENTIAL_ID.to_owned(), vec![format!("JTI={}", self.jti)])]);
        for (kind, reference) in [("pod", &bound.pod), ("node", &bound.node)] {
            if let Some(Reference { name, uid }) = reference {
                for (part, value) in [("name", name), ("uid", uid)] {
                    if !value.is_empty() {
                        extra.insert(format!("authentication.kubernetes.io/{kind}-{part}"), vec![value.clone()]);
                    }
                }
            }
        }
        User {
            name: subject(&bound.namespace, &bound.serviceaccount.name),
            uid: bound.serviceaccount.uid.clone(),
            groups,
            extra,
        }
    }
}

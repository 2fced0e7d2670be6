//! The paths that are no resources: what is served, which version this is, and who signs tokens.
//!
//! Invariant: a row is a path that is served, in upstream's words where clients make names of them (operation ids, tags).

use super::Dialect;
use super::paths::Tags;
use super::schemas::Schemas;
use crate::resource::ResourceDef;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeSet;

const META: &str = "k8s.io.apimachinery.pkg.apis.meta.v1";

/// One such path, which is read and nothing else.
pub(super) struct Plain<'a> {
    /// The v3 document that it is in, and without slashes at its ends the path itself.
    pub(super) document: Cow<'a, str>,
    id: Cow<'a, str>,
    tag: Cow<'a, str>,
    description: &'static str,
    /// The message of the answer; empty for text.
    message: Cow<'static, str>,
    media: &'static [&'static str],
}

const JSON: &[&str] = &["application/json"];
const KEYS: &[&str] = &["application/jwk-set+json"];

/// Document, operation id, tag, description, message, media types.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const FIXED: [Row; 5] = [
    (
        ".well-known/openid-configuration",
        "getServiceAccountIssuerOpenIDConfiguration",
        "WellKnown",
        "get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
        "",
        JSON,
    ),
    ("api", "getCoreAPIVersions", "core", "get available API versions", "APIVersions", JSON),
    ("apis", "getAPIVersions", "apis", "get available API versions", "APIGroupList", JSON),
    (
        "openid/v1/jwks",
        "getServiceAccountIssuerOpenIDKeyset",
        "openid",
        "get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
        "",
        KEYS,
    ),
    (
        "version",
        "getCodeVersion",
        "version",
        "get the version information for this server",
        "k8s.io.apimachinery.pkg.version.Info",
        JSON,
    ),
];

/// The fixed ones, then one for each group that has a built-in kind.
pub(super) fn all<'a>(defs: &[&'a ResourceDef]) -> Vec<Plain<'a>> {
    let fixed = FIXED.into_iter().map(|(document, id, tag, description, message, media)| Plain {
        document: document.into(),
        id: id.into(),
        tag: tag.into(),
        description,
        message: match message {
            "" => "".into(),
            name if name.contains('.') => name.into(),
            name => format!("{META}.{name}").into(),
        },
        media,
    });
    let builtin = defs.iter().filter(|def| !def.group.is_empty() && !def.message.is_empty());
    let groups: BTreeSet<&str> = builtin.map(|def| def.group).collect();
    let groups = groups.into_iter().map(|group| Plain {
        document: format!("apis/{group}").into(),
        id: format!("get{}APIGroup", Tags::group(group)).into(),
        tag: Tags::lower(&Tags::group(group)).into(),
        description: "get information of a group",
        message: format!("{META}.APIGroup").into(),
        media: JSON,
    });
    fixed.chain(groups).collect()
}

impl Plain<'_> {
    pub(super) fn path(&self) -> String {
        format!("/{}/", self.document)
    }

    pub(super) fn item(&self, dialect: Dialect, schemas: &mut Schemas<'_>) -> Value {
        let schema = match &*self.message {
            "" => json!({"type": "string"}),
            message => schemas.named(message),
        };
        let mut operation = json!({"description": self.description, "operationId": self.id, "tags": [self.tag]});
        let ok = match dialect {
            Dialect::V2 => {
                operation["produces"] = json!(self.media);
                operation["schemes"] = json!(["https"]);
                json!({"description": "OK", "schema": schema})
            }
            Dialect::V3 => {
                let content: serde_json::Map<String, Value> =
                    self.media.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect();
                json!({"description": "OK", "content": content})
            }
        };
        operation["responses"] = json!({"200": ok, "401": {"description": "Unauthorized"}});
        json!({"get": operation})
    }
}

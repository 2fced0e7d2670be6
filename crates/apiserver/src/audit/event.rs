//! An Event of `audit.k8s.io/v1`, and its two forms: JSON, and the one line that came before it.

use super::objects::Object;
use super::policy::{Level, Stage};
use api::Status;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, StatusDetails};
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Marks an event that lost its objects to a limit.
const TRUNCATED: &str = "audit.k8s.io/truncated";

/// One event, without `kind` and `apiVersion`: items of a list have none.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    #[serde(serialize_with = "level")]
    pub(super) level: Level,
    #[serde(rename = "auditID")]
    pub(super) audit_id: String,
    #[serde(serialize_with = "stage")]
    pub(super) stage: Stage,
    #[serde(rename = "requestURI")]
    pub(super) request_uri: String,
    pub(super) verb: String,
    pub(super) user: UserInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) impersonated_user: Option<UserInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authentication_metadata: Option<AuthenticationMetadata>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    pub(super) source_ips: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) object_ref: Option<ObjectReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_status: Option<ResponseStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) request_object: Option<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) response_object: Option<Object>,
    pub(super) request_received_timestamp: MicroTime,
    pub(super) stage_timestamp: MicroTime,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AuthenticationMetadata {
    pub(super) impersonation_constraint: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectReference {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) subresource: String,
}

/// A Status inside an event: without `kind` and `apiVersion`; of a success, the code alone.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct ResponseStatus {
    pub(super) metadata: Empty,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) details: Option<StatusDetails>,
    pub(super) code: u16,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Empty {}

impl ResponseStatus {
    pub(super) fn of(code: u16) -> ResponseStatus {
        ResponseStatus { code, ..ResponseStatus::default() }
    }

    pub(super) fn failure(status: &Status) -> ResponseStatus {
        ResponseStatus {
            status: Some("Failure"),
            message: status.message.clone(),
            reason: status.reason_text.as_deref().unwrap_or(status.reason.name()).to_owned(),
            details: status.details.as_deref().cloned(),
            ..ResponseStatus::of(status.code)
        }
    }

    /// The client was gone before there was an answer; upstream's words, and its code.
    pub(super) fn closed_early() -> ResponseStatus {
        let message = "Connection closed early".to_owned();
        ResponseStatus { status: Some("Success"), message, ..ResponseStatus::of(200) }
    }

    pub(super) fn panicked() -> ResponseStatus {
        let (message, reason) = ("APIServer panic'd".to_owned(), "InternalError".to_owned());
        ResponseStatus { status: Some("Failure"), message, reason, ..ResponseStatus::of(500) }
    }
}

fn level<S: Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(level.name())
}

fn stage<S: Serializer>(stage: &Stage, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(stage.name())
}

/// What an event that stands by itself begins with, in place of its first brace.
const HEAD: &[u8] = b"{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\",";

impl Event {
    /// As an item of a list.
    pub(super) fn json(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// By itself, as a line of a log.
    pub(super) fn line(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut line = HEAD.to_vec();
        line.extend_from_slice(self.json()?.strip_prefix(b"{").unwrap_or_default());
        Ok(line)
    }

    pub(super) fn has_objects(&self) -> bool {
        self.request_object.is_some() || self.response_object.is_some()
    }

    /// Without request and response, and marked so.
    pub(super) fn truncated(&self) -> Event {
        let mut event = Event { request_object: None, response_object: None, ..self.clone() };
        event.annotations.insert(TRUNCATED.to_owned(), "true".to_owned());
        event
    }

    /// The line of before there was JSON.
    pub(super) fn legacy(&self) -> String {
        let quoted = |list: &Option<Vec<String>>| {
            let list = list.as_deref().unwrap_or_default();
            list.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(",")
        };
        let name = |user: &UserInfo| user.username.clone().unwrap_or_default();
        let or = |text: String, other: &str| if text.is_empty() { other.to_owned() } else { text };
        let (as_user, as_groups) = match &self.impersonated_user {
            Some(user) => (name(user), or(quoted(&user.groups), "<lookup>")),
            None => ("<self>".to_owned(), "<lookup>".to_owned()),
        };
        let namespace = self.object_ref.as_ref().map(|object| object.namespace.clone()).unwrap_or_default();
        let response = self.response_status.as_ref().map(|status| status.code.to_string()).unwrap_or_default();
        let mut line = format!("{} AUDIT:", self.request_received_timestamp.0);
        for (key, value) in [
            ("id", self.audit_id.clone()),
            ("stage", self.stage.name().to_owned()),
            ("ip", or(self.source_ips.first().cloned().unwrap_or_default(), "<unknown>")),
            ("method", self.verb.clone()),
            ("user", or(name(&self.user), "<none>")),
            ("groups", or(quoted(&self.user.groups), "<none>")),
            ("as", as_user),
            ("asgroups", as_groups),
            ("user-agent", self.user_agent.clone()),
            ("namespace", or(namespace, "<none>")),
            ("uri", self.request_uri.clone()),
            ("response", or(response, "<deferred>")),
        ] {
            // Writing to a String does not fail.
            if write!(line, " {key}={value:?}").is_err() {
                tracing::error!("an audit event did not render");
            }
        }
        line
    }
}

//! The `AdmissionReview` that a webhook is sent, and what it answers.

use api::{Reason, Status};
use base64::Engine;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A version of the review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    /// Differs in what is checked of the answer.
    V1beta1,
}

impl Version {
    /// The first that the server knows of those that a webhook says it does.
    pub(super) fn first_known(names: &[String]) -> Option<Version> {
        names.iter().find_map(|name| match name.as_str() {
            "v1" => Some(Version::V1),
            "v1beta1" => Some(Version::V1beta1),
            _ => None,
        })
    }

    fn api_version(self) -> &'static str {
        match self {
            Version::V1 => "admission.k8s.io/v1",
            Version::V1beta1 => "admission.k8s.io/v1beta1",
        }
    }
}

const KIND: &str = "AdmissionReview";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    kind: &'static str,
    api_version: &'static str,
    request: Request<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    uid: &'a str,
    #[serde(flatten)]
    rest: &'a Map<String, Value>,
    object: &'a Value,
    old_object: &'a Value,
}

/// The body of a call.
pub(super) fn encode(
    version: Version,
    uid: &str,
    rest: &Map<String, Value>,
    object: &Value,
    old_object: &Value,
) -> Result<Vec<u8>, serde_json::Error> {
    let request = Request { uid, rest, object, old_object };
    serde_json::to_vec(&Review { kind: KIND, api_version: version.api_version(), request })
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct AnsweredReview {
    api_version: String,
    kind: String,
    response: Option<Response>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Response {
    uid: String,
    allowed: bool,
    status: Option<meta::Status>,
    patch: Option<String>,
    patch_type: Option<String>,
    audit_annotations: Option<BTreeMap<String, String>>,
    warnings: Option<Vec<String>>,
}

/// What a webhook answered.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    /// Why not.
    pub(super) status: Option<meta::Status>,
    /// As JSON; empty for none.
    pub(super) patch: Vec<u8>,
    pub(super) patch_type: String,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) warnings: Vec<String>,
}

/// What is wrong with an answer, in upstream's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It cannot be read.
    Undecodable(String),
    /// It can, and makes no sense.
    Invalid(String),
}

pub(super) fn decode(body: &[u8], version: Version, uid: &str, may_patch: bool) -> Result<Answer, Bad> {
    let invalid = |why: String| Err(Bad::Invalid(why));
    let review: AnsweredReview = serde_json::from_slice(body)
        .map_err(|error| Bad::Undecodable(format!("couldn't get version/kind; json parse error: {error}")))?;
    let Some(response) = review.response else { return invalid("webhook response was absent".to_owned()) };
    let patch = response.patch.unwrap_or_default();
    let patch = base64::engine::general_purpose::STANDARD
        .decode(&patch)
        .map_err(|error| Bad::Undecodable(format!("response.patch is no base64: {error}")))?;
    if version == Version::V1 {
        if response.uid != uid {
            return invalid(format!("expected response.uid={uid:?}, got {:?}", response.uid));
        }
        let (group, name) = review.api_version.split_once('/').unwrap_or(("", &review.api_version));
        if (review.api_version.as_str(), review.kind.as_str()) != (version.api_version(), KIND) {
            let wanted = version.api_version();
            let found = format!("{group}/{name}, Kind={}", review.kind);
            return invalid(format!("expected webhook response of {wanted}, Kind={KIND}, got {found}"));
        }
        if let Some(why) = patch_error(&patch, response.patch_type.as_deref(), may_patch) {
            return invalid(why);
        }
    }
    let patch = if may_patch { patch } else { Vec::new() };
    let patch_type = match version {
        Version::V1 => response.patch_type.unwrap_or_default(),
        Version::V1beta1 => JSON_PATCH.to_owned(),
    };
    Ok(Answer {
        allowed: response.allowed,
        status: response.status,
        patch,
        patch_type,
        annotations: response.audit_annotations.unwrap_or_default(),
        warnings: response.warnings.unwrap_or_default(),
    })
}

/// The one type of patch that there is.
pub(super) const JSON_PATCH: &str = "JSONPatch";

fn patch_error(patch: &[u8], patch_type: Option<&str>, may_patch: bool) -> Option<String> {
    let why = match (may_patch, patch.is_empty(), patch_type) {
        (true, false, None) => "webhook returned response.patch but not response.patchType",
        (true, true, Some(_)) => "webhook returned response.patchType but not response.patch",
        (true, _, Some("")) => "webhook returned invalid response.patchType of \"\"",
        (false, false, _) => "validating webhook may not return response.patch",
        (false, true, Some(_)) => "validating webhook may not return response.patchType",
        _ => return None,
    };
    Some(why.to_owned())
}

/// A refusal as the client gets it: the webhook's own status, with who said so before its words.
pub(super) fn refusal(webhook: &str, own: Option<meta::Status>) -> Status {
    let own = own.unwrap_or_default();
    let reason = own.reason.unwrap_or_default();
    let denied = format!("admission webhook {webhook:?} denied the request");
    let message = match (own.message.as_deref().unwrap_or_default(), reason.as_str()) {
        ("", "") => format!("{denied} without explanation"),
        ("", why) | (why, _) => format!("{denied}: {why}"),
    };
    let code = own.code.and_then(|code| u16::try_from(code).ok()).filter(|code| (400..1000).contains(code));
    let known = Reason::parse(&reason);
    let reason_text = (known == Reason::Unknown && !reason.is_empty()).then(|| reason.into_boxed_str());
    Status { code: code.unwrap_or(400), reason_text, details: own.details.map(Box::new), ..Status::new(known, message) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(response: Value, may_patch: bool) -> Result<Answer, Bad> {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
        decode(review.to_string().as_bytes(), Version::V1, "u", may_patch)
    }

    fn invalid(response: Value, may_patch: bool) -> String {
        match check(response, may_patch).unwrap_err() {
            Bad::Invalid(why) => why,
            Bad::Undecodable(why) => panic!("{why}"),
        }
    }

    #[test]
    fn answers_that_make_no_sense_are_refused_in_upstreams_words() {
        assert_eq!(invalid(Value::Null, true), "webhook response was absent");
        assert_eq!(invalid(json!({"uid": "v"}), true), "expected response.uid=\"u\", got \"v\"");
        let patch = json!({"uid": "u", "patch": "W10="});
        assert_eq!(invalid(patch.clone(), true), "webhook returned response.patch but not response.patchType");
        assert_eq!(invalid(patch, false), "validating webhook may not return response.patch");
        let only_type = json!({"uid": "u", "patchType": "JSONPatch"});
        assert_eq!(invalid(only_type.clone(), true), "webhook returned response.patchType but not response.patch");
        assert_eq!(invalid(only_type, false), "validating webhook may not return response.patchType");
        let body = json!({"apiVersion": "v1", "kind": "Pod", "response": {"uid": "u"}}).to_string();
        assert_eq!(
            decode(body.as_bytes(), Version::V1, "u", true).unwrap_err(),
            Bad::Invalid(
                "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /v1, Kind=Pod".to_owned()
            )
        );
        assert!(matches!(decode(b"<html>", Version::V1, "u", true), Err(Bad::Undecodable(_))));
        let base64 = json!({"uid": "u", "patch": "!", "patchType": "JSONPatch"});
        assert!(matches!(check(base64, true), Err(Bad::Undecodable(_))));
    }

    #[test]
    fn the_older_version_is_taken_as_it_comes() {
        let body = json!({"response": {"allowed": true, "patch": "W10="}}).to_string();
        let answer = decode(body.as_bytes(), Version::V1beta1, "u", true).unwrap();
        assert!(answer.allowed);
        assert_eq!((answer.patch.as_slice(), answer.patch_type.as_str()), (&b"[]"[..], JSON_PATCH));
        assert_eq!(Version::first_known(&["v2".to_owned(), "v1beta1".to_owned()]), Some(Version::V1beta1));
    }

    #[test]
    fn a_refusal_is_the_webhooks_own_status() {
        let status = |own: Value| refusal("w.a.b", Some(serde_json::from_value(own).unwrap()));
        let own = status(json!({"code": 418, "reason": "Teapot", "message": "no tea",
            "details": {"causes": [{"field": "spec"}]}}));
        assert_eq!(own.code, 418);
        assert_eq!(own.message, "admission webhook \"w.a.b\" denied the request: no tea");
        assert_eq!(own.object().reason.as_deref(), Some("Teapot"));
        assert_eq!(own.details.unwrap().causes.unwrap()[0].field.as_deref(), Some("spec"));
        let by_reason = status(json!({"code": 200, "reason": "Forbidden"}));
        assert_eq!((by_reason.code, by_reason.reason), (400, Reason::Forbidden));
        assert_eq!(by_reason.message, "admission webhook \"w.a.b\" denied the request: Forbidden");
        let mute = refusal("w.a.b", None);
        assert_eq!(mute.message, "admission webhook \"w.a.b\" denied the request without explanation");
        assert_eq!(mute.object().reason, None);
    }
}

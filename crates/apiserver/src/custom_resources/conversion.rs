//! The webhook that converts a custom kind's objects between its versions.
//!
//! Invariants: what it answers is taken only for the same objects in the version that was asked for, in their order; it
//! changes of their metadata no more than labels and annotations. Bounds: `TIME_MAX` and `ANSWER_BYTES_MAX` per question;
//! the registry bounds what is asked at once.

use crate::callout::{Callout, Destination, Target};
use api::custom::{Definition, Unfit};
use api::{Reason, Status};
use async_trait::async_trait;
use bytes::Bytes;
use exposition::Family;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, WebhookClientConfig, WebhookConversion,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use registry::Converter;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As upstream's client waits.
const TIME_MAX: Duration = Duration::from_secs(30);
/// A question's objects are about a megabyte, or one object of three; converted they may be larger.
const ANSWER_BYTES_MAX: usize = 16 << 20;
const KIND: &str = "ConversionReview";

const TIMES: &[f64] = &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0];
const TIMES_BY_KIND: &[f64] =
    &[0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384];

static REQUESTS: Family = Family::counter("apiserver_conversion_webhook_request_total", "Questions to webhooks.");
static REQUEST_TIMES: Family =
    Family::histogram("apiserver_conversion_webhook_duration_seconds", "How long webhooks took.", TIMES);
static KIND_TIMES: Family = Family::histogram(
    "apiserver_crd_conversion_webhook_duration_seconds",
    "How long the conversion of a custom kind's objects took.",
    TIMES_BY_KIND,
);
/// What is counted of conversions.
pub(crate) const CONVERSIONS: &[&Family] = &[&REQUEST_TIMES, &REQUESTS, &KIND_TIMES];

/// Why there are no converted objects: whose fault it is, in upstream's names, and what upstream says of it.
struct Failure {
    kind: &'static str,
    status: Status,
}

const CALL: &str = "conversion_webhook_call_failure";
const MALFORMED: &str = "conversion_webhook_malformed_response_failure";
const PARTIAL: &str = "conversion_webhook_partial_response_failure";
const INVALID: &str = "conversion_webhook_invalid_converted_object_failure";

/// A version of the review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReviewVersion {
    V1,
    /// Differs in what is checked of the answer.
    V1beta1,
}

impl ReviewVersion {
    /// The first that the server knows of those that a webhook says it does.
    fn first_known(names: &[String]) -> Option<ReviewVersion> {
        names.iter().find_map(|name| match name.as_str() {
            "v1" => Some(ReviewVersion::V1),
            "v1beta1" => Some(ReviewVersion::V1beta1),
            _ => None,
        })
    }

    fn api_version(self) -> &'static str {
        match self {
            ReviewVersion::V1 => "apiextensions.k8s.io/v1",
            ReviewVersion::V1beta1 => "apiextensions.k8s.io/v1beta1",
        }
    }
}

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
    #[serde(rename = "desiredAPIVersion")]
    desired_api_version: &'a str,
    objects: Vec<&'a RawValue>,
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
    converted_objects: Option<Vec<Value>>,
    result: meta::Status,
}

/// A kind's webhook.
pub(super) struct ConversionWebhook {
    callout: Callout,
    /// `Err` says why it cannot be called.
    target: Result<Target, String>,
    review: Option<ReviewVersion>,
    /// Of the definition.
    name: String,
    group: String,
    /// By the versions' names.
    definitions: BTreeMap<String, Arc<Definition>>,
}

impl ConversionWebhook {
    /// `None` where the definition names no webhook.
    pub(super) fn of(
        callout: &Callout,
        definition: &CustomResourceDefinition,
        definitions: BTreeMap<String, Arc<Definition>>,
    ) -> Option<ConversionWebhook> {
        let conversion = definition.spec.conversion.as_ref().filter(|own| own.strategy == "Webhook")?;
        let none = WebhookConversion::default();
        let webhook = conversion.webhook.as_ref().unwrap_or(&none);
        Some(ConversionWebhook {
            callout: callout.clone(),
            target: target(webhook.client_config.as_ref()),
            review: ReviewVersion::first_known(&webhook.conversion_review_versions),
            name: definition.metadata.name.clone().unwrap_or_default(),
            group: definition.spec.group.clone(),
            definitions,
        })
    }

    /// The converted objects as the webhook answers them; the error is what upstream says behind `failed: `.
    async fn ask(
        &self,
        review: ReviewVersion,
        objects: &[Bytes],
        wanted: &str,
    ) -> Result<Vec<Value>, (&'static str, String)> {
        let text = |error: &dyn std::fmt::Display| (CALL, error.to_string());
        let uid = uuid::Uuid::new_v4().to_string();
        let raw: Result<Vec<&RawValue>, _> = objects.iter().map(|object| serde_json::from_slice(object)).collect();
        let raw = raw.map_err(|error| text(&error))?;
        let request = Request { uid: &uid, desired_api_version: wanted, objects: raw };
        let body = Review { kind: KIND, api_version: review.api_version(), request };
        let body = serde_json::to_vec(&body).map_err(|error| text(&error))?;
        let target = self.target.as_ref().map_err(|why| text(why))?;
        let answer = self.callout.post_json(target, body.into(), TIME_MAX, ANSWER_BYTES_MAX).await;
        converted(&answer.map_err(|error| text(&error))?, review, &uid).map_err(|why| (MALFORMED, why))
    }

    async fn converted(&self, objects: &[Bytes], version: &str) -> Result<Vec<Bytes>, Failure> {
        let refused = |kind, why: String| Failure { kind, status: Status::new(Reason::Unknown, why) };
        let failed = |kind, why: &str| {
            tracing::warn!(group = self.group, version, why, "objects are not converted");
            refused(kind, format!("conversion webhook for {} {why}", described(objects)))
        };
        let definition = self.definitions.get(version);
        let definition = definition.ok_or_else(|| Failure {
            kind: CALL,
            status: Status::internal(format!("there is no version {version}")),
        })?;
        let Some(review) = self.review else { return Err(refused(CALL, NO_VERSION.to_owned())) };
        let wanted = format!("{}/{version}", self.group);
        let answered = self.ask(review, objects, &wanted).await;
        let answered = answered.map_err(|(kind, why)| failed(kind, &format!("failed: {why}")))?;
        if answered.len() != objects.len() {
            let why = format!("returned {} objects, expected {}", answered.len(), objects.len());
            return Err(failed(PARTIAL, &why));
        }
        let pairs = objects.iter().zip(answered).enumerate();
        let accepted = pairs.map(|(place, (original, answer))| {
            let accepted = definition.accept(original, answer);
            accepted.map(Bytes::from).map_err(|why| failed(INVALID, &unfit(why, place, objects.len() > 1)))
        });
        accepted.collect()
    }
}

fn target(config: Option<&WebhookClientConfig>) -> Result<Target, String> {
    let config = config.ok_or("the definition names no webhook")?;
    let ca_bundle = config.ca_bundle.as_ref().map(|bundle| bundle.0.clone()).unwrap_or_default();
    match (&config.url, &config.service) {
        (Some(url), _) => Target::of_url(url, ca_bundle).map_err(|error| error.to_string()),
        (None, Some(service)) => {
            let path = service.path.as_deref();
            let destination = Destination::service(&service.namespace, &service.name, service.port, path);
            Ok(Target::new(destination, ca_bundle))
        }
        (None, None) => Err("webhook configuration must have either service or URL".to_owned()),
    }
}

fn converted(answer: &[u8], review: ReviewVersion, uid: &str) -> Result<Vec<Value>, String> {
    let answered: AnsweredReview = serde_json::from_slice(answer)
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))?;
    let wanted = review.api_version();
    if review == ReviewVersion::V1 && (answered.api_version.as_str(), answered.kind.as_str()) != (wanted, KIND) {
        let (group, version) = answered.api_version.split_once('/').unwrap_or(("", &answered.api_version));
        let found = format!("{group}/{version}, Kind={}", answered.kind);
        return Err(format!("expected webhook response of {wanted}, Kind={KIND}, got {found}"));
    }
    let response = answered.response.ok_or("no response provided")?;
    if review == ReviewVersion::V1 && response.uid != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", response.uid));
    }
    let status = response.result.status.unwrap_or_default();
    if status == "Success" {
        return Ok(response.converted_objects.unwrap_or_default());
    }
    match response.result.message.filter(|message| !message.is_empty()) {
        Some(message) => Err(message),
        None => Err(format!("response.result.status was '{status}', not 'Success'")),
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TypeMeta {
    api_version: String,
    kind: String,
}

/// Of the first object: they have one.
fn version_of(objects: &[Bytes]) -> String {
    let first = objects.first().and_then(|object| serde_json::from_slice::<TypeMeta>(object).ok()).unwrap_or_default();
    first.api_version.rsplit_once('/').map_or(first.api_version.clone(), |(_, version)| version.to_owned())
}

/// As upstream names the objects in what it says of their conversion.
fn described(objects: &[Bytes]) -> String {
    let first = objects.first().and_then(|object| serde_json::from_slice::<TypeMeta>(object).ok()).unwrap_or_default();
    let list = if objects.len() > 1 { "List" } else { "" };
    format!("{}, Kind={}{list}", first.api_version, first.kind)
}

/// What upstream says of an object at its place among those that were converted.
fn unfit(why: Unfit, place: usize, of_many: bool) -> String {
    match (why, of_many) {
        (Unfit::Object(why), false) => format!("returned invalid object: {why}"),
        (Unfit::Metadata(why), false) => format!("returned invalid metadata: {why}"),
        (Unfit::Object(why), true) => format!("returned invalid converted object at index {place}: {why}"),
        (Unfit::Metadata(why), true) => format!("returned invalid metadata in object at index {place}: {why}"),
    }
}

#[async_trait]
impl Converter for ConversionWebhook {
    async fn convert(&self, objects: &[Bytes], version: &str) -> Result<Vec<Bytes>, Status> {
        let begun = Instant::now();
        let converted = self.converted(objects, version).await;
        let took = begun.elapsed();
        let series = self.callout.series();
        let failure = converted.as_ref().err().map_or("", |failure| failure.kind);
        let result = if failure.is_empty() { "success" } else { "failure" };
        let labels = [("failure_type", failure), ("result", result)];
        series.count(&REQUESTS, &labels);
        series.took(&REQUEST_TIMES, &labels, took);
        let from = version_of(objects);
        let succeeded = if failure.is_empty() { "true" } else { "false" };
        let labels = [
            ("crd_name", self.name.as_str()),
            ("from_version", &from),
            ("succeeded", succeeded),
            ("to_version", version),
        ];
        series.took(&KIND_TIMES, &labels, took);
        converted.map_err(|failure| failure.status)
    }
}

const NO_VERSION: &str = "no supported conversion review versions";

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(review: ReviewVersion, answer: &Value) -> Result<usize, String> {
        converted(answer.to_string().as_bytes(), review, "u").map(|objects| objects.len())
    }

    #[test]
    fn answers_are_judged_in_upstreams_words() {
        let answer = |version: &str, response: Value| {
            let api_version = format!("apiextensions.k8s.io/{version}");
            json!({"apiVersion": api_version, "kind": "ConversionReview", "response": response})
        };
        let good = json!({"uid": "u", "convertedObjects": [{}, {}], "result": {"status": "Success"}});
        assert_eq!(check(ReviewVersion::V1, &answer("v1", good.clone())), Ok(2));
        for (response, wanted) in [
            (Value::Null, "no response provided"),
            (json!({"uid": "x", "result": {"status": "Success"}}), "expected response.uid=\"u\", got \"x\""),
            (json!({"uid": "u", "result": {"status": "Failure", "message": "no"}}), "no"),
            (json!({"uid": "u", "result": {}}), "response.result.status was '', not 'Success'"),
        ] {
            assert_eq!(check(ReviewVersion::V1, &answer("v1", response)), Err(wanted.to_owned()));
        }
        let wanted = "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got \
                      apiextensions.k8s.io/v1beta1, Kind=ConversionReview";
        assert_eq!(check(ReviewVersion::V1, &answer("v1beta1", good)), Err(wanted.to_owned()));
        let unnamed = json!({"response": {"convertedObjects": [{}], "result": {"status": "Success"}}});
        assert_eq!(check(ReviewVersion::V1beta1, &unnamed), Ok(1));
    }

    #[test]
    fn the_first_known_version_is_spoken() {
        let known = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            ReviewVersion::first_known(&names)
        };
        assert_eq!(known(&["v7", "v1beta1", "v1"]), Some(ReviewVersion::V1beta1));
        assert_eq!(known(&["v7"]), None);
    }
}

//! What one request leaves in the audit log: an event for each stage that it reaches.
//!
//! Invariant: a request that was received is told the end of, however it ends: answered, given up by its client, or by
//! a panic (where those unwind).

use super::event::{AuthenticationMetadata, Event, ObjectReference, ResponseStatus};
use super::policy::{Judgement, Level, Stage};
use super::{Audit, Origin, objects};
use crate::authn::{Assumed, user_info};
use crate::authz::{Attributes, Verdict};
use crate::call::Call;
use crate::http::{Answer, AnswerBody};
use api::Status;
use api::user::User;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{self as meta, MicroTime};
use k8s_openapi::jiff::Timestamp;
use registry::Notes;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

const ID: HeaderName = HeaderName::from_static("audit-id");
const DECISION: &str = "authorization.k8s.io/decision";
const REASON: &str = "authorization.k8s.io/reason";
/// Whose body goes into events that have bodies.
const WITH_BODY: &[&str] = &["create", "update", "patch", "delete", "deletecollection"];

/// Empty without a policy, and then everything here is nothing.
#[derive(Default)]
pub(crate) struct Trail(Option<Box<Begun>>);

struct Begun {
    audit: Arc<Audit>,
    received: Timestamp,
    /// The client's own, or made here; given back in the answer.
    id: HeaderValue,
    /// Once the policy has been asked, and if it wants to be told.
    record: Option<Record>,
}

struct Record {
    audit: Arc<Audit>,
    judgement: Judgement,
    event: Event,
    /// The protobuf message of the request's kind.
    message: String,
    /// The last event was made, or is not to be.
    ended: bool,
}

impl Trail {
    /// `headers` are the request's, if it has any.
    pub(crate) fn begin(audit: Option<&Arc<Audit>>, headers: Option<&HeaderMap>) -> Trail {
        let Some(audit) = audit else { return Trail(None) };
        let own =
            headers.and_then(|headers| headers.get(ID)).filter(|id| id.to_str().is_ok_and(|text| !text.is_empty()));
        let made = || HeaderValue::try_from(uuid::Uuid::new_v4().to_string()).ok();
        let Some(id) = own.cloned().or_else(made) else { return Trail(None) };
        Trail(Some(Box::new(Begun { audit: audit.clone(), received: Timestamp::now(), id, record: None })))
    }

    /// Who asks, or that it is not known: the policy is asked, and the request is told of.
    ///
    /// # Errors
    /// Who was not authenticated, or could not be told of where that is a condition.
    pub(crate) async fn authenticated(
        &mut self,
        user: Result<User, Status>,
        asked: &Attributes<'_>,
        origin: &Origin<'_>,
    ) -> Result<User, Status> {
        let Some(begun) = &mut self.0 else { return user };
        let judgement = begun.audit.policy.judge(user.as_ref().ok(), asked);
        begun.audit.count_level(judgement.level);
        if judgement.level == Level::None {
            return user;
        }
        let event = begun.event(judgement.level, user.as_ref().ok(), asked, origin);
        let audit = begun.audit.clone();
        let record = Record { audit, judgement, event, message: String::new(), ended: false };
        let record = begun.record.insert(record);
        match &user {
            // Boxed: without a policy nobody is to carry the future's size.
            Ok(_) if Box::pin(record.reach(Stage::RequestReceived)).await => {}
            Ok(_) => {
                begun.audit.rejected.fetch_add(1, Ordering::Relaxed);
                record.ended = true;
                return Err(Status::internal("failed to store audit event"));
            }
            Err(status) => {
                // As upstream: one event, whose message says what was tried.
                let message = origin.attempts();
                record.event.response_status = Some(ResponseStatus { message, ..ResponseStatus::of(status.code) });
                Box::pin(record.reach(Stage::ResponseStarted)).await;
                record.ended = true;
            }
        }
        user
    }

    fn record(&mut self) -> Option<&mut Record> {
        self.0.as_mut()?.record.as_mut()
    }

    /// Whom the request acts as.
    pub(crate) fn assumed(&mut self, assumed: Option<&Assumed>) {
        let (Some(record), Some(assumed)) = (self.record(), assumed) else { return };
        record.event.impersonated_user = Some(user_info(&assumed.user));
        let constraint = Some(assumed.constraint).filter(|constraint| !constraint.is_empty());
        record.event.authentication_metadata =
            constraint.map(|impersonation_constraint| AuthenticationMetadata { impersonation_constraint });
    }

    pub(crate) fn judged(&mut self, verdict: &Verdict) {
        let Some(record) = self.record() else { return };
        let (decision, reason) = match verdict {
            Verdict::Allow(why) => ("allow", why.as_deref().unwrap_or_default().to_owned()),
            Verdict::Refuse(refusal) if refusal.error().is_some() => ("", "internal error".to_owned()),
            Verdict::Refuse(refusal) => ("forbid", refusal.reasons.join("\n")),
        };
        if !decision.is_empty() {
            record.event.annotations.insert(DECISION.to_owned(), decision.to_owned());
        }
        record.event.annotations.insert(REASON.to_owned(), reason);
    }

    /// The request's body is here.
    pub(crate) fn requested(&mut self, call: &Call<'_>) {
        let Some(record) = self.record() else { return };
        record.message = call.def().message.to_string();
        if !WITH_BODY.contains(&call.info.verb) {
            return;
        }
        let Some(json) = objects::json(call.content_type, objects::request_message(call), &call.body) else { return };
        if matches!(call.info.verb, "create" | "update")
            && let Some(reference) = &mut record.event.object_ref
        {
            objects::complete(reference, &json);
        }
        if record.event.level >= Level::Request {
            let omit = record.judgement.omit_managed_fields && call.info.verb != "patch";
            record.event.request_object = objects::line(&json, omit);
        }
    }

    /// The answer is made; `streams` tells whether its body goes on for long. `refusal` is what the answer was made of.
    pub(crate) async fn answered(
        self,
        mut answer: Answer,
        refusal: Option<&Status>,
        notes: &Notes,
        streams: bool,
    ) -> Answer {
        let Some(begun) = self.0 else { return answer };
        answer.headers.entry(ID).or_insert(begun.id);
        let Some(record) = begun.record.filter(|record| !record.ended) else { return answer };
        Box::pin(record.answered(answer, refusal, notes, streams)).await
    }

    /// A component's call was refused.
    pub(crate) async fn refused(self, status: &Status, notes: &Notes) {
        if self.0.is_some() {
            self.answered(Answer::error(status), Some(status), notes, false).await;
        }
    }

    /// A component's watch has begun; its end is told of when what is given back goes.
    pub(crate) async fn streams(self, notes: &Notes) -> Option<Streaming> {
        let mut record = self.0?.record.filter(|record| !record.ended)?;
        record.event.annotations.extend(said(record.event.level, notes));
        record.event.response_status = Some(ResponseStatus::of(StatusCode::OK.as_u16()));
        Box::pin(record.reach(Stage::ResponseStarted)).await;
        Some(Streaming { _record: record })
    }
}

/// A watch that goes on.
pub(crate) struct Streaming {
    _record: Record,
}

impl Begun {
    fn event(&self, level: Level, user: Option<&User>, asked: &Attributes<'_>, origin: &Origin<'_>) -> Event {
        Event {
            level,
            audit_id: self.id.to_str().unwrap_or_default().to_owned(),
            stage: Stage::RequestReceived,
            request_uri: origin.uri(),
            verb: asked.verb.to_owned(),
            user: user.map(user_info).unwrap_or_default(),
            impersonated_user: None,
            authentication_metadata: None,
            source_ips: origin.addresses(),
            user_agent: origin.agent(),
            object_ref: asked.is_resource.then(|| ObjectReference {
                resource: asked.resource.to_owned(),
                namespace: asked.namespace.to_owned(),
                name: asked.effective_name().into_owned(),
                api_group: asked.group.to_owned(),
                api_version: asked.version.to_owned(),
                subresource: asked.subresource.to_owned(),
                ..ObjectReference::default()
            }),
            response_status: None,
            request_object: None,
            response_object: None,
            request_received_timestamp: MicroTime(self.received),
            stage_timestamp: MicroTime(self.received),
            annotations: Default::default(),
        }
    }
}

impl Record {
    /// Makes the stage's event; whether the request may go on.
    async fn reach(&mut self, stage: Stage) -> bool {
        if !self.enter(stage) {
            return true;
        }
        self.audit.put(&self.event).await
    }

    /// Whether the stage has an event.
    fn enter(&mut self, stage: Stage) -> bool {
        if stage != Stage::RequestReceived {
            self.event.stage_timestamp = MicroTime(Timestamp::now());
        }
        self.event.stage = stage;
        !self.judgement.omits(stage)
    }

    async fn answered(mut self, mut answer: Answer, refusal: Option<&Status>, notes: &Notes, streams: bool) -> Answer {
        self.event.annotations.extend(said(self.event.level, notes));
        if !streams && self.event.level == Level::RequestResponse && self.event.object_ref.is_some() {
            answer.body = whole(answer.body);
        }
        self.take_answer(&answer, refusal);
        if !streams {
            self.reach(Stage::ResponseComplete).await;
            self.ended = true;
            return answer;
        }
        self.reach(Stage::ResponseStarted).await;
        match answer.spliced.take() {
            Some(spliced) => {
                tokio::spawn(async move {
                    if let Err(error) = spliced.await {
                        tracing::error!(%error, "the task of a stream failed");
                    }
                    drop(self);
                });
            }
            None => answer.body = AnswerBody::Kept(Box::new(answer.body), Box::new(self)),
        }
        answer
    }

    fn take_answer(&mut self, answer: &Answer, refusal: Option<&Status>) {
        let code = answer.code.as_u16();
        self.event.response_status = Some(refusal.map_or_else(|| ResponseStatus::of(code), ResponseStatus::failure));
        let AnswerBody::Bytes(body) = &answer.body else { return };
        if refusal.is_none() && self.event.verb.starts_with("delete") {
            self.take_success(answer, body);
        }
        if self.event.level == Level::RequestResponse && self.event.object_ref.is_some() {
            self.event.response_object = self.object(answer.content_type, body);
        }
    }

    /// A delete may answer a Status, which is told of as such.
    fn take_success(&mut self, answer: &Answer, body: &Bytes) {
        let json = objects::json(answer.content_type, &self.message, body);
        let status = json.and_then(|json| serde_json::from_slice::<meta::Status>(&json).ok());
        if let Some(status) = status.filter(|status| status.status.as_deref() == Some("Success")) {
            let details = status.details;
            let own = ResponseStatus { status: Some("Success"), details, ..ResponseStatus::of(answer.code.as_u16()) };
            self.event.response_status = Some(own);
        }
    }

    fn object(&self, content_type: &str, body: &Bytes) -> Option<objects::Object> {
        let json = objects::json(content_type, &self.message, body)?;
        objects::line(&json, self.judgement.omit_managed_fields)
    }
}

/// What is made here piece by piece, in one; another server's body flows on, and is for its own audit log.
fn whole(body: AnswerBody) -> AnswerBody {
    match body {
        AnswerBody::Chunks(mut chunks) => {
            let mut all = bytes::BytesMut::new();
            while let Some(chunk) = chunks.next_chunk() {
                all.extend_from_slice(&chunk);
            }
            AnswerBody::Bytes(all.freeze())
        }
        other => other,
    }
}

/// The end of a stream, of a request that its client gave up, or of one whose handler panicked.
impl Drop for Record {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let stage = if std::thread::panicking() { Stage::Panic } else { Stage::ResponseComplete };
        if stage == Stage::Panic {
            self.event.response_status = Some(ResponseStatus::panicked());
        }
        self.event.response_status.get_or_insert_with(ResponseStatus::closed_early);
        if self.enter(stage) {
            self.audit.put_detached(&self.event);
        }
    }
}

/// What admission said, with parts of objects where the level shows objects.
fn said(level: Level, notes: &Notes) -> BTreeMap<String, String> {
    let mut said = notes.annotations();
    if level >= Level::Request {
        said.extend(notes.details());
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_objects_are_told_where_objects_are() {
        let notes = Notes::default();
        notes.annotate("who", "ann");
        notes.annotate_detail("patch", "secret");
        let names = |level| said(level, &notes).into_keys().collect::<Vec<_>>();
        assert_eq!(names(Level::Metadata), ["who"]);
        assert_eq!(names(Level::Request), ["patch", "who"]);
        assert_eq!(names(Level::RequestResponse), ["patch", "who"]);
    }
}

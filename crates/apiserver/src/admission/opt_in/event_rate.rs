//! EventRateLimit: so many events of one kind of source in a time, and no more.
//!
//! Bound: per limit as many buckets as its cache is large; at the bound those go that are full again, which nobody can
//! tell from new ones, and then the one that was used longest ago.

use super::{Plugin, Sources, decoded};
use crate::configuration_file::ConfigurationError;
use api::field::{FieldError, FieldPath};
use api::{Object, Status};
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Event;
use parking_lot::Mutex;
use registry::{Attempt, Operation};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use tokio::time::Instant;

const CACHE_SIZE: usize = 4096;
const TYPES: [&str; 4] = ["Namespace", "Server", "SourceAndObject", "User"];

/// As the file gives it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(in crate::admission) struct Limit {
    r#type: String,
    qps: i32,
    burst: i32,
    cache_size: i32,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Configuration {
    limits: Vec<Limit>,
}

fn errors(limits: &[Limit]) -> Vec<FieldError> {
    let path = FieldPath::new("limits");
    let mut errors = Vec::new();
    if limits.is_empty() {
        errors.push(FieldError::invalid(path.clone(), &Value::Null, "must not be empty"));
    }
    for (place, limit) in limits.iter().enumerate() {
        let path = path.index(place);
        if !TYPES.contains(&&*limit.r#type) {
            errors.push(FieldError::not_supported(path.child("type"), &limit.r#type, &TYPES));
        }
        for (name, value) in [("burst", limit.burst), ("qps", limit.qps)] {
            if value <= 0 {
                errors.push(FieldError::invalid(path.child(name), &value, "must be positive"));
            }
        }
        if limit.r#type != "Server" && limit.cache_size < 0 {
            errors.push(FieldError::invalid(path.child("cacheSize"), &limit.cache_size, "must not be negative"));
        }
    }
    errors
}

/// # Errors
/// What does not read as the configuration, or makes no limits.
pub(in crate::admission) fn read(path: &Path, content: Option<Value>) -> Result<Vec<Limit>, ConfigurationError> {
    let own: Configuration = decoded(path, content, "Configuration", &["eventratelimit.admission.k8s.io/v1alpha1"])?;
    match errors(&own.limits) {
        errors if errors.is_empty() => Ok(own.limits),
        errors => Err(ConfigurationError::Invalid { path: path.to_owned(), errors }),
    }
}

pub(in crate::admission) fn make(sources: &Sources<'_>) -> Box<dyn Plugin> {
    let limits = sources.settings.plugins.event_limits.iter();
    Box::new(EventRate { enforcers: limits.map(Enforcer::new).collect() })
}

/// Tokens that are used up by events and come back with time.
struct Bucket {
    tokens: f64,
    used: Instant,
}

struct Enforcer {
    limit: Limit,
    buckets_max: usize,
    buckets: Mutex<HashMap<String, Bucket>>,
}

impl Enforcer {
    fn new(limit: &Limit) -> Enforcer {
        let size = usize::try_from(limit.cache_size).ok().filter(|size| *size > 0);
        Enforcer { limit: limit.clone(), buckets_max: size.unwrap_or(CACHE_SIZE), buckets: Mutex::default() }
    }

    fn tokens(&self, bucket: &Bucket, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(bucket.used).as_secs_f64() * f64::from(self.limit.qps);
        (bucket.tokens + gained).min(f64::from(self.limit.burst))
    }

    /// Takes a token, if there is one.
    fn accepts(&self, key: &str, now: Instant) -> bool {
        let mut buckets = self.buckets.lock();
        if !buckets.contains_key(key) && buckets.len() >= self.buckets_max {
            self.make_room(&mut buckets, now);
        }
        let full = || Bucket { tokens: f64::from(self.limit.burst), used: now };
        let bucket = buckets.entry(key.to_owned()).or_insert_with(full);
        let tokens = self.tokens(bucket, now);
        let accepts = tokens >= 1.0;
        *bucket = Bucket { tokens: if accepts { tokens - 1.0 } else { tokens }, used: now };
        accepts
    }

    fn make_room(&self, buckets: &mut HashMap<String, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| self.tokens(bucket, now) < f64::from(self.limit.burst));
        if buckets.len() < self.buckets_max {
            return;
        }
        let oldest = buckets.iter().min_by_key(|(_, bucket)| bucket.used).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            buckets.remove(&oldest);
        }
    }

    fn key(&self, attempt: &Attempt<'_>, event: &Event) -> String {
        match &*self.limit.r#type {
            "Namespace" => attempt.namespace.to_owned(),
            "User" => attempt.user.name.clone(),
            "SourceAndObject" => {
                let (source, object) = (event.source.as_ref(), &event.involved_object);
                let parts = [
                    source.and_then(|source| source.component.as_deref()),
                    source.and_then(|source| source.host.as_deref()),
                    object.kind.as_deref(),
                    object.namespace.as_deref(),
                    object.name.as_deref(),
                    object.uid.as_deref(),
                    object.api_version.as_deref(),
                ];
                parts.into_iter().flatten().collect()
            }
            _ => String::new(),
        }
    }
}

struct EventRate {
    enforcers: Vec<Enforcer>,
}

#[async_trait]
impl Plugin for EventRate {
    fn judges(&self, attempt: &Attempt<'_>) -> bool {
        matches!(attempt.operation, Operation::Create | Operation::Update)
            && attempt.def.plural == "events"
            && matches!(attempt.def.group, "" | "events.k8s.io")
    }

    /// Each limit counts the event, whatever the others say; the last to refuse is the one that is told.
    async fn validate(
        &self,
        attempt: &Attempt<'_>,
        object: Option<&dyn Object>,
        _old: Option<&dyn Object>,
    ) -> Result<(), Status> {
        let Some(event) = object.and_then(|object| object.downcast::<Event>()) else { return Ok(()) };
        let now = Instant::now();
        let mut refusal = Ok(());
        for enforcer in &self.enforcers {
            let key = enforcer.key(attempt, event);
            if !enforcer.accepts(&key, now) {
                let sort = &enforcer.limit.r#type;
                let why = format!("Too many requests: limit reached on type {sort} for key {key}");
                refusal = Err(Status::too_many_requests(why, 0));
            }
        }
        refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn enforcer(qps: i32, burst: i32, cache_size: i32) -> Enforcer {
        Enforcer::new(&Limit { r#type: "User".to_owned(), qps, burst, cache_size })
    }

    #[test]
    fn a_burst_is_let_through_and_then_as_much_as_comes_back() {
        let (limit, start) = (enforcer(2, 3, 0), Instant::now());
        let at = |millis: u64| start + Duration::from_millis(millis);
        let accepted: Vec<bool> = [0, 0, 0, 0, 400, 500, 600, 1000].map(|millis| limit.accepts("a", at(millis))).into();
        assert_eq!(accepted, [true, true, true, false, false, true, false, true]);
        assert!(limit.accepts("b", at(1000)), "each has a bucket of its own");
        let idle = at(60_000);
        let after: Vec<bool> = (0..4).map(|_| limit.accepts("a", idle)).collect();
        assert_eq!(after, [true, true, true, false], "never more than the burst");
    }

    #[test]
    fn buckets_are_bounded_and_the_full_ones_go_first() {
        let (limit, start) = (enforcer(1, 2, 2), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        assert!(limit.accepts("full", at(0)));
        assert!(limit.accepts("empty", at(8)) && limit.accepts("empty", at(8)));
        assert!(limit.accepts("new", at(8)));
        assert_eq!(limit.buckets.lock().len(), 2);
        assert!(!limit.accepts("empty", at(8)), "it was kept");
        assert!(limit.accepts("third", at(8)));
        assert_eq!(limit.buckets.lock().len(), 2, "the one used longest ago went");
    }

    #[test]
    fn limits_are_validated() {
        let limit = |sort: &str, qps, burst, cache_size| Limit { r#type: sort.to_owned(), qps, burst, cache_size };
        let says = |limits: &[Limit]| errors(limits).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(says(&[limit("Server", 1, 1, -1), limit("User", 1, 1, 0)]), Vec::<String>::new());
        assert_eq!(says(&[]), ["limits: Invalid value: null: must not be empty"]);
        assert_eq!(
            says(&[limit("Planet", 0, 1, -1)]),
            [
                "limits[0].type: Unsupported value: \"Planet\": supported values: \"Namespace\", \"Server\", \
                 \"SourceAndObject\", \"User\"",
                "limits[0].qps: Invalid value: 0: must be positive",
                "limits[0].cacheSize: Invalid value: -1: must not be negative",
            ]
        );
    }
}

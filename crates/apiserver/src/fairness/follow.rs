//! Keeps the table at what the objects say, their `Dangling` conditions at what is so, and seats where they are asked for.

use super::table::Table;
use crate::bootstrap::priority_and_fairness as defaults;
use api::{Reason, Status};
use arc_swap::ArcSwap;
use client::{Cache, Client};
use k8s_openapi::api::flowcontrol::v1::{FlowSchema, FlowSchemaCondition, PriorityLevelConfiguration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How often seats are lent anew, as upstream.
const PERIOD: Duration = Duration::from_secs(10);
/// What was deleted or changed of the server's own objects is put back at once, but no more often than this: two who
/// disagree about them (servers of two builds, a user's controller) are not to fill the store.
const KEEPING_PAUSE: Duration = Duration::from_secs(1);
const DANGLING: &str = "Dangling";

struct Caches {
    levels: Cache<PriorityLevelConfiguration>,
    schemas: Cache<FlowSchema>,
}

/// Runs until it is dropped.
pub(super) async fn follow(client: Client, table: Arc<ArcSwap<Table>>, total: u32) {
    let caches = Caches { levels: client.cache(), schemas: client.cache() };
    tokio::join!(caches.levels.synced(), caches.schemas.synced());
    let (mut levels, mut schemas) = (caches.levels.changes(), caches.schemas.changes());
    let mut period = tokio::time::interval_at(Instant::now() + PERIOD, PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A new cluster's objects are on their way.
    let mut keep_at = Instant::now() + KEEPING_PAUSE;
    loop {
        // A burst of changes is one table.
        while levels.try_next().is_some() || schemas.try_next().is_some() {}
        let compiled = Table::compile(&table.load(), total, &caches.levels.list(), &caches.schemas.list());
        table.store(Arc::new(compiled));
        tell_dangling(&client, &caches).await;
        let astray = defaults::astray(&caches.levels.list(), &caches.schemas.list());
        loop {
            tokio::select! {
                _ = levels.next() => break,
                _ = schemas.next() => break,
                () = tokio::time::sleep_until(keep_at), if astray => keep_at = Instant::now() + keep(&client).await,
                _ = period.tick() => {
                    table.load().lend();
                    tell_dangling(&client, &caches).await;
                }
            }
        }
    }
}

/// Puts the server's own objects back; after which pause it may be done again.
async fn keep(client: &Client) -> Duration {
    match defaults::keep(client).await {
        Ok(()) => KEEPING_PAUSE,
        Err(status) => {
            tracing::warn!(error = status.message, "the suggested FlowSchemas and levels are not kept; tried again");
            PERIOD
        }
    }
}

/// Whether the schema's level is missing, in upstream's words; `None` where its status says so already.
fn dangling(schema: &FlowSchema, exists: bool, now: Timestamp) -> Option<FlowSchemaCondition> {
    let level = &schema.spec.priority_level_configuration.name;
    let about = format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?}");
    let (status, reason, message) = match exists {
        true => ("False", "Found", format!("{about} and it exists")),
        false => ("True", "NotFound", format!("{about} but there is no such object")),
    };
    let mut conditions = schema.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let before = conditions.find(|condition| condition.type_ == DANGLING);
    let same = before.is_some_and(|before| {
        before.status.as_deref() == Some(status)
            && before.reason.as_deref() == Some(reason)
            && before.message.as_deref() == Some(&message)
    });
    (!same).then(|| FlowSchemaCondition {
        type_: DANGLING.to_owned(),
        status: Some(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(Time(Timestamp::from_second(now.as_second()).unwrap_or(now))),
    })
}

async fn tell_dangling(client: &Client, caches: &Caches) {
    for schema in caches.schemas.list() {
        let exists = caches.levels.get("", &schema.spec.priority_level_configuration.name).is_some();
        let Some(condition) = dangling(&schema, exists, Timestamp::now()) else { continue };
        let mut schema = (*schema).clone();
        let conditions = schema.status.get_or_insert_default().conditions.get_or_insert_default();
        conditions.retain(|own| own.type_ != DANGLING);
        conditions.push(condition);
        if let Err(status) = client.update_status(&schema).await {
            note(&schema, &status);
        }
    }
}

/// What another has changed or deleted meanwhile is looked at again when its event comes.
fn note(schema: &FlowSchema, status: &Status) {
    let (name, error) = (schema.metadata.name.as_deref().unwrap_or_default(), &status.message);
    if matches!(status.reason, Reason::Conflict | Reason::NotFound) {
        tracing::debug!(name, error, "a FlowSchema's condition is not written");
    } else {
        tracing::warn!(name, error, "a FlowSchema's condition is not written; tried again later");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_written_when_it_changes() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let mut schema = defaults::schemas().remove(0);
        let found = dangling(&schema, true, now).unwrap();
        assert_eq!((found.status.as_deref(), found.reason.as_deref()), (Some("False"), Some("Found")));
        schema.status.get_or_insert_default().conditions = Some(vec![found]);
        assert_eq!(dangling(&schema, true, now), None);
        let lost = dangling(&schema, false, now).unwrap();
        assert_eq!(
            lost.message.as_deref(),
            Some(
                "This FlowSchema references the PriorityLevelConfiguration object named \"exempt\" but there is no \
                 such object"
            )
        );
        assert_eq!(lost.status.as_deref(), Some("True"));
    }
}

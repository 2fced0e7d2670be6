//! What a migration's status says, and that of the definition whose objects it writes again, in upstream's words. Pure.

use k8s_openapi::api::storagemigration::v1::StorageVersionMigration;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

const RUNNING: &str = "Running";
const SUCCEEDED: &str = "Succeeded";
const FAILED: &str = "Failed";
/// Of a definition.
const MIGRATING: &str = "StorageMigrating";

/// How a migration ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Failed(String),
}

fn conditions(migration: &StorageVersionMigration) -> &[Condition] {
    migration.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default()
}

fn holds(migration: &StorageVersionMigration, kind: &str) -> bool {
    conditions(migration).iter().any(|condition| condition.type_ == kind && condition.status == "True")
}

pub(super) fn is_over(migration: &StorageVersionMigration) -> bool {
    holds(migration, SUCCEEDED) || holds(migration, FAILED)
}

/// The revision of the resource when the migration began; `None` before that.
pub(super) fn begun_at(migration: &StorageVersionMigration) -> Option<&str> {
    let version = migration.status.as_ref()?.resource_version.as_deref()?;
    Some(version).filter(|version| !version.is_empty() && holds(migration, RUNNING))
}

fn condition(kind: &str, reason: &str, message: &str, now: Timestamp) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: Time(now),
        observed_generation: None,
    }
}

pub(super) fn begin(migration: &mut StorageVersionMigration, revision: String, now: Timestamp) {
    let status = migration.status.get_or_insert_default();
    // It is never changed once it is there.
    if status.resource_version.as_deref().unwrap_or_default().is_empty() {
        status.resource_version = Some(revision);
    }
    let conditions = status.conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != RUNNING);
    conditions.push(condition(RUNNING, "MigrationRunning", "The migration is running", now));
}

pub(super) fn finish(migration: &mut StorageVersionMigration, outcome: &Outcome, now: Timestamp) {
    let conditions = migration.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != RUNNING);
    conditions.push(match outcome {
        Outcome::Succeeded => condition(SUCCEEDED, "StorageVersionMigrationSucceeded", "", now),
        Outcome::Failed(why) => {
            let message = format!("migration encountered unhandled error: {why}");
            condition(FAILED, "StorageVersionMigrationFailed", &message, now)
        }
    });
}

fn set(definition: &mut CustomResourceDefinition, holds: bool, reason: &str, message: String, now: Timestamp) {
    let observed_generation = definition.metadata.generation;
    let conditions = definition.status.get_or_insert_default().conditions.get_or_insert_default();
    conditions.retain(|condition| condition.type_ != MIGRATING);
    conditions.push(CustomResourceDefinitionCondition {
        type_: MIGRATING.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(Time(now)),
        observed_generation,
    });
}

pub(super) fn mark_running(definition: &mut CustomResourceDefinition, migration: &str, now: Timestamp) {
    set(definition, true, "MigrationRunning", format!("Migration {migration} is running"), now);
}

/// Says how it ended; where it ended well and the definition is as it was when it began, objects are stored in one
/// version only.
pub(super) fn mark_over(definition: &mut CustomResourceDefinition, outcome: &Outcome, now: Timestamp) {
    let marks = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mark = marks.into_iter().find(|condition| condition.type_ == MIGRATING);
    let is_as_it_was = mark.is_some_and(|mark| mark.observed_generation == definition.metadata.generation);
    match outcome {
        Outcome::Failed(_) => set(definition, false, "MigrationFailed", "The migration has failed".to_owned(), now),
        Outcome::Succeeded => {
            let rest = match is_as_it_was {
                true => "and the stored versions have been updated",
                false => "but the stored versions have not been updated due to a generation mismatch",
            };
            let message = format!("The migration has succeeded {rest}");
            set(definition, false, "MigrationSucceeded", message, now);
            if is_as_it_was {
                let stored = definition.spec.versions.iter().filter(|version| version.storage);
                let stored = stored.map(|version| version.name.clone()).collect();
                definition.status.get_or_insert_default().stored_versions = Some(stored);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn definition(generation: i64, marked_at: i64) -> CustomResourceDefinition {
        let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage});
        serde_json::from_value(json!({"metadata": {"name": "w.example.com", "generation": generation},
            "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": "w", "kind": "W"},
                "versions": [version("v1", false), version("v2", true)]},
            "status": {"storedVersions": ["v1", "v2"], "conditions": [{"type": "StorageMigrating", "status": "True",
                "observedGeneration": marked_at}]}}))
        .unwrap()
    }

    #[track_caller]
    fn check(generation: i64, outcome: &Outcome, stored: Value, reason: &str) {
        let mut definition = definition(generation, 3);
        mark_over(&mut definition, outcome, Timestamp::UNIX_EPOCH);
        let status = serde_json::to_value(definition.status.unwrap()).unwrap();
        assert_eq!((&status["storedVersions"], status["conditions"][0]["reason"].as_str()), (&stored, Some(reason)));
        assert_eq!(status["conditions"][0]["status"], "False");
    }

    #[test]
    fn stored_versions_are_cut_down_where_nothing_else_happened() {
        check(3, &Outcome::Succeeded, json!(["v2"]), "MigrationSucceeded");
        check(4, &Outcome::Succeeded, json!(["v1", "v2"]), "MigrationSucceeded");
        check(3, &Outcome::Failed("x".to_owned()), json!(["v1", "v2"]), "MigrationFailed");
    }

    #[test]
    fn a_migration_begins_once_and_ends_once() {
        let mut migration = StorageVersionMigration::default();
        assert_eq!(begun_at(&migration), None);
        begin(&mut migration, "7".to_owned(), Timestamp::UNIX_EPOCH);
        begin(&mut migration, "9".to_owned(), Timestamp::UNIX_EPOCH);
        assert_eq!((begun_at(&migration), is_over(&migration)), (Some("7"), false));
        finish(&mut migration, &Outcome::Failed("no".to_owned()), Timestamp::UNIX_EPOCH);
        assert!(is_over(&migration));
        let all = conditions(&migration);
        assert_eq!((all.len(), all[0].message.as_str()), (1, "migration encountered unhandled error: no"));
    }
}

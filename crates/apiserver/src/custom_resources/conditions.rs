//! What a definition's status says of it.

use super::names::Judged;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionCondition as Condition,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

pub(super) const NAMES_ACCEPTED: &str = "NamesAccepted";
pub(super) const ESTABLISHED: &str = "Established";
pub(super) const TERMINATING: &str = "Terminating";

/// One condition's wanted state.
pub(super) struct Wanted {
    pub(super) kind: &'static str,
    pub(super) holds: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

pub(super) fn holds(definition: &CustomResourceDefinition, kind: &str) -> bool {
    let mut conditions = definition.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Sets a condition; its time is that of the last change of whether it holds.
pub(super) fn set(definition: &mut CustomResourceDefinition, wanted: &Wanted, now: Timestamp) {
    let generation = definition.metadata.generation;
    let conditions = definition.status.get_or_insert_default().conditions.get_or_insert_default();
    let status = if wanted.holds { "True" } else { "False" };
    let fresh = Condition {
        type_: wanted.kind.to_owned(),
        status: status.to_owned(),
        reason: Some(wanted.reason.to_owned()),
        message: Some(wanted.message.clone()),
        last_transition_time: Some(Time(now)),
        observed_generation: generation,
    };
    match conditions.iter_mut().find(|condition| condition.type_ == wanted.kind) {
        Some(own) if own.status == status => {
            let last_transition_time = own.last_transition_time.clone();
            let observed_generation = own.observed_generation;
            let same = own.reason == fresh.reason && own.message == fresh.message;
            // A generation alone is no reason to write: it would be written at each change of the definition.
            let observed_generation = if same { observed_generation } else { fresh.observed_generation };
            *own = Condition { last_transition_time, observed_generation, ..fresh };
        }
        Some(own) => *own = fresh,
        None => conditions.push(fresh),
    }
}

/// The conditions that follow from how the names were judged; `failure` is why an accepted kind is not served.
pub(super) fn of(judged: &Judged, was_established: bool, failure: Option<&str>) -> Vec<Wanted> {
    let accepted = match &judged.conflict {
        None => Wanted {
            kind: NAMES_ACCEPTED,
            holds: true,
            reason: "NoConflicts",
            message: "no conflicts found".to_owned(),
        },
        Some((reason, message)) => Wanted { kind: NAMES_ACCEPTED, holds: false, reason, message: message.clone() },
    };
    let established = match (failure, &judged.conflict) {
        (Some(why), _) => Wanted { kind: ESTABLISHED, holds: false, reason: "InstallFailed", message: why.to_owned() },
        (None, Some(_)) if !was_established => Wanted {
            kind: ESTABLISHED,
            holds: false,
            reason: "NotAccepted",
            message: "not all names are accepted".to_owned(),
        },
        _ => Wanted {
            kind: ESTABLISHED,
            holds: true,
            reason: "InitialNamesAccepted",
            message: "the initial names have been accepted".to_owned(),
        },
    };
    vec![accepted, established]
}

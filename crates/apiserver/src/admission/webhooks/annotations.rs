//! What the audit log is told of webhooks, in upstream's names.

use super::configurations::Webhook;
use super::review::JSON_PATCH;
use api::Status;
use registry::Notes;
use serde::Serialize;
use serde_json::Value;

const PATCH: &str = "patch.webhook.admission.k8s.io/";
const MUTATION: &str = "mutation.webhook.admission.k8s.io/";
const FAILED_OPEN_MUTATING: &str = "failed-open.mutation.webhook.admission.k8s.io/";
const FAILED_OPEN_VALIDATING: &str = "failed-open.validating.webhook.admission.k8s.io/";

/// Where a webhook was asked: in which round, and as which of all.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) round: usize,
    pub(super) index: usize,
}

impl Place {
    fn key(self, prefix: &str) -> String {
        format!("{prefix}round_{}_index_{}", self.round, self.index)
    }
}

#[derive(Serialize)]
struct Mutation<'a> {
    configuration: &'a str,
    webhook: &'a str,
    mutated: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Patch<'a> {
    configuration: &'a str,
    webhook: &'a str,
    patch: &'a Value,
    patch_type: &'static str,
}

pub(super) fn mutation(notes: &Notes, place: Place, hook: &Webhook, mutated: bool) -> Result<(), Status> {
    let value = Mutation { configuration: &hook.configuration, webhook: &hook.name, mutated };
    notes.annotate(&place.key(MUTATION), serde_json::to_string(&value).map_err(Status::internal)?);
    Ok(())
}

pub(super) fn patch(notes: &Notes, place: Place, hook: &Webhook, patch: &Value) -> Result<(), Status> {
    let value = Patch { configuration: &hook.configuration, webhook: &hook.name, patch, patch_type: JSON_PATCH };
    notes.annotate_detail(&place.key(PATCH), serde_json::to_string(&value).map_err(Status::internal)?);
    Ok(())
}

pub(super) fn failed_open(notes: &Notes, place: Place, hook: &Webhook, mutating: bool) {
    let prefix = if mutating { FAILED_OPEN_MUTATING } else { FAILED_OPEN_VALIDATING };
    notes.annotate(&place.key(prefix), hook.name.as_str());
}

#[cfg(test)]
mod tests {
    use super::super::configurations::tests::compiled;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_is_a_detail_and_that_there_was_one_is_not() {
        let (notes, hook, place) = (Notes::default(), compiled(json!({})), Place { round: 1, index: 2 });
        mutation(&notes, place, &hook, true).unwrap();
        patch(&notes, place, &hook, &json!([{"op": "remove", "path": "/a"}])).unwrap();
        failed_open(&notes, place, &hook, false);
        let told = |key: &str, value: &str| (format!("{key}/round_1_index_2"), value.to_owned());
        assert_eq!(
            notes.annotations().into_iter().collect::<Vec<_>>(),
            [
                told("failed-open.validating.webhook.admission.k8s.io", "w.a.b"),
                told("mutation.webhook.admission.k8s.io", r#"{"configuration":"c","webhook":"w.a.b","mutated":true}"#),
            ]
        );
        let detail =
            r#"{"configuration":"c","webhook":"w.a.b","patch":[{"op":"remove","path":"/a"}],"patchType":"JSONPatch"}"#;
        let expected = [told("patch.webhook.admission.k8s.io", detail)];
        assert_eq!(notes.details().into_iter().collect::<Vec<_>>(), expected);
    }
}

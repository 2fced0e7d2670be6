//! Kinds that run pods: jobs, their clocks, sets.

use super::*;

#[track_caller]
fn jobs(spec: Value, expected: &[&str]) {
    check("batch", "jobs", json!({"spec": spec}), expected);
}

#[test]
fn indexed_jobs() {
    jobs(
        json!({"backoffLimitPerIndex": 1, "maxFailedIndexes": 1}),
        &[
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
            "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
        ],
    );
    jobs(
        json!({"completionMode": "Indexed", "completions": 3, "maxFailedIndexes": 4}),
        &[
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
            "spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions",
        ],
    );
    jobs(
        json!({"completionMode": "Indexed", "completions": 100_001, "parallelism": 100_001, "backoffLimitPerIndex": 1}),
        &[
            "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is \
             Indexed",
            "spec.parallelism: Invalid value: 100001: must be less than or equal to 10000 when completions are above \
             100000 and used with backoff limit per index",
            "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
        ],
    );
    jobs(
        json!({"managedBy": "me", "podReplacementPolicy": "Never"}),
        &[
            "spec.managedBy: Invalid value: \"me\": must be a domain-prefixed path (such as \"acme.io/foo\")",
            "spec.podReplacementPolicy: Unsupported value: \"Never\": supported values: \"Failed\", \
             \"TerminatingOrFailed\"",
        ],
    );
}

#[test]
fn what_a_job_makes_of_failures() {
    let rule = |rule: Value, expected: &[&str]| jobs(json!({"podFailurePolicy": {"rules": [rule]}}), expected);
    let path = "spec.podFailurePolicy.rules[0]";
    rule(
        json!({"action": "FailJob"}),
        &[&format!("{path}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required")],
    );
    rule(
        json!({"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [3, 0, 3], "containerName": "no"}}),
        &[
            &format!("{path}.action: Invalid value: \"FailIndex\": requires the backoffLimitPerIndex to be set"),
            &format!(
                "{path}.onExitCodes.containerName: Invalid value: \"no\": must be one of the container or initContainer \
                 names in the pod template"
            ),
            &format!("{path}.onExitCodes.values[1]: Invalid value: 0: must not be 0 for the In operator"),
            &format!("{path}.onExitCodes.values[2]: Duplicate value: 3"),
            &format!("{path}.onExitCodes.values: Invalid value: [3,0,3]: must be ordered"),
        ],
    );
    rule(
        json!({"action": "", "onPodConditions": [{"type": "a b", "status": "Maybe"}]}),
        &[
            &format!("{path}.action: Required value: valid values: [\"Count\" \"FailIndex\" \"FailJob\" \"Ignore\"]"),
            &format!(
                "{path}.onPodConditions[0].type: Invalid value: \"a b\": name part must consist of alphanumeric \
                 characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or \
                 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
            ),
            &format!(
                "{path}.onPodConditions[0].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \
                 \"Unknown\""
            ),
        ],
    );
    let policy = json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "A", "status": "True"}]}]});
    jobs(
        json!({"podFailurePolicy": policy, "template": {"spec": {"restartPolicy": "OnFailure"}}}),
        &["spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is supported when \
           podFailurePolicy is specified"],
    );
}

#[test]
fn when_a_job_has_had_success() {
    jobs(
        json!({"successPolicy": {"rules": [{"succeededCount": 1}]}}),
        &["spec.successPolicy: Invalid value: {\"rules\":[{\"succeededCount\":1}]}: requires indexed completion mode"],
    );
    let rules = |rules: Value, expected: &[&str]| {
        jobs(json!({"completionMode": "Indexed", "completions": 5, "successPolicy": {"rules": rules}}), expected);
    };
    rules(json!([{"succeededIndexes": "0-2,4", "succeededCount": 3}]), &[]);
    rules(
        json!([]),
        &["spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is \
           specified"],
    );
    rules(
        json!([{}, {"succeededIndexes": "5-", "succeededCount": 9}]),
        &[
            "spec.successPolicy.rules[0]: Required value: at least one of succeededCount or succeededIndexes must be \
             specified",
            "spec.successPolicy.rules[1].succeededIndexes: Invalid value: \"5-\": error parsing succeededIndexes: too \
             large index: \"5\"",
            "spec.successPolicy.rules[1].succeededCount: Invalid value: 9: must be less than or equal to 5 (the number \
             of specified completions)",
            "spec.successPolicy.rules[1].succeededCount: Invalid value: 9: must be less than or equal to 0 (the number \
             of indexes in the specified succeededIndexes field)",
        ],
    );
}

/// A job as the server made it.
fn made() -> Value {
    json!({"spec": {"selector": {"matchLabels": {"app": "web"}}, "completionMode": "Indexed", "completions": 3,
        "parallelism": 3}})
}

#[track_caller]
fn job_becomes(before: Value, change: Value, expected: &[&str]) {
    let mut all = made();
    merge(&mut all, &before);
    check_update("batch", "jobs", all, change, expected);
}

#[test]
fn what_a_job_keeps() {
    let spec = |spec: Value| json!({"spec": spec});
    job_becomes(json!({}), spec(json!({"completions": 4, "parallelism": 4})), &[]);
    job_becomes(
        json!({}),
        spec(json!({"completions": 4})),
        &["spec.completions: Invalid value: 4: can only be modified in tandem with spec.parallelism"],
    );
    job_becomes(
        json!({}),
        spec(json!({"backoffLimitPerIndex": 2, "managedBy": "a.b/c"})),
        &[
            "spec.backoffLimitPerIndex: Invalid value: 2: field is immutable",
            "spec.managedBy: Invalid value: \"a.b/c\": field is immutable",
        ],
    );
    let elsewhere = spec(json!({"template": {"spec": {"nodeSelector": {"disk": "fast"}}}}));
    job_becomes(spec(json!({"suspend": true})), elsewhere.clone(), &[]);
    let begun = json!({"spec": {"suspend": true}, "status": {"startTime": "2026-01-01T00:00:00Z"}});
    let row = row("batch", "jobs");
    let (mut all, mut changed) = (made(), made());
    merge(&mut all, &begun);
    let old = object(row, &all);
    merge(&mut changed, &begun);
    merge(&mut changed, &elsewhere);
    let new = object(row, &changed);
    let errors = new.validate_update(old.as_ref());
    assert!(errors.len() == 1 && errors[0].path.as_str() == "spec.template", "{errors:?}");
}

#[test]
fn what_is_said_of_a_job() {
    let holds = |kind: &str| json!({"type": kind, "status": "True"});
    let status = |status: Value| json!({"status": status});
    job_becomes(
        json!({}),
        status(json!({"active": -1, "ready": 1, "completedIndexes": "9"})),
        &[
            "status.active: Invalid value: -1: must be greater than or equal to 0",
            "status.ready: Invalid value: 1: cannot set more ready pods than active",
            "status.completedIndexes: Invalid value: \"9\": error parsing completedIndexes: too large index: \"9\"",
        ],
    );
    job_becomes(
        json!({}),
        status(json!({"conditions": [holds("Complete")], "active": 1})),
        &[
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true \
             condition",
            "status.completionTime: Required value: completionTime is required for Complete jobs",
            "status.active: Invalid value: 1: active>0 is invalid for finished job",
            "status.startTime: Required value: startTime is required for finished job",
        ],
    );
    let ended = json!({"conditions": [holds("SuccessCriteriaMet"), holds("Complete")], "succeeded": 3,
        "startTime": "2026-01-01T00:00:00Z", "completionTime": "2026-01-01T00:01:00Z"});
    job_becomes(json!({}), status(ended.clone()), &[]);
    job_becomes(
        status(ended),
        status(json!({"conditions": [holds("SuccessCriteriaMet")], "completionTime": null})),
        &["status.conditions: Invalid value: cannot disable the terminal Complete=True condition"],
    );
    job_becomes(
        status(json!({"failed": 2})),
        status(json!({"failed": 1})),
        &["status.failed: Invalid value: 1: cannot decrease the failed counter"],
    );
}

#[test]
fn jobs_by_the_clock() {
    let of = |spec: Value, expected: &[&str]| check("batch", "cronjobs", json!({"spec": spec}), expected);
    of(json!({"schedule": "@every 1h", "timeZone": "Europe/Zurich"}), &[]);
    of(
        json!({"schedule": "61 * * * *", "timeZone": "Mars/Base"}),
        &[
            "spec.schedule: Invalid value: \"61 * * * *\": end of range (61) above maximum (59): 61",
            "spec.timeZone: Invalid value: \"Mars/Base\": unknown time zone Mars/Base",
        ],
    );
    of(
        json!({"timeZone": "local"}),
        &["spec.timeZone: Invalid value: \"local\": timeZone must be an explicit time zone as defined in \
           https://www.iana.org/time-zones"],
    );
    of(json!({"timeZone": ""}), &["spec.timeZone: Invalid value: \"\": timeZone must be nil or non-empty string"]);
    of(
        json!({"jobTemplate": {"spec": {"manualSelector": true}}}),
        &["spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: \"false\", \"nil\""],
    );
    // A zone that was good once does not keep the job from being changed.
    check_update(
        "batch",
        "cronjobs",
        json!({"spec": {"timeZone": "Mars/Base"}}),
        json!({"spec": {"suspend": true}}),
        &[],
    );
}

#[test]
fn sets() {
    let stateful = |spec: Value, expected: &[&str]| check("apps", "statefulsets", json!({"spec": spec}), expected);
    stateful(
        json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}}),
        &["spec.updateStrategy.rollingUpdate: Invalid value: {\"partition\":1}: only allowed for updateStrategy \
           'RollingUpdate'"],
    );
    stateful(
        json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": -1, "maxUnavailable": 0}},
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep"}, "ordinals": {"start": -1}}),
        &[
            "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: cannot be 0",
            "spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: \"Keep\": supported values: \
             \"Retain\", \"Delete\"",
            "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0",
        ],
    );
    stateful(
        json!({"revisionHistoryLimit": -1, "volumeClaimTemplates": [{"metadata": {"name": "c"}, "spec": {}}]}),
        &[
            "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
            "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required",
            "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
        ],
    );
    let limit = |limit: i32| json!({"spec": {"revisionHistoryLimit": limit}});
    check_update("apps", "statefulsets", limit(-1), json!({"spec": {"replicas": 2}}), &[]);
    check_update(
        "apps",
        "statefulsets",
        limit(1),
        limit(-1),
        &["spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0"],
    );
    check_update(
        "apps",
        "statefulsets",
        json!({}),
        json!({"status": {"replicas": 1, "readyReplicas": 2}}),
        &["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"],
    );
    let daemons = |rolling: Value, expected: &[&str]| {
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": rolling});
        check("apps", "daemonsets", json!({"spec": {"updateStrategy": strategy}}), expected);
    };
    let path = "spec.updateStrategy.rollingUpdate";
    daemons(
        json!({"maxUnavailable": 0}),
        &[&format!("{path}.maxUnavailable: Required value: cannot be 0 when maxSurge is 0")],
    );
    daemons(
        json!({"maxUnavailable": 1, "maxSurge": "10%"}),
        &[&format!("{path}.maxSurge: Invalid value: \"10%\": may not be set when maxUnavailable is non-zero")],
    );
    check_update(
        "apps",
        "daemonsets",
        json!({}),
        json!({"status": {"numberReady": -1}}),
        &["status.numberReady: Invalid value: -1: must be greater than or equal to 0"],
    );
    check_update(
        "",
        "replicationcontrollers",
        json!({"spec": {"selector": {"app": "web"}}}),
        json!({"status": {"replicas": 1, "availableReplicas": 1}}),
        &["status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas"],
    );
}

#[test]
fn what_is_said_of_a_budget() {
    let condition = |kind: &str, status: &str, reason: &str| {
        let at = "2026-01-01T00:00:00Z";
        json!({"type": kind, "status": status, "reason": reason, "message": "", "lastTransitionTime": at})
    };
    let becomes = |conditions: Vec<Value>, expected: &[&str]| {
        check_update(
            "policy",
            "poddisruptionbudgets",
            json!({}),
            json!({"status": {"conditions": conditions}}),
            expected,
        );
    };
    becomes(vec![condition("DisruptionAllowed", "True", "SufficientPods")], &[]);
    becomes(
        vec![condition("A", "Maybe", ""), condition("A", "True", "No_1:"), condition("B", "True", "A:b,C_1_")],
        &[
            "status.conditions[0].status: Unsupported value: \"Maybe\": supported values: \"False\", \"True\", \
             \"Unknown\"",
            "status.conditions[0].reason: Required value: must be set",
            "status.conditions[1].type: Duplicate value: \"A\"",
            "status.conditions[1].reason: Invalid value: \"No_1:\": a condition reason must start with alphabetic \
             character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an \
             alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or \
             'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')",
        ],
    );
}

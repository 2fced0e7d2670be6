//! Pods, their containers and templates.

use super::*;

#[test]
fn containers() {
    let pods = |patch: Value, expected: &[&str]| check("", "pods", patch, expected);
    pods(json!({"spec": {"containers": []}}), &["spec.containers: Required value"]);
    pods(container(json!({"name": ""})), &["spec.containers[0].name: Required value"]);
    pods(container(json!({"name": "A"})), &[&format!("spec.containers[0].name: Invalid value: \"A\": {LABEL}")]);
    pods(container(json!({"image": null})), &["spec.containers[0].image: Required value"]);
    pods(
        container(json!({"image": "i:1 "})),
        &["spec.containers[0].image: Invalid value: \"i:1 \": must not have leading or trailing whitespace"],
    );
    pods(
        json!({"spec": {"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]}}),
        &["spec.containers[1].name: Duplicate value: \"c\""],
    );
    pods(
        container(json!({"imagePullPolicy": "Sometimes"})),
        &["spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \
           \"IfNotPresent\", \"Never\""],
    );
    pods(
        container(json!({"ports": [{"containerPort": 0}, {"containerPort": 70000, "name": "x"},
                                    {"containerPort": 1, "name": "x", "protocol": "ICMP"}]})),
        &[
            "spec.containers[0].ports[0].containerPort: Required value",
            "spec.containers[0].ports[1].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            "spec.containers[0].ports[2].name: Duplicate value: \"x\"",
            "spec.containers[0].ports[2].protocol: Unsupported value: \"ICMP\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
        ],
    );
    pods(
        container(json!({"ports": [{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]})),
        &["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//9\""],
    );
    pods(
        container(json!({"env": [{"name": ""}, {"name": "A=B"}, {"name": "C", "valueFrom": {}},
            {"name": "D", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "E", "valueFrom": {"fieldRef": {"fieldPath": "spec.replicas"}}}]})),
        &[
            "spec.containers[0].env[0].name: Required value",
            "spec.containers[0].env[1].name: Invalid value: \"A=B\": a valid environment variable name must consist only \
             of printable ASCII characters other than '='",
            "spec.containers[0].env[2].valueFrom: Invalid value: \"\": must specify one of: `fieldRef`, \
             `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
            "spec.containers[0].env[3].valueFrom: Invalid value: \"\": may not be specified when `value` is not empty",
            "spec.containers[0].env[4].valueFrom.fieldRef.fieldPath: Invalid value: \"spec.replicas\": error converting \
             fieldPath: field label not supported: spec.replicas",
        ],
    );
    pods(
        container(json!({"resources": {"requests": {"cpu": "200m"}, "limits": {"cpu": "100m"}}})),
        &[
            "spec.containers[0].resources.requests: Invalid value: \"200m\": must be less than or equal to cpu limit of \
           100m",
        ],
    );
    pods(
        container(json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "v", "mountPath": "/a",
                                            "subPath": "../x"}]})),
        &[
            "spec.containers[0].volumeMounts[0].name: Not found: \"v\"",
            "spec.containers[0].volumeMounts[1].name: Not found: \"v\"",
            "spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/a\": must be unique",
            "spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'",
        ],
    );
    pods(
        json!({"spec": {"initContainers": [{"name": "c", "image": "i", "readinessProbe": {"exec": {"command": ["a"]}}}]}}),
        &[
            "spec.initContainers[0].name: Duplicate value: \"c\"",
            "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without \
             restartPolicy=Always",
        ],
    );
    pods(
        json!({"spec": {"ephemeralContainers": [{"name": "e", "image": "i"}]}}),
        &["spec.ephemeralContainers: Forbidden: cannot be set on create"],
    );
    pods(
        container(
            json!({"restartPolicyRules": [{"action": "Go", "exitCodes": {"operator": "Equals", "values": [3]}}]}),
        ),
        &[
            "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
            "spec.containers[0].restartPolicyRules[0].action: Unsupported value: \"Go\": supported values: \
             \"Restart\", \"RestartAllContainers\"",
            "spec.containers[0].restartPolicyRules[0].exitCodes.operator: Unsupported value: \"Equals\": supported \
             values: \"In\", \"NotIn\"",
        ],
    );
    let own = json!({"restartPolicy": "Never", "restartPolicyRules": [{"action": "RestartAllContainers"}]});
    pods(container(own), &["spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified"]);
    pods(
        json!({"spec": {"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]}}),
        &[
            "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.accessModes: Required value: at least 1 access mode is \
             required",
            "spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources[storage]: Required value",
        ],
    );
}

#[test]
fn probes() {
    let pods = |patch: Value, expected: &[&str]| check("", "pods", container(patch), expected);
    pods(
        json!({"livenessProbe": {}}),
        &["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
    );
    pods(
        json!({"livenessProbe": {"exec": {}, "tcpSocket": {"port": 0}, "successThreshold": 2}}),
        &[
            "spec.containers[0].livenessProbe.exec.command: Required value",
            "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
            "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
        ],
    );
    pods(
        json!({"readinessProbe": {"httpGet": {"port": "a_b", "scheme": "FTP"}, "periodSeconds": -1,
                                   "terminationGracePeriodSeconds": 1}}),
        &[
            "spec.containers[0].readinessProbe.httpGet.port: Invalid value: \"a_b\": must contain only alpha-numeric \
             characters (a-z, 0-9), and hyphens (-)",
            "spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: \"HTTP\", \
             \"HTTPS\"",
            "spec.containers[0].readinessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
            "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for \
             readinessProbes",
        ],
    );
    pods(
        json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}),
        &["spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than \
           terminationGracePeriodSeconds (30)"],
    );
}

#[test]
fn pod_specs() {
    let pods = |spec: Value, expected: &[&str]| check("", "pods", json!({"spec": spec}), expected);
    pods(
        json!({"restartPolicy": "Maybe"}),
        &["spec.restartPolicy: Unsupported value: \"Maybe\": supported values: \"Always\", \"OnFailure\", \"Never\""],
    );
    pods(
        json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/../x"}}, {"name": "w", "secret": {}},
                            {"name": "w"}]}),
        &[
            "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
            "spec.volumes[0].hostPath.path: Invalid value: \"/../x\": must not contain '..'",
            "spec.volumes[1].secret.secretName: Required value",
            "spec.volumes[2].name: Duplicate value: \"w\"",
        ],
    );
    pods(
        json!({"volumes": [{"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 1}}]}}]}),
        &[
            "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may not \
             specify a duration less than 10 minutes",
            "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when \
             serviceAccountName is not set",
        ],
    );
    pods(
        json!({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}, {"tolerationSeconds": 1},
                                {"key": "a", "effect": "Never"}]}),
        &[
            "spec.tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'",
            "spec.tolerations[1].operator: Invalid value: \"\": operator must be Exists when `key` is empty, which means \
             \"match all values and all keys\"",
            "spec.tolerations[1].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            "spec.tolerations[2].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \
             \"PreferNoSchedule\", \"NoExecute\"",
        ],
    );
    pods(
        json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}},
            "podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "podAffinityTerm": {"topologyKey": "a"}}]}}}),
        &[
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required \
             value: must have at least one node selector term",
            "spec.affinity.podAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must \
             be in the range 1-100",
        ],
    );
    pods(
        json!({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "", "whenUnsatisfiable": "Whatever"}]}),
        &[
            "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
            "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
            "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Whatever\": supported values: \
             \"DoNotSchedule\", \"ScheduleAnyway\"",
        ],
    );
    pods(
        json!({"dnsPolicy": "None"}),
        &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
    );
    pods(
        json!({"securityContext": {"runAsUser": -1, "seccompProfile": {"type": "Localhost"},
                                    "sysctls": [{"name": "Net", "value": "1"}]}}),
        &[
            "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 4294967295, inclusive",
            "spec.securityContext.sysctls[0].name: Invalid value: \"Net\": must have at most 253 characters and match \
             regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is \
             Localhost",
        ],
    );
    pods(
        json!({"nodeName": "n", "schedulingGates": [{"name": "x.io/a"}]}),
        &["spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared"],
    );
    pods(
        json!({"activeDeadlineSeconds": 0, "hostname": "A.b"}),
        &[
            &format!("spec.hostname: Invalid value: \"A.b\": {LABEL}"),
            "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive",
        ],
    );
}

#[test]
fn pods_change_little() {
    let pods = |patch: Value, expected: &[&str]| check_update("", "pods", json!({}), patch, expected);
    // A merge patch replaces the list, so that the container is given whole.
    let with_image = json!({"image": "i:2", "imagePullPolicy": "IfNotPresent", "resources": {},
                            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"});
    pods(container(with_image), &[]);
    pods(json!({"spec": {"activeDeadlineSeconds": 5, "tolerations": [{"operator": "Exists"}]}}), &[]);
    pods(
        json!({"spec": {"containers": []}}),
        &["spec.containers: Forbidden: pod updates may not add or remove containers"],
    );
    pods(
        json!({"spec": {"nodeName": "n"}}),
        &["spec: Forbidden: pod updates may not change fields other than \
           `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only \
           additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
           previously negative)\n-\tnodeName: null\n+\tnodeName: \"n\""],
    );
    check_update(
        "",
        "pods",
        json!({"spec": {"activeDeadlineSeconds": 5, "tolerations": [{"key": "a", "operator": "Exists"}]}}),
        json!({"spec": {"activeDeadlineSeconds": 6, "tolerations": null}}),
        &["spec.activeDeadlineSeconds: Invalid value: 6: must be less than or equal to previous value"],
    );
    check_update(
        "",
        "pods",
        json!({"spec": {"tolerations": [{"key": "a", "operator": "Exists"}]}}),
        json!({"spec": {"tolerations": null}}),
        &["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
    );
    check_update(
        "",
        "pods",
        json!({"spec": {"schedulingGates": [{"name": "x.io/a"}]}}),
        json!({"spec": {"schedulingGates": null, "nodeSelector": {"a": "b"}}}),
        &[],
    );
    check_update("", "pods", json!({"spec": {"tolerations": []}}), json!({"spec": {"tolerations": null}}), &[]);
}

#[test]
fn what_has_ended_stays_ended() {
    let row = row("", "pods");
    let spec = json!({"restartPolicy": "Never"});
    let of = |state: Value| {
        json!({"spec": spec, "status": {"containerStatuses": [
        {"name": "c", "image": "i:1", "imageID": "", "ready": false, "restartCount": 0, "state": state}]}})
    };
    let old = object(row, "", "pods", &of(json!({"terminated": {"exitCode": 1}})));
    let mut new = object(row, "", "pods", &of(json!({"running": {}})));
    new.prepare_status(old.as_ref());
    assert_eq!(
        texts(&new.validate_update(old.as_ref())),
        ["status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"]
    );
}

#[test]
fn ephemeral_containers_come_and_stay() {
    let row = row("", "pods");
    let with = |name: &str| json!({"spec": {"ephemeralContainers": [{"name": name, "image": "i:1"}]}});
    let old = object(row, "", "pods", &with("a"));
    let mut new = object(row, "", "pods", &with("b"));
    new.prepare_subresource(Subresource::EphemeralContainers, old.as_ref());
    assert_eq!(
        texts(&new.validate_subresource(Subresource::EphemeralContainers, old.as_ref())),
        ["spec.ephemeralContainers: Forbidden: existing ephemeral containers \"a\" may not be removed\n"]
    );
}

#[test]
fn templates_and_selectors() {
    let deployments = |patch: Value, expected: &[&str]| check("apps", "deployments", patch, expected);
    deployments(
        json!({"spec": {"template": {"metadata": {"labels": {"app": "b"}}}}}),
        &["spec.template.metadata.labels: Invalid value: {\"app\":\"b\"}: `selector` does not match template `labels`"],
    );
    deployments(
        json!({"spec": {"selector": {"matchLabels": null}}}),
        &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
    );
    deployments(
        json!({"spec": {"selector": {"matchExpressions": [{"key": "app", "operator": "In"}]}}}),
        &[
            "spec.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or \
             'NotIn'",
            "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"In\"}],\
             \"matchLabels\":{\"app\":\"a\"}}: invalid label selector",
        ],
    );
    deployments(
        json!({"spec": {"template": {"spec": {"restartPolicy": "Never"}}}}),
        &["spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""],
    );
    deployments(
        json!({"spec": {"replicas": -1, "progressDeadlineSeconds": 5, "minReadySeconds": 5}}),
        &[
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
            "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
        ],
    );
    deployments(
        json!({"spec": {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}}}),
        &["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0"],
    );
    deployments(
        json!({"spec": {"strategy": {"type": "Recreate", "rollingUpdate": {}}}}),
        &["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    );
    for plural in ["deployments", "replicasets", "daemonsets"] {
        check_update(
            "apps",
            plural,
            json!({}),
            json!({"spec": {"selector": {"matchLabels": {"app": "b"}}}}),
            &["spec.selector: Invalid value: {\"matchLabels\":{\"app\":\"b\"}}: field is immutable"],
        );
    }
}

#[test]
fn pods_end_in_their_own_time() {
    let row = row("", "pods");
    let grace = |patch: Value| object(row, "", "pods", &patch).default_grace_seconds();
    assert_eq!(grace(json!({})), Some(30));
    assert_eq!(grace(json!({"spec": {"terminationGracePeriodSeconds": 5}})), Some(5));
    assert_eq!(grace(json!({"spec": {"terminationGracePeriodSeconds": -5}})), Some(1));
    let at_once = |patch: Value, grace| object(row, "", "pods", &patch).deletes_at_once(grace);
    let running = json!({"spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
    assert!(at_once(json!({}), 30), "no node has it");
    assert!(!at_once(running.clone(), 30));
    assert!(at_once(running, 0));
    assert!(at_once(json!({"spec": {"nodeName": "n"}, "status": {"phase": "Failed"}}), 30));
}

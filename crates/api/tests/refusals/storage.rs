//! Volumes, claims, and what drivers of storage say of themselves.

use super::*;

const GROUP: &str = "storage.k8s.io";

#[track_caller]
fn volumes(spec: Value, expected: &[&str]) {
    check("", "persistentvolumes", json!({"spec": spec}), expected);
}

#[test]
fn where_a_volume_is() {
    volumes(json!({"hostPath": null}), &["spec: Required value: must specify a volume type"]);
    volumes(
        json!({"nfs": {"server": "", "path": "data"}}),
        &[
            "spec.nfs: Forbidden: may not specify more than 1 volume type",
            "spec.nfs.server: Required value",
            "spec.nfs.path: Invalid value: \"data\": must be an absolute path",
        ],
    );
    volumes(
        json!({"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle"}),
        &["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
    );
    volumes(
        json!({"hostPath": null, "local": {"path": "/a/../b"}}),
        &[
            "spec.local.path: Invalid value: \"/a/../b\": must not contain '..'",
            "spec.nodeAffinity: Required value: Local volume requires node affinity",
        ],
    );
    volumes(
        json!({"hostPath": null, "csi": {"driver": "", "volumeHandle": "", "nodePublishSecretRef": {"name": "s"}}}),
        &[
            "spec.csi.driver: Required value",
            "spec.csi.driver: Invalid value: \"\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
            "spec.csi.volumeHandle: Required value",
            "spec.csi.nodePublishSecretRef.namespace: Required value",
        ],
    );
    volumes(
        json!({"hostPath": null, "iscsi": {"targetPortal": "", "iqn": "x", "lun": 256}}),
        &[
            "spec.iscsi.targetPortal: Required value",
            "spec.iscsi.iqn: Invalid value: \"x\": must be valid format",
            "spec.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive",
        ],
    );
    volumes(
        json!({"hostPath": null, "fc": {"targetWWNs": ["a"]}}),
        &["spec.fc.lun: Required value: lun is required if targetWWNs is specified"],
    );
}

#[test]
fn what_a_volume_holds() {
    volumes(
        json!({"capacity": {"storage": "0"}, "accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]}),
        &[
            "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
            "spec.capacity[storage]: Invalid value: \"0\": must be greater than zero",
        ],
    );
    volumes(
        json!({"volumeAttributesClassName": "gold"}),
        &["spec.csi: Required value: has to be specified when using volumeAttributesClassName"],
    );
    let csi = json!({"spec": {"hostPath": null, "csi": {"driver": "d", "volumeHandle": "h"}}});
    let secret = json!({"name": "s", "namespace": "n"});
    check_update(
        "",
        "persistentvolumes",
        csi.clone(),
        json!({"spec": {"csi": {"controllerExpandSecretRef": secret}}}),
        &[],
    );
    check_update(
        "",
        "persistentvolumes",
        csi,
        json!({"spec": {"csi": {"volumeHandle": "other"}}}),
        &["spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n"],
    );
    let affinity = |key: &str, value: &str| {
        let own = json!({"key": key, "operator": "In", "values": [value]});
        json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [own]}]}}}})
    };
    let (old, new) = ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone");
    check_update("", "persistentvolumes", json!({"spec": {"nodeAffinity": null}}), affinity(new, "a"), &[]);
    check_update("", "persistentvolumes", affinity(old, "a"), affinity(new, "a"), &[]);
    for (before, after) in [
        (affinity(new, "a"), affinity(new, "b")),
        (affinity(new, "a"), affinity(old, "a")),
        (affinity(old, "a"), affinity(new, "b")),
        (affinity(new, "a"), json!({"spec": {"nodeAffinity": null}})),
    ] {
        let (row, mut changed) = (row("", "persistentvolumes"), before.clone());
        let old = object(row, &before);
        merge(&mut changed, &after);
        let errors = object(row, &changed).validate_update(old.as_ref());
        let [error] = errors.as_slice() else { panic!("{before} changed by {after}: {errors:?}") };
        let text = error.to_string();
        assert!(text.starts_with("nodeAffinity: Invalid value: ") && text.ends_with(": field is immutable"), "{text}");
    }
}

#[test]
fn what_a_claim_is_filled_with() {
    let claims = |spec: Value, expected: &[&str]| check("", "persistentvolumeclaims", json!({"spec": spec}), expected);
    claims(
        json!({"dataSource": {"kind": "VolumeSnapshot", "name": ""}}),
        &[
            "spec.dataSource.name: Required value",
            "spec.dataSource: Invalid value: \"VolumeSnapshot\": must be 'PersistentVolumeClaim' when referencing the \
             default apiGroup",
        ],
    );
    let source = json!({"kind": "PersistentVolumeClaim", "name": "a"});
    claims(json!({"dataSource": source, "dataSourceRef": source}), &[]);
    claims(
        json!({"dataSource": source, "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "b"}}),
        &["spec: Invalid value: \"spec.dataSource\": must match dataSourceRef"],
    );
}

#[test]
fn what_a_claim_may_become() {
    let claim = |before: Value, change: Value, expected: &[&str]| {
        check_update("", "persistentvolumeclaims", before, change, expected);
    };
    let asks = |amount: &str| json!({"spec": {"resources": {"requests": {"storage": amount}}}});
    let bound = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}},
        "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}});
    claim(bound.clone(), asks("4Gi"), &[]);
    claim(
        bound,
        asks("2Gi"),
        &["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"],
    );
    let class = |class: Value| json!({"spec": {"volumeAttributesClassName": class}});
    claim(class(json!("silver")), class(json!("gold")), &[]);
    claim(
        class(json!("silver")),
        class(Value::Null),
        &["spec.volumeAttributesClassName: Forbidden: update from non-nil value to nil is forbidden"],
    );
    claim(json!({"spec": {"storageClassName": null}}), json!({"spec": {"storageClassName": "fast"}}), &[]);
    claim(
        json!({}),
        json!({"status": {"allocatedResourceStatuses": {"storage": "Odd"}}}),
        &["status.allocatedResourceStatus: Unsupported value: \"storage\": supported values: \
           \"ControllerResizeInProgress\", \"ControllerResizeInfeasible\", \"NodeResizeInProgress\", \
           \"NodeResizeInfeasible\", \"NodeResizePending\""],
    );
}

#[test]
fn classes_and_attachments() {
    let term = |values: Value| json!({"matchLabelExpressions": [{"key": "zone", "values": values}]});
    check(
        GROUP,
        "storageclasses",
        json!({"parameters": {"": "x"}, "allowedTopologies": [term(json!([])), term(json!(["a", "a"]))]}),
        &[
            "parameters: Invalid value: \"\": field can not be empty.",
            "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
            "allowedTopologies[1].matchLabelExpressions[0].values[1]: Duplicate value: \"a\"",
        ],
    );
    check(
        GROUP,
        "volumeattachments",
        json!({"spec": {"attacher": "A b", "source": {"inlineVolumeSpec": {}}}}),
        &[
            "spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
            "spec.attacher: Invalid value: \"A b\": a lowercase RFC 1123 subdomain must consist of lower case \
             alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
             'example.com', regex used for validation is \
             '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        ],
    );
}

#[test]
fn volumes_within_attachments() {
    let inline = |spec: Value| json!({"spec": {"source": {"persistentVolumeName": null, "inlineVolumeSpec": spec}}});
    let csi = json!({"driver": "csi.example.com", "volumeHandle": "v"});
    let good = json!({"accessModes": ["ReadWriteOnce"], "csi": csi, "volumeMode": "Filesystem",
        "persistentVolumeReclaimPolicy": "Retain"});
    check(GROUP, "volumeattachments", inline(good), &[]);
    let bad = json!({"accessModes": [], "claimRef": {"name": "c"}, "capacity": {"storage": "1Gi"}, "nodeAffinity": {},
        "storageClassName": "fast", "persistentVolumeReclaimPolicy": "Delete", "volumeMode": "Block",
        "hostPath": {"path": "/a"}});
    check(
        GROUP,
        "volumeattachments",
        inline(bad),
        &[
            "spec.source.inlineVolumeSpec.claimRef: Forbidden: may not be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.nodeAffinity: Forbidden: may not be specified in the context of inline \
             volumes",
            "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline \
             volumes",
            "spec.source.inlineVolumeSpec.persistentVolumeReclaimPolicy: Forbidden: may only be Retain in the context \
             of inline volumes",
            "spec.source.inlineVolumeSpec.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in \
             the context of inline volumes",
            "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
            "spec.source.inlineVolumeSpec.accessModes: Required value",
        ],
    );
}

#[test]
fn what_drivers_say() {
    check(
        GROUP,
        "csidrivers",
        json!({"spec": {"fsGroupPolicy": "All", "volumeLifecycleModes": ["Brief"],
            "nodeAllocatableUpdatePeriodSeconds": 9,
            "tokenRequests": [{"audience": "a", "expirationSeconds": 599}, {"audience": "a"}]}}),
        &[
            "spec.fsGroupPolicy: Unsupported value: \"All\": supported values: \"File\", \"None\", \
             \"ReadWriteOnceWithFSType\"",
            "spec.tokenRequests[0].expirationSeconds: Invalid value: 599: may not specify a duration less than 10 \
             minutes",
            "spec.tokenRequests[1].audience: Duplicate value: \"a\"",
            "spec.volumeLifecycleModes: Unsupported value: \"Brief\": supported values: \"Persistent\", \"Ephemeral\"",
            "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 9: must be greater than or equal to 10 seconds",
        ],
    );
    check_update(
        GROUP,
        "csidrivers",
        json!({}),
        json!({"spec": {"attachRequired": false, "fsGroupPolicy": "File", "volumeLifecycleModes": ["Ephemeral"]}}),
        &[
            "spec.attachedRequired: Invalid value: false: field is immutable",
            "spec.volumeLifecycleModes: Invalid value: [\"Ephemeral\"]: field is immutable",
        ],
    );
    let driver = |driver: Value| json!({"spec": {"drivers": [driver]}});
    check(
        GROUP,
        "csinodes",
        driver(json!({"name": "d", "nodeID": "", "allocatable": {"count": -1}, "topologyKeys": ["zone", "zone"]})),
        &[
            "spec.drivers[0].nodeID: Required value",
            "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
            "spec.drivers[0]: Duplicate value: \"zone\"",
        ],
    );
    let before = driver(json!({"name": "d", "nodeID": "n"}));
    check_update(
        GROUP,
        "csinodes",
        before.clone(),
        driver(json!({"name": "d", "nodeID": "n", "allocatable": {"count": 3}})),
        &[],
    );
    check_update(
        GROUP,
        "csinodes",
        before,
        driver(json!({"name": "d", "nodeID": "m"})),
        &["spec.drivers: Invalid value: {\"name\":\"d\",\"nodeID\":\"m\"}: field is immutable"],
    );
}

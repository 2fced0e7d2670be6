//! Fields that few clients write: volumes of outside storage, options of one operating system, old annotations, and
//! what has no freedom at all.

use super::{check, check_update};
use api::object::find;
use serde_json::{Value, json};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', \
                         and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
                         validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

#[track_caller]
fn pod(spec: Value, expected: &[&str]) {
    let base = json!({"containers": [{"name": "c", "image": "i:1"}], "volumes": null, "initContainers": null,
        "nodeSelector": null, "tolerations": null, "affinity": null, "securityContext": null, "hostNetwork": null, "hostUsers": null});
    let mut whole = base;
    super::merge(&mut whole, &spec);
    check("", "pods", json!({"spec": whole}), expected);
}

#[track_caller]
fn volume(source: Value, expected: &[&str]) {
    let mut volume = json!({"name": "v"});
    super::merge(&mut volume, &source);
    pod(json!({"volumes": [volume]}), expected);
}

#[test]
fn volumes_of_outside_storage() {
    for (source, expected) in [
        (
            json!({"iscsi": {"targetPortal": "", "iqn": "x", "lun": 300}}),
            &[
                "spec.volumes[0].iscsi.targetPortal: Required value",
                "spec.volumes[0].iscsi.iqn: Invalid value: \"x\": must be valid format starting with iqn, eui, or naa",
                "spec.volumes[0].iscsi.lun: Invalid value: 300: must be between 0 and 255, inclusive",
            ] as &[&str],
        ),
        (
            json!({"iscsi": {"targetPortal": "a", "iqn": "iqn.2001-4.com.example:a", "lun": 0, "chapAuthSession": true}}),
            &[
                "spec.volumes[0].iscsi.iqn: Invalid value: \"iqn.2001-4.com.example:a\": must be valid format",
                "spec.volumes[0].iscsi.secretRef: Required value",
            ],
        ),
        (
            json!({"fc": {"targetWWNs": ["a"], "wwids": ["b"]}}),
            &[
                "spec.volumes[0].fc.targetWWNs: Invalid value: [\"a\"]: targetWWNs and wwids can not be specified \
                 simultaneously",
                "spec.volumes[0].fc.lun: Required value: lun is required if targetWWNs is specified",
            ],
        ),
        (
            json!({"rbd": {"monitors": [], "image": ""}}),
            &["spec.volumes[0].rbd.monitors: Required value", "spec.volumes[0].rbd.image: Required value"],
        ),
        (json!({"cephfs": {"monitors": []}}), &["spec.volumes[0].cephfs.monitors: Required value"]),
        (
            json!({"glusterfs": {"endpoints": "", "path": ""}}),
            &["spec.volumes[0].glusterfs.endpoints: Required value", "spec.volumes[0].glusterfs.path: Required value"],
        ),
        (
            json!({"flocker": {}}),
            &["spec.volumes[0].flocker: Required value: one of datasetName and datasetUUID is required"],
        ),
        (
            json!({"azureDisk": {"diskName": "a", "diskURI": "x", "kind": "Managed"}}),
            &["spec.volumes[0].azureDisk.diskURI: Unsupported value: \"x\": supported values: \
               \"/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}\""],
        ),
        (
            json!({"gcePersistentDisk": {"pdName": "", "partition": 256}}),
            &[
                "spec.volumes[0].persistentDisk.pdName: Required value",
                "spec.volumes[0].persistentDisk.partition: Invalid value: 256: must be between 1 and 255, inclusive",
            ],
        ),
        (
            json!({"quobyte": {"registry": "a:1,b", "volume": ""}}),
            &[
                "spec.volumes[0].quobyte.registry: Invalid value: \"a:1,b\": must be a host:port pair or multiple pairs \
                 separated by commas",
                "spec.volumes[0].quobyte.volume: Required value",
            ],
        ),
        (json!({"storageos": {}}), &["spec.volumes[0].storageos.volumeName: Required value"]),
        (
            json!({"flexVolume": {"driver": "", "options": {"kubernetes.io/x": "y"}}}),
            &[
                "spec.volumes[0].flexVolume.driver: Required value",
                "spec.volumes[0].flexVolume.options[kubernetes.io/x]: Invalid value: \"kubernetes.io/x\": kubernetes.io \
                 and k8s.io namespaces are reserved",
            ],
        ),
        (
            json!({"gitRepo": {"repository": "a", "directory": "/x"}}),
            &["spec.volumes[0].gitRepo.directory: Invalid value: \"/x\": must be a relative path"],
        ),
    ] {
        volume(source, expected);
    }
}

#[test]
fn good_volumes_of_outside_storage() {
    for source in [
        json!({"iscsi": {"targetPortal": "a", "iqn": "iqn.2001-04.com.example:storage.disk2.sys1.xyz", "lun": 0}}),
        json!({"iscsi": {"targetPortal": "a", "iqn": "eui.0123456789ABCDEF", "lun": 255}}),
        json!({"fc": {"wwids": ["a"]}}),
        json!({"azureDisk": {"diskName": "a", "diskURI": "https://x"}}),
        json!({"gcePersistentDisk": {"pdName": "a", "partition": 0}}),
        json!({"quobyte": {"registry": "a:1,[fe80::1]:2", "volume": "v"}}),
        json!({"scaleIO": {"gateway": "a", "system": "b", "volumeName": "c", "secretRef": {"name": "s"}}}),
        json!({"flexVolume": {"driver": "a/b", "options": {"x.io/y": "z"}}}),
        json!({"csi": {"driver": "A.b"}}),
        json!({"projected": {"sources": [{"clusterTrustBundle": {"path": "d", "name": "a.b:c:foo"}}]}}),
    ] {
        volume(source, &[]);
    }
}

#[test]
fn the_same_storage_as_volumes_of_their_own() {
    let of = |spec: Value, expected: &[&str]| {
        let mut whole = json!({"hostPath": null});
        super::merge(&mut whole, &spec);
        check("", "persistentvolumes", json!({"spec": whole}), expected);
    };
    of(
        json!({"glusterfs": {"endpoints": "a", "path": "b", "endpointsNamespace": ""}}),
        &[
            "spec.glusterfs.endpointsNamespace: Invalid value: \"\": if the endpointnamespace is set, it must be a valid \
           namespace name",
        ],
    );
    of(
        json!({"cinder": {"volumeID": "a", "secretRef": {"name": "s"}}}),
        &["spec.cinder.secretRef.namespace: Required value"],
    );
    of(
        json!({"azureFile": {"secretName": "a", "shareName": "b", "secretNamespace": ""}}),
        &["spec.azureFile.secretNamespace: Required value"],
    );
    of(
        json!({"hostPath": {"path": "/a"}, "nodeAffinity": {"required": null}}),
        &["spec.nodeAffinity.required: Required value: must specify required node constraints"],
    );
    of(json!({"rbd": {"monitors": ["a"], "image": "b"}}), &[]);
}

#[test]
fn what_storage_is_asked_for_if_nothing_is_said() {
    let volumes = json!([{"name": "a", "rbd": {"monitors": ["m"], "image": "i"}},
        {"name": "b", "azureDisk": {"diskName": "a", "diskURI": "https://x"}},
        {"name": "c", "iscsi": {"targetPortal": "a", "iqn": "eui.0123456789ABCDEF", "lun": 0}}]);
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes}});
    let row = find("", "v1", "pods").expect("pods are in the table");
    let mut object = row.from_value(pod).expect("a pod");
    object.defaults();
    let shown = object.to_value().expect("JSON");
    let volumes = &shown["spec"]["volumes"];
    assert_eq!(
        volumes[0]["rbd"],
        json!({"monitors": ["m"], "image": "i", "pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"})
    );
    assert_eq!(
        volumes[1]["azureDisk"],
        json!({"diskName": "a", "diskURI": "https://x", "cachingMode": "ReadWrite", "kind": "Shared", "fsType": "ext4",
            "readOnly": false})
    );
    assert_eq!(volumes[2]["iscsi"]["iscsiInterface"], "default");
}

#[test]
fn one_operating_system_or_the_other() {
    const NOT: &str = "Forbidden: cannot be set for a windows pod";
    pod(
        json!({"os": {"name": "windows"}, "hostPID": true, "shareProcessNamespace": false,
            "securityContext": {"runAsUser": 1, "sysctls": [{"name": "a", "value": "b"}]},
            "containers": [{"name": "c", "image": "i:1", "securityContext": {"privileged": false}}]}),
        &[
            &format!("spec.hostPID: {NOT}"),
            &format!("spec.securityContext.sysctls: {NOT}"),
            &format!("spec.shareProcessNamespace: {NOT}"),
            &format!("spec.securityContext.runAsUser: {NOT}"),
            &format!("spec.containers[0].securityContext.privileged: {NOT}"),
        ],
    );
    pod(
        json!({"os": {"name": "linux"}, "securityContext": {"windowsOptions": {"runAsUserName": "a"}}}),
        &["spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"],
    );
    pod(
        json!({"securityContext": {"windowsOptions": {"runAsUserName": "a\\b\\c", "hostProcess": true}}}),
        &[
            "spec.securityContext.windowsOptions.runAsUserName: Invalid value: \"a\\\\b\\\\c\": runAsUserName cannot \
             contain more than one backslash",
            "spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers",
        ],
    );
    pod(json!({"os": {"name": "windows"}, "securityContext": {"windowsOptions": {"runAsUserName": "A B\\c"}}}), &[]);
    let stop = |os: Value, signal: &str, expected: &[&str]| {
        let container = json!({"name": "c", "image": "i:1", "lifecycle": {"stopSignal": signal}});
        pod(json!({"os": os, "containers": [container]}), expected);
    };
    stop(
        Value::Null,
        "SIGTERM",
        &[
            "spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`",
        ],
    );
    stop(
        json!({"name": "windows"}),
        "SIGUSR1",
        &["spec.containers[0].lifecycle.stopSignal: Unsupported value: \"SIGUSR1\": supported values: \"SIGKILL\", \
           \"SIGTERM\""],
    );
    stop(json!({"name": "linux"}), "SIGRTMIN+15", &[]);
}

#[test]
fn names_and_files_of_pods() {
    pod(json!({"hostnameOverride": "A_"}), &[&format!("spec.hostnameOverride: Invalid value: \"A_\": {SUBDOMAIN}")]);
    pod(json!({"hostnameOverride": "a.b", "setHostnameAsFQDN": false}), &[]);
    pod(
        json!({"hostnameOverride": "a", "hostNetwork": true}),
        &["spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true"],
    );
    pod(json!({"runtimeClassName": ""}), &[&format!("spec.runtimeClassName: Invalid value: \"\": {SUBDOMAIN}")]);
    let line = |volume: Value| {
        json!({"volumes": [volume], "containers": [{"name": "c", "image": "i:1", "env": [{"name": "A",
            "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "K"}}}]}]})
    };
    pod(line(json!({"name": "v", "emptyDir": {}})), &[]);
    pod(
        line(json!({"name": "w", "emptyDir": {}})),
        &["spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: \"v\""],
    );
    pod(
        line(json!({"name": "v", "configMap": {"name": "a"}})),
        &[
            "spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Invalid value: \"v\": referenced volume must be of \
           type emptyDir",
        ],
    );
    let rules = json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [0, 255]}}]);
    let container = |rules: Value| json!({"containers": [{"name": "c", "image": "i:1", "restartPolicy": "Never", "restartPolicyRules": rules}]});
    pod(container(rules.clone()), &[]);
    let many: Vec<Value> = std::iter::repeat_n(rules[0].clone(), 21).collect();
    pod(container(json!(many)), &["spec.containers[0].restartPolicyRules: Too many: 21: must have at most 20 items"]);
}

#[test]
fn old_annotations_agree_with_fields() {
    const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io";
    let of = |key: String, value: &str, spec: Value, expected: &[&str]| {
        let mut whole = json!({"containers": [{"name": "c", "image": "i:1"}], "volumes": null, "initContainers": null,
            "securityContext": null});
        super::merge(&mut whole, &spec);
        check("", "pods", json!({"metadata": {"annotations": {key: value}}, "spec": whole}), expected);
    };
    let app_armor = || format!("{APP_ARMOR}/c");
    of(
        app_armor(),
        "foo",
        json!({}),
        &[&format!(
            "metadata.annotations[{APP_ARMOR}/c]: Invalid value: \"foo\": invalid AppArmor profile name: \"foo\""
        )],
    );
    of(
        format!("{APP_ARMOR}/x"),
        "unconfined",
        json!({}),
        &[&format!("metadata.annotations[{APP_ARMOR}/x]: Invalid value: \"x\": container not found")],
    );
    of(
        app_armor(),
        "unconfined",
        json!({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}),
        &["spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field \
           must match"],
    );
    of(
        app_armor(),
        "runtime/default",
        json!({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}),
        &[],
    );
    of(app_armor(), "localhost/a", json!({}), &[]);
    of(
        "seccomp.security.alpha.kubernetes.io/pod".to_owned(),
        "unconfined",
        json!({"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}}),
        &["spec.securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match"],
    );
}

#[test]
fn what_a_node_keeps() {
    let both = json!({"spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": ["10.1.0.0/24"]}});
    let other = json!({"spec": {"podCIDR": "10.2.0.0/24", "podCIDRs": ["10.2.0.0/24"]}});
    const RANGE: &str = "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid";
    check_update("", "nodes", both.clone(), other, &[RANGE]);
    let one = json!({"spec": {"podCIDR": "10.1.0.0/24", "podCIDRs": null}});
    check_update("", "nodes", one, json!({"spec": {"podCIDRs": null}}), &[]);
    check_update(
        "",
        "nodes",
        both,
        json!({"spec": {"externalID": "x", "configSource": {}}}),
        &[
            "spec.configSource: Invalid value: {}: exactly one reference subfield must be non-nil",
            "spec.externalID: Forbidden: may not be updated",
        ],
    );
}

#[test]
fn flow_control_cannot_do_without() {
    let row =
        find("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations").expect("levels are in the table");
    let level = |name: &str, spec: Value| {
        let value = json!({"apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
            "metadata": {"name": name}, "spec": spec});
        let mut object = row.from_value(value).expect("a level");
        object.defaults();
        object.validate().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let limited = |shares: i32| {
        json!({"type": "Limited",
            "limited": {"nominalConcurrencyShares": shares, "limitResponse": {"type": "Reject"}}})
    };
    let nothing: [&str; 0] = [];
    assert_eq!(level("catch-all", limited(5)), nothing);
    assert_eq!(level("other", limited(6)), nothing);
    assert_eq!(level("exempt", json!({"type": "Exempt", "exempt": {"lendablePercent": 10}})), nothing);
    let errors = level("catch-all", limited(6));
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].starts_with("spec: Invalid value: {"), "{errors:?}");
    assert!(errors[0].ends_with("spec of 'catch-all' must equal the fixed value"), "{errors:?}");
    let errors = level("exempt", limited(5));
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors[1].ends_with("spec of 'exempt' except the 'spec.exempt' field must equal the fixed value"));
}

#[test]
fn a_condition_named_alone_is_one_that_holds() {
    let policy = json!({"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]});
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let job = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"},
        "spec": {"template": template, "podFailurePolicy": policy}});
    let mut object = find("batch", "v1", "jobs").expect("jobs are in the table").from_value(job).expect("a job");
    object.defaults();
    let shown = object.to_value().expect("JSON");
    assert_eq!(shown["spec"]["podFailurePolicy"]["rules"][0]["onPodConditions"][0]["status"], "True");
}

#[test]
fn services_may_begin_with_a_digit() {
    let services = find("", "v1", "services").expect("services are in the table");
    assert!(services.validate_name("1st", false).is_empty());
    assert!(!services.validate_name("a.b", false).is_empty());
}

#[test]
fn what_is_said_of_an_attachment_has_an_end() {
    check_update(
        "storage.k8s.io",
        "volumeattachments",
        json!({"status": null}),
        json!({"status": {"attached": false, "attachError": {"message": "x".repeat(1025)}}}),
        &["status.attachError.message: Too long: may not be more than 1024 bytes"],
    );
}

#[test]
fn new_requests_name_a_signer_that_there_is() {
    check(
        "certificates.k8s.io",
        "certificatesigningrequests",
        json!({"spec": {"signerName": "kubernetes.io/legacy-unknown"}}),
        &[
            "spec.signerName: Invalid value: \"kubernetes.io/legacy-unknown\": the legacy signerName is not allowed via \
           this API version",
        ],
    );
}

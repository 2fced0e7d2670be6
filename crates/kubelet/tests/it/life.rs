//! A pod's life, from the API's object to the last trace.

use crate::double::named;
use crate::support::node;
use client::DeleteOptions;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod};

const POD: &str = "{metadata: {name: web}, spec: {containers: [{name: a, image: 'busybox:1', \
    env: [{name: V, valueFrom: {configMapKeyRef: {name: cfg, key: k}}}], \
    volumeMounts: [{name: cfg, mountPath: /cfg}]}], volumes: [{name: cfg, configMap: {name: cfg}}]}}";

fn config(value: &str) -> ConfigMap {
    serde_saphyr::from_str(&format!("{{metadata: {{name: cfg, namespace: default}}, data: {{k: {value}}}}}")).unwrap()
}

#[tokio::test]
async fn a_pod_runs_and_leaves_nothing_behind() {
    let Some(node) = node("life") else { return };
    let kubelet = node.start().await;
    let pod = node.create(POD).await;
    // Without its ConfigMap it waits, and says why.
    let missing = "MountVolume.SetUp failed for volume \"cfg\" : configmap \"cfg\" not found";
    node.fake
        .until("a mount failure", |fake| {
            let events = fake.all::<k8s_openapi::api::core::v1::Event>();
            events.iter().any(|event| event.message.as_deref() == Some(missing))
        })
        .await;
    node.client.create(&config("one")).await.unwrap();
    let status = node.until_ready("web").await;
    assert_eq!((status.phase.as_deref(), status.pod_ip.as_deref()), (Some("Running"), Some("10.0.0.7")));
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
    let container = &status.container_statuses.unwrap()[0];
    assert!(container.ready && container.container_id.as_deref().unwrap().starts_with("double://c"));

    let uid = pod.metadata.uid.unwrap();
    let file = node.data.path().join(format!("kubelet/pods/{uid}/volumes/kubernetes.io~configmap/cfg/k"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
    let record = node.runtime.held.lock().unwrap().containers.values().next().unwrap().clone();
    let variable = record.config.envs.iter().find(|env| env.key == "V").map(|env| env.value.clone());
    assert_eq!(variable.as_deref(), Some("one"));
    let targets: Vec<&str> = record.config.mounts.iter().map(|mount| mount.container_path.as_str()).collect();
    assert_eq!(targets, ["/cfg", "/etc/hosts", "/dev/termination-log"]);
    // A change of the object reaches the file.
    let mut map = node.client.get::<ConfigMap>("default", "cfg").await.unwrap();
    map.data = config("two").data;
    node.client.update(&map).await.unwrap();
    wait_for("the file to change", || std::fs::read_to_string(&file).is_ok_and(|text| text == "two")).await;

    let options = DeleteOptions { grace_seconds: Some(7), ..DeleteOptions::default() };
    node.client.delete::<Pod>("default", "web", &options).await.unwrap();
    node.until_gone("web").await;
    let stops = node.runtime.held.lock().unwrap().stops.clone();
    assert_eq!(stops.iter().map(|(_, seconds)| *seconds).collect::<Vec<_>>(), [7]);
    let left = node.runtime.held.lock().map(|held| held.containers.len() + held.sandboxes.len()).unwrap();
    assert_eq!(left, 0);
    assert!(!node.data.path().join("kubelet/pods").join(&uid).exists());
    assert_eq!(std::fs::read_dir(node.data.path().join("kubelet/pod-logs")).unwrap().count(), 0);
    let reasons = node.reasons();
    for reason in ["FailedMount", "Pulling", "Pulled", "Created", "Started", "Killing"] {
        assert!(reasons.iter().any(|found| found == reason), "{reason} is not in {reasons:?}");
    }
    kubelet.shutdown().await;
}

pub(crate) async fn wait_for(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await.is_ok(),
        "waited too long for {what}"
    );
}

#[tokio::test]
async fn a_container_that_ends_is_started_again_and_remembered() {
    let Some(node) = node("again") else { return };
    let kubelet = node.start().await;
    node.create("{metadata: {name: web}, spec: {containers: [{name: a, image: 'busybox:1'}]}}").await;
    node.until_ready("web").await;
    node.runtime.exit("a", 137, "OOMKilled");
    let restarted = node.until("web", "a restart", |status| {
        status.container_statuses.iter().flatten().any(|one| one.restart_count == 1 && one.ready)
    });
    let status = restarted.await.container_statuses.unwrap().remove(0);
    let last = status.last_state.unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (137, Some("OOMKilled")));
    node.runtime.exit("a", 1, "");
    let status = node.until("web", "a back-off", |status| {
        let waiting = status.container_statuses.iter().flatten().filter_map(|one| one.state.as_ref()?.waiting.as_ref());
        waiting.into_iter().any(|waiting| waiting.reason.as_deref() == Some("CrashLoopBackOff"))
    });
    assert_eq!(status.await.phase.as_deref(), Some("Running"));
    kubelet.shutdown().await;
}

#[tokio::test]
async fn an_image_that_is_not_there_is_said() {
    let Some(node) = node("image") else { return };
    let kubelet = node.start().await;
    node.create("{metadata: {name: web}, spec: {containers: [{name: a, image: 'nope:1'}]}}").await;
    let reason = |status: &k8s_openapi::api::core::v1::PodStatus, wanted: &str| {
        let waiting = status.container_statuses.iter().flatten().filter_map(|one| one.state.clone()?.waiting);
        waiting
            .into_iter()
            .find(|waiting| waiting.reason.as_deref() == Some(wanted))
            .and_then(|waiting| waiting.message)
    };
    let status = node.until("web", "the pull's error", |status| reason(status, "ErrImagePull").is_some()).await;
    assert_eq!(reason(&status, "ErrImagePull").unwrap(), "Failed to pull image \"nope:1\": nope:1: not found");
    let status = node.until("web", "the pull's back-off", |status| reason(status, "ImagePullBackOff").is_some()).await;
    assert!(reason(&status, "ImagePullBackOff").unwrap().starts_with("Back-off pulling image \"nope:1\""));
    kubelet.shutdown().await;
}

#[tokio::test]
async fn a_pod_that_is_meant_to_end_succeeds_and_keeps_its_containers() {
    let Some(node) = node("job") else { return };
    let kubelet = node.start().await;
    node.create("{metadata: {name: job}, spec: {restartPolicy: Never, containers: [{name: a, image: 'busybox:1'}]}}")
        .await;
    node.until_ready("job").await;
    node.runtime.exit("a", 0, "");
    let status = node.until("job", "success", |status| status.phase.as_deref() == Some("Succeeded")).await;
    assert_eq!(status.container_statuses.unwrap()[0].state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 0);
    assert_eq!(node.runtime.held.lock().unwrap().containers.len(), 1, "its log can still be read");
    node.client.delete::<Pod>("default", "job", &DeleteOptions::default()).await.unwrap();
    node.until_gone("job").await;
    node.runtime.until("everything to be gone", |held| held.containers.is_empty() && held.sandboxes.is_empty()).await;
    kubelet.shutdown().await;
}

#[tokio::test]
async fn a_pod_that_does_not_fit_is_refused() {
    let Some(node) = node("refused") else { return };
    let kubelet = node.start().await;
    node.create("{metadata: {name: big}, spec: {containers: [{name: a, image: 'busybox:1', resources: {requests: {cpu: 10000}}}]}}").await;
    let status = node.until("big", "refusal", |status| status.phase.as_deref() == Some("Failed")).await;
    assert_eq!(status.reason.as_deref(), Some("OutOfcpu"));
    assert!(node.runtime.held.lock().unwrap().sandboxes.is_empty());
    kubelet.shutdown().await;
}

#[tokio::test]
async fn the_node_registers_and_keeps_its_lease() {
    let Some(node) = node("node") else { return };
    let kubelet = node.start().await;
    node.fake
        .until("a ready node", |fake| {
            let status = fake.get::<Node>("", "n1").and_then(|node| node.status);
            let conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
            conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        })
        .await;
    let found: Node = node.fake.get("", "n1").unwrap();
    assert_eq!(found.metadata.labels.unwrap()["kubernetes.io/hostname"], "n1");
    let status = found.status.unwrap();
    let info = status.node_info.unwrap();
    assert_eq!(
        (info.kubelet_version.as_str(), info.container_runtime_version.as_str()),
        ("v1.37.0+sampan", "double://1")
    );
    assert_eq!(status.daemon_endpoints.unwrap().kubelet_endpoint.unwrap().port, i32::from(kubelet.port()));
    node.fake.until("a lease", |fake| fake.get::<Lease>("kube-node-lease", "n1").is_some()).await;
    kubelet.shutdown().await;
}

#[tokio::test]
async fn init_containers_run_before_the_others() {
    let Some(node) = node("init") else { return };
    let kubelet = node.start().await;
    node.create("{metadata: {name: web}, spec: {initContainers: [{name: i, image: 'busybox:1'}], containers: [{name: a, image: 'busybox:1'}]}}").await;
    let running = |held: &crate::double::Held, name: &str| {
        held.containers
            .values()
            .any(|record| record.state == cri::v1::ContainerState::ContainerRunning as i32 && named(record) == name)
    };
    node.runtime.until("the init container", |held| running(held, "i")).await;
    node.until("web", "the init container's status", |status| {
        status
            .init_container_statuses
            .iter()
            .flatten()
            .any(|one| one.state.as_ref().is_some_and(|state| state.running.is_some()))
    })
    .await;
    assert!(!running(&node.runtime.held.lock().unwrap(), "a"));
    node.runtime.exit("i", 0, "");
    node.until_ready("web").await;
    kubelet.shutdown().await;
}

#[tokio::test]
async fn a_failing_readiness_probe_keeps_the_pod_out_and_is_told() {
    let Some(node) = node("probe") else { return };
    let kubelet = node.start().await;
    let pod = |name: &str, command: &str| {
        format!(
            "{{metadata: {{name: {name}}}, spec: {{containers: [{{name: a, image: 'busybox:1', \
             readinessProbe: {{exec: {{command: [{command}]}}}}}}]}}}}"
        )
    };
    node.create(&pod("good", "'true'")).await;
    node.create(&pod("bad", "'false'")).await;
    node.until_ready("good").await;
    node.fake
        .until("the probe's failure", |fake| {
            let events = fake.all::<k8s_openapi::api::core::v1::Event>();
            events.iter().any(|event| event.message.as_deref() == Some("Readiness probe failed: said no"))
        })
        .await;
    let status = node.until("bad", "running", |status| status.phase.as_deref() == Some("Running")).await;
    assert!(!crate::support::is_true(&status, "Ready"));
    kubelet.shutdown().await;
}

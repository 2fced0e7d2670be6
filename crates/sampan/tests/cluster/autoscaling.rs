//! A deployment that grows and shrinks with the load that its containers really have.

use crate::harness::{Cluster, Machine, possible, said};
use crate::image;

/// Burns processor time, up to four times what it asks for, while a file is there.
const BURNERS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: { name: burner }
spec:
  replicas: 1
  selector: { matchLabels: { app: burner } }
  template:
    metadata: { labels: { app: burner } }
    spec:
      terminationGracePeriodSeconds: 1
      volumes: [{ name: load, hostPath: { path: FOLDER, type: Directory } }]
      containers:
      - name: burn
        image: user-center:v1.0
        command: [sh, -c, 'while :; do if [ ! -e /load/on ]; then sleep 2; fi; done']
        volumeMounts: [{ name: load, mountPath: /load }]
        resources: { requests: { cpu: 50m }, limits: { cpu: 200m } }
";

/// Half of what the pods ask for; nothing of the past holds against fewer.
const AUTOSCALER: &str = "
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: { name: burner }
spec:
  scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: burner }
  minReplicas: 1
  maxReplicas: 3
  metrics:
  - type: Resource
    resource: { name: cpu, target: { type: Utilization, averageUtilization: 50 } }
  behavior:
    scaleDown: { stabilizationWindowSeconds: 0 }
";

fn replicas(machine: &Machine, deployment: &str, want: &str) {
    machine.until(&format!("{deployment} has {want} replicas"), |machine| {
        let shown = machine.kubectl_args(&["get", "deployment", deployment, "-o", "jsonpath={.spec.replicas}"]);
        let told = machine.kubectl("get hpa -o yaml");
        if shown == want { Ok(()) } else { Err(format!("{shown}\n{told}")) }
    });
}

/// The status and reason of one of an autoscaler's conditions.
fn condition(machine: &Machine, type_: &str) -> String {
    let path = format!(
        "jsonpath={{range .status.conditions[?(@.type==\"{type_}\")]}}{{.status}} {{.reason}}: {{.message}}{{end}}"
    );
    machine.kubectl_args(&["get", "hpa", "burner", "-o", &path])
}

#[test]
fn a_deployment_follows_its_load() {
    if !possible() {
        return;
    }
    let cluster = Cluster::up(&["--metrics-interval", "2"]);
    let machine = cluster.first();
    image::import(machine, "v1.0");
    let folder = machine.data_dir.join("load");
    std::fs::create_dir(&folder).unwrap();
    let load = folder.join("on");
    std::fs::write(&load, "").unwrap();
    machine.apply(&BURNERS.replace("FOLDER", folder.to_str().unwrap()));
    machine.apply(AUTOSCALER);

    replicas(machine, "burner", "3");
    // Far more than is wanted: of what one pod asks for, or of what all do.
    machine.until("the table shows the load", |machine| {
        let table = machine.kubectl("get hpa burner --no-headers");
        let shown = table.split_once("cpu: ").and_then(|(_, rest)| rest.split_once("%/50%"));
        let percent = shown.and_then(|(percent, _)| percent.parse::<i32>().ok());
        if percent.is_some_and(|percent| percent > 55) { Ok(()) } else { Err(table) }
    });
    let active = condition(machine, "ScalingActive");
    assert!(active.starts_with("True ValidMetricFound: "), "{active}");
    assert!(condition(machine, "AbleToScale").starts_with("True "), "{}", condition(machine, "AbleToScale"));
    machine.until("the event", |machine| {
        let output = machine.try_kubectl(&["get", "events", "--field-selector", "reason=SuccessfulRescale"]);
        let told = said(&output);
        let why = "New size: 3; reason: cpu resource utilization (percentage of request) above target";
        if told.contains(why) { Ok(()) } else { Err(told) }
    });

    std::fs::remove_file(&load).unwrap();
    replicas(machine, "burner", "1");
    machine.until("the pods are gone", |machine| {
        let pods = machine.kubectl("get pods --no-headers");
        if pods.lines().count() == 1 { Ok(()) } else { Err(pods) }
    });

    let made =
        machine.kubectl_args(&["create", "deployment", "idle", "--image=user-center:v1.0", "--", "sleep", "600"]);
    assert!(made.contains("idle created"), "{made}");
    let output = machine.try_kubectl(&["autoscale", "deployment/idle", "--min=2", "--max=4", "--cpu-percent=80"]);
    let told = said(&output);
    assert!(output.status.success() && !told.contains("Warning"), "{told}");
    replicas(machine, "idle", "2");
    cluster.finish();
}

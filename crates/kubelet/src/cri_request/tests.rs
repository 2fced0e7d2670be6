//! One pod with everything, and the requests it becomes.

use super::*;
use crate::dirs::Dirs;
use crate::environment::field_ref::Addresses;
use crate::environment::{Sources, build};
use crate::objects::Objects;
use crate::pod::resources::Amounts;
use crate::pod::tests::from_yaml;
use std::path::Path;

const POD: &str = "
metadata: {name: web, namespace: shop, uid: u1, labels: {app: web}, annotations: {note: x}}
spec:
  hostname: db
  securityContext: {runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000, sysctls: [{name: net.core.somaxconn, value: '9'}]}
  containers:
  - name: a
    image: busybox:1
    command: [sh, -c, 'echo $(A)']
    args: ['$(MISSING)']
    env: [{name: A, value: x}]
    ports: [{containerPort: 80, hostPort: 8080, protocol: UDP}]
    resources: {requests: {cpu: 250m, memory: 64Mi}, limits: {cpu: 500m, memory: 128Mi}}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {add: [NET_ADMIN], drop: [ALL]}}
    volumeMounts:
    - {name: cfg, mountPath: /cfg}
    - {name: tmp, mountPath: tmp, subPathExpr: 'of-$(A)', mountPropagation: HostToContainer}
  volumes: [{name: cfg, configMap: {name: c}}, {name: tmp, emptyDir: {}}]
";

#[test]
fn a_sandbox_carries_the_pods_settings() {
    let pod = from_yaml(POD);
    let dns =
        dns::ClusterDns { servers: vec!["10.43.0.10".into()], domain: "cluster.local".into(), ..Default::default() };
    let config = sandbox::config(&pod, 2, &Dirs::new(Path::new("/d")), "/kubepods/burstable/podu1", &dns);
    let metadata = config.metadata.unwrap();
    assert_eq!((metadata.name.as_str(), metadata.namespace.as_str(), metadata.attempt), ("web", "shop", 2));
    assert_eq!((config.hostname.as_str(), config.log_directory.as_str()), ("db", "/d/pod-logs/shop_web_u1"));
    assert_eq!((config.labels["app"].as_str(), config.labels[labels::POD_UID].as_str()), ("web", "u1"));
    assert_eq!(config.annotations["note"], "x");
    let mapping = &config.port_mappings[0];
    assert_eq!(
        (mapping.protocol, mapping.container_port, mapping.host_port),
        (cri::v1::Protocol::Udp as i32, 80, 8080)
    );
    let linux = config.linux.unwrap();
    assert_eq!(
        (linux.cgroup_parent.as_str(), linux.sysctls["net.core.somaxconn"].as_str()),
        ("/kubepods/burstable/podu1", "9")
    );
    let security = linux.security_context.unwrap();
    assert_eq!(security.run_as_user.unwrap().value, 1000);
    assert_eq!(security.supplemental_groups, [3000]);
    let resources = linux.resources.unwrap();
    assert_eq!((resources.cpu_shares, resources.cpu_quota, resources.memory_limit_in_bytes), (256, 50_000, 128 << 20));
}

#[test]
fn a_container_carries_its_settings() {
    let pod = from_yaml(POD);
    let spec = &crate::pod::spec(&pod).containers[0];
    let (objects, addresses, node) = (Objects::default(), Addresses::default(), Amounts::default());
    let sources = Sources { pod: &pod, objects: &objects, services: &[], addresses: &addresses, node: &node };
    let environment = build(&sources, spec).unwrap();
    let dirs = Dirs::new(Path::new("/d"));
    let planned = mounts::plan(&pod, spec, &environment, |volume| dirs.volume_source(&pod, volume)).unwrap();
    assert_eq!(planned[1].sub_path, "of-x");
    let config = container::config(container::Parts {
        pod: &pod,
        container: spec,
        attempt: 3,
        image_ref: "sha256:1".into(),
        image_user: &Default::default(),
        environment: &environment,
        mounts: planned.into_iter().map(|planned| planned.mount).collect(),
        target: None,
        memory_capacity: 1 << 30,
        unified: true,
        dirs: &dirs,
    });
    assert_eq!((config.command.join(" "), config.args.join(" ")), ("sh -c echo x".into(), "$(MISSING)".into()));
    assert_eq!(config.log_path, "a/3.log");
    assert_eq!(
        (config.labels[labels::CONTAINER_NAME].as_str(), config.annotations[labels::RESTART_COUNT].as_str()),
        ("a", "3")
    );
    let image = config.image.unwrap();
    assert_eq!((image.image.as_str(), image.user_specified_image.as_str()), ("sha256:1", "busybox:1"));
    let mounts: Vec<_> =
        config.mounts.iter().map(|m| (m.container_path.as_str(), m.host_path.as_str(), m.readonly)).collect();
    let wanted = [
        ("/cfg", "/d/pods/u1/volumes/kubernetes.io~configmap/cfg", true),
        ("/tmp", "/d/pods/u1/volumes/kubernetes.io~empty-dir/tmp", false),
    ];
    assert_eq!(mounts, wanted);
    assert_eq!(config.mounts[1].propagation, cri::v1::MountPropagation::PropagationHostToContainer as i32);
    let linux = config.linux.unwrap();
    let resources = linux.resources.unwrap();
    assert_eq!((resources.cpu_shares, resources.cpu_quota, resources.memory_limit_in_bytes), (256, 50_000, 128 << 20));
    assert_eq!(resources.oom_score_adj, 938);
    assert_eq!(resources.unified["memory.oom.group"], "1");
    assert!(resources::of_container(&pod, spec, 1 << 30, false).unified.is_empty(), "v1 has no such files");
    let security = linux.security_context.unwrap();
    assert!(security.no_new_privs && security.readonly_rootfs && !security.privileged);
    assert_eq!(security.capabilities.unwrap().drop_capabilities, ["ALL"]);
    assert_eq!(security.run_as_user.unwrap().value, 1000);
}

#[test]
fn a_missing_variable_of_a_sub_path_is_named() {
    let pod = from_yaml(POD);
    let spec = &crate::pod::spec(&pod).containers[0];
    let none = crate::environment::Environment::default();
    let error = mounts::plan(&pod, spec, &none, |_| Some("/v".into())).unwrap_err();
    assert_eq!(error, "failed to expand subPath for volumeMount \"tmp\": missing value for \"A\"");
}

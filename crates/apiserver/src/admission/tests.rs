//! What each plugin does to writes, by table.

use super::node_restriction::Case;
use super::*;
use crate::authz::memory;
use api::Subresource;
use api::user::User;
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, PodSpec, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use registry::{Books, Notes, Operation};
use serde_json::{Value, json};

fn of<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn attempt<'a, K: Kind>(user: &'a User, operation: Operation, namespace: &'a str, name: &'a str) -> Attempt<'a> {
    let kind = api::object::find(K::DEF.group, K::DEF.version, K::DEF.plural).unwrap();
    let notes = Notes::unheard();
    Attempt {
        def: &K::DEF,
        kind,
        operation,
        namespace,
        name,
        subresource: None,
        user,
        dry_run: false,
        options: None,
        notes,
        books: Books::default(),
    }
}

/// Mutates a new object.
async fn mutate<K: Kind>(chain: &Chain, attempt: &Attempt<'_>, object: &mut K) -> Result<(), Status> {
    let mut boxed: Box<dyn Object> = object.boxed();
    let outcome = chain.mutate(attempt, &mut boxed, None).await;
    *object = boxed.downcast::<K>().unwrap().clone();
    outcome
}

/// Serves every kind and has no object. Its files are open, and go with it.
async fn registry() -> Arc<Registry> {
    let dir = tempfile::tempdir().unwrap();
    let store = store::Embedded::open(dir.path(), store::Options::default()).unwrap();
    Registry::open(Arc::new(store), registry::Options::default()).await.unwrap()
}

async fn cluster() -> (Chain, Arc<memory::Memory>) {
    let (client, memory) = memory::client();
    for (name, phase) in [("dev", "Active"), ("old", "Terminating")] {
        memory.put::<Namespace>(of(json!({"metadata": {"name": name}, "status": {"phase": phase}})));
        memory.put::<ServiceAccount>(of(json!({"metadata": {"name": "default", "namespace": name}})));
    }
    memory.put::<PriorityClass>(of(json!({"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"})));
    let authorizer = Authorizer::start(&client);
    authorizer.synced().await;
    let chain = Chain::new(&client, &registry().await, &authorizer, &Callout::new(&client), &Default::default());
    for name in ["high"] {
        client.cache::<PriorityClass>().synced().await;
        assert!(client.cache::<PriorityClass>().get("", name).is_some());
    }
    (chain, memory)
}

fn plain_pod(name: &str) -> Pod {
    of(json!({"metadata": {"name": name, "namespace": "dev"}, "spec": {"containers": [{"name": "c"}]}}))
}

#[tokio::test]
async fn a_new_pod_gets_account_token_priority_and_tolerations() {
    let (chain, _memory) = cluster().await;
    let user = User::component("test");
    let create = attempt::<Pod>(&user, Operation::Create, "dev", "web");
    let mut pod = plain_pod("web");
    mutate(&chain, &create, &mut pod).await.unwrap();
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!((spec.service_account_name.as_deref(), spec.priority), (Some("default"), Some(0)));
    let [volume] = spec.volumes.as_deref().unwrap() else { panic!("{spec:?}") };
    let suffix = volume.name.strip_prefix("kube-api-access-").unwrap();
    assert_eq!(suffix.len(), 5);
    let mount = &spec.containers[0].volume_mounts.as_ref().unwrap()[0];
    assert_eq!(
        serde_json::to_value(mount).unwrap(),
        json!({"name": volume.name, "readOnly": true, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"})
    );
    assert_eq!(
        serde_json::to_value(&volume.projected).unwrap(),
        json!({"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace",
                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]})
    );
    let tolerations: Vec<String> = spec
        .tolerations
        .iter()
        .flatten()
        .map(|one| {
            format!(
                "{} {} {}",
                one.key.as_deref().unwrap(),
                one.effect.as_deref().unwrap(),
                one.toleration_seconds.unwrap()
            )
        })
        .collect();
    assert_eq!(
        tolerations,
        ["node.kubernetes.io/not-ready NoExecute 300", "node.kubernetes.io/unreachable NoExecute 300"]
    );
    let once = pod.clone();
    mutate(&chain, &create, &mut pod).await.unwrap();
    assert_eq!(pod, once, "a retry changes no more");
}

#[tokio::test]
async fn pods_that_cannot_be_are_refused() {
    let (chain, _memory) = cluster().await;
    let user = User::component("test");
    let edit = |edits: Value| {
        let mut pod = serde_json::to_value(plain_pod("web")).unwrap();
        for (key, value) in edits.as_object().unwrap() {
            pod["spec"][key] = value.clone();
        }
        of::<Pod>(pod)
    };
    let mut mirror = edit(json!({"serviceAccountName": "default"}));
    mirror.metadata.annotations = Some([("kubernetes.io/config.mirror".to_owned(), "x".to_owned())].into());
    let table = [
        (
            "dev",
            edit(json!({"serviceAccountName": "gone"})),
            403,
            r#"pods "web" is forbidden: error looking up service account dev/gone: serviceaccount "gone" not found"#,
        ),
        (
            "dev",
            edit(json!({"priorityClassName": "gone"})),
            403,
            r#"pods "web" is forbidden: no PriorityClass with name gone was found"#,
        ),
        (
            "dev",
            edit(json!({"priorityClassName": "high", "priority": 5})),
            403,
            r#"pods "web" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name"#,
        ),
        ("dev", mirror, 403, r#"pods "web" is forbidden: a mirror pod may not reference service accounts"#),
        (
            "old",
            edit(json!({})),
            403,
            r#"pods "web" is forbidden: unable to create new content in namespace old because it is being terminated"#,
        ),
        ("none", edit(json!({})), 404, r#"namespaces "none" not found"#),
    ];
    for (namespace, mut pod, code, text) in table {
        let create = attempt::<Pod>(&user, Operation::Create, namespace, "web");
        let status = mutate(&chain, &create, &mut pod).await.unwrap_err();
        assert_eq!((status.code, status.message.as_str()), (code, text));
    }
}

#[tokio::test]
async fn the_first_pod_of_a_namespace_waits_for_its_account() {
    let (chain, memory) = cluster().await;
    memory.put::<Namespace>(of(json!({"metadata": {"name": "new"}})));
    let user = User::component("test");
    let create = attempt::<Pod>(&user, Operation::Create, "new", "web");
    let mut pod = plain_pod("web");
    let controller = async {
        tokio::task::yield_now().await;
        memory.put::<ServiceAccount>(of(json!({"metadata": {"name": "default", "namespace": "new"}})));
    };
    let (admitted, ()) = tokio::join!(mutate(&chain, &create, &mut pod), controller);
    admitted.unwrap();
    assert!(pod.spec.unwrap().volumes.is_some());
}

#[test]
fn accounts_and_pods_may_go_without_a_token() {
    // the account's and the pod's automount, and whether there is a volume
    let table =
        [(None, None, true), (Some(false), None, false), (Some(false), Some(true), true), (None, Some(false), false)];
    for (account, pod, mounted) in table {
        let mut spec = plain_pod("a").spec.unwrap();
        spec.automount_service_account_token = pod;
        let account = ServiceAccount {
            automount_service_account_token: account,
            image_pull_secrets: Some(vec![of(json!({"name": "pull"}))]),
            ..ServiceAccount::default()
        };
        service_account::equip(&mut spec, &account, || "abcde".to_owned());
        assert_eq!(spec.volumes.is_some(), mounted, "{account:?} {pod:?}");
        assert_eq!(spec.image_pull_secrets.unwrap()[0].name, "pull");
    }
    let mut own = plain_pod("a").spec.unwrap();
    own.containers[0].volume_mounts =
        Some(vec![of(json!({"name": "mine", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}))]);
    service_account::equip(&mut own, &ServiceAccount::default(), || "abcde".to_owned());
    assert_eq!(own.volumes, None, "who mounts something there keeps it");
}

#[test]
fn default_tolerations_leave_spoken_words_alone() {
    let table = [
        (json!([]), 2),
        (json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "tolerationSeconds": 5}]), 2),
        (json!([{"operator": "Exists"}]), 1),
        (json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]), 3),
    ];
    for (tolerations, count) in table {
        let mut spec = PodSpec { tolerations: of(tolerations.clone()), ..PodSpec::default() };
        default_toleration_seconds::tolerate(&mut spec, 300);
        assert_eq!(spec.tolerations.unwrap().len(), count, "{tolerations}");
    }
}

#[test]
fn priorities_come_from_classes() {
    let class = |name: &str, value: i32, default: bool| -> Arc<PriorityClass> {
        Arc::new(of(json!({"metadata": {"name": name}, "value": value, "globalDefault": default})))
    };
    let classes = [class("a", 5, true), class("b", 3, true), class("c", 1, false)];
    let default = priority::default_class(&classes).unwrap();
    assert_eq!(default.metadata.name.as_deref(), Some("b"), "the lowest of several defaults");
    let mut spec = PodSpec::default();
    priority::resolve(&mut spec, Some(default)).unwrap();
    assert_eq!((spec.priority, spec.priority_class_name.as_deref()), (Some(3), Some("b")));
    let mut spec = PodSpec { priority: Some(0), ..PodSpec::default() };
    priority::resolve(&mut spec, None).unwrap();
    assert_eq!((spec.priority, spec.priority_class_name), (Some(0), None), "the computed value may be given");
}

#[tokio::test]
async fn some_namespaces_stay_and_one_class_is_the_default() {
    let (chain, memory) = cluster().await;
    let user = User::component("test");
    for (name, refused) in [("default", true), ("kube-system", true), ("kube-node-lease", true), ("dev", false)] {
        let answer = chain.validate(&attempt::<Namespace>(&user, Operation::Delete, "", name), None, None).await;
        let text = answer.err().map(|status| status.message);
        let wanted = format!("namespaces {name:?} is forbidden: this namespace may not be deleted");
        assert_eq!(text, refused.then_some(wanted));
    }
    let update = attempt::<ConfigMap>(&user, Operation::Update, "old", "a");
    let mut map = ConfigMap::default();
    mutate(&chain, &update, &mut map).await.unwrap();
    let class =
        |name: &str| -> PriorityClass { of(json!({"metadata": {"name": name}, "value": 1, "globalDefault": true})) };
    let second = class("second");
    let create = attempt::<PriorityClass>(&user, Operation::Create, "", "second");
    chain.validate(&create, Some(&second), None).await.unwrap();
    memory.put(class("first"));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let status = loop {
        match chain.validate(&create, Some(&second), None).await {
            Err(status) => break status,
            Ok(_) => tokio::task::yield_now().await,
        }
        assert!(std::time::Instant::now() < deadline);
    };
    assert!(status.message.contains("PriorityClass first is already marked as default"), "{status}");
}

#[tokio::test]
async fn who_is_told_to_deny_denies_everything() {
    let (client, _memory) = memory::client();
    let authorizer = Authorizer::start(&client);
    let options = AdmissionOptions { enable: vec!["AlwaysDeny".to_owned()], ..AdmissionOptions::default() };
    let settings = Settings { plugins: options.read().unwrap(), ..Settings::default() };
    let chain = Chain::new(&client, &registry().await, &authorizer, &Callout::new(&client), &settings);
    let user = User::component("test");
    let map: ConfigMap = of(json!({"metadata": {"name": "a"}}));
    let create = attempt::<ConfigMap>(&user, Operation::Create, "dev", "a");
    let status = chain.validate(&create, Some(&map), None).await.map(drop).unwrap_err();
    let says = "configmaps \"a\" is forbidden: admission control is denying all modifications";
    assert_eq!((status.code, status.message.as_str()), (403, says));
}

fn mirror(edits: Value) -> Pod {
    let mut pod = json!({
        "metadata": {
            "name": "m", "namespace": "kube-system", "annotations": {"kubernetes.io/config.mirror": "x"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-1", "controller": true}],
        },
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}]},
    });
    for (path, value) in edits.as_object().unwrap() {
        *pod.pointer_mut(path).unwrap() = value.clone();
    }
    of(pod)
}

#[test]
fn nodes_create_mirrors_of_their_own_pods_only() {
    let user = User { name: "system:node:n1".to_owned(), groups: vec![User::NODES.to_owned()], ..User::default() };
    let create = attempt::<Pod>(&user, Operation::Create, "kube-system", "m");
    let table = [
        (json!({}), None),
        (json!({"/metadata/annotations": {}}), Some("can only create mirror pods")),
        (json!({"/spec/nodeName": "n2"}), Some("can only create pods with spec.nodeName set to itself")),
        (json!({"/metadata/ownerReferences": []}), Some("with an owner reference set to itself")),
        (json!({"/metadata/ownerReferences/0/name": "n2"}), Some("with an owner reference set to itself")),
        (json!({"/metadata/ownerReferences/0/uid": "x"}), Some("node n1 UID mismatch: expected x got node-1")),
        (json!({"/metadata/ownerReferences/0/controller": false}), Some("with a controller owner reference")),
        (
            json!({"/spec": {"nodeName": "n1", "containers": [], "volumes": [{"name": "v", "secret": {"secretName": "s"}}]}}),
            Some("can not create pods that reference secrets"),
        ),
        (
            json!({"/spec": {"nodeName": "n1", "containers": [], "serviceAccountName": "a"}}),
            Some("can not create pods that reference a service account"),
        ),
    ];
    for (edits, wanted) in table {
        let pod = mirror(edits.clone());
        let case =
            Case { node: "n1", attempt: &create, object: Some(&pod), old: None, node_uid: Some("node-1"), pod: None };
        match (case.judge(), wanted) {
            (Ok(()), None) => {}
            (Err(why), Some(text)) => assert!(why.contains(text), "{edits}: {why}"),
            (judged, _) => panic!("{edits}: {judged:?}"),
        }
    }
}

#[test]
fn nodes_write_their_own_objects_only() {
    let user = User { name: "system:node:n1".to_owned(), groups: vec![User::NODES.to_owned()], ..User::default() };
    let node = |name: &str, labels: Value, taints: Value| -> Node {
        of(json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}}))
    };
    let judge = |attempt: Attempt<'_>, object: Option<&dyn Object>, old: Option<&dyn Object>| {
        Case { node: "n1", attempt: &attempt, object, old, node_uid: None, pod: None }.judge().err().unwrap_or_default()
    };
    let plain = node("n1", json!({}), json!([]));
    let create = |name| attempt::<Node>(&user, Operation::Create, "", name);
    let update = |name| attempt::<Node>(&user, Operation::Update, "", name);
    let zone =
        node("n1", json!({"topology.kubernetes.io/zone": "a", "kubernetes.io/os": "linux", "own": "x"}), json!([]));
    assert_eq!(judge(create("n1"), Some(&zone), None), "");
    let role = node(
        "n1",
        json!({"node-role.kubernetes.io/control-plane": "", "x.node-restriction.kubernetes.io/a": "b"}),
        json!([]),
    );
    assert_eq!(
        judge(create("n1"), Some(&role), None),
        "node \"n1\" is not allowed to set the following labels: node-role.kubernetes.io/control-plane, \
         x.node-restriction.kubernetes.io/a"
    );
    assert!(judge(update("n1"), Some(&role), Some(&plain)).starts_with("is not allowed to modify labels: "));
    assert_eq!(judge(update("n1"), Some(&role), Some(&role)), "", "what an administrator set may stay");
    let tainted = node("n1", json!({}), json!([{"key": "a", "effect": "NoSchedule"}]));
    assert_eq!(judge(update("n1"), Some(&plain), Some(&tainted)), "node \"n1\" is not allowed to modify taints");
    let other = node("n2", json!({}), json!([]));
    assert_eq!(judge(update("n2"), Some(&other), Some(&other)), "node \"n1\" is not allowed to modify node \"n2\"");
    let lease: Lease = of(json!({"metadata": {"name": "n2"}}));
    let lease_of = |namespace, name| attempt::<Lease>(&user, Operation::Update, namespace, name);
    assert_eq!(judge(lease_of("kube-node-lease", "n1"), Some(&lease), None), "");
    assert!(judge(lease_of("kube-node-lease", "n2"), Some(&lease), None).contains("same name as the requesting node"));
    assert!(judge(lease_of("dev", "n1"), Some(&lease), None).contains("kube-node-lease"));
    let (own, foreign) = (mirror(json!({})), mirror(json!({"/spec/nodeName": "n2"})));
    let status = Attempt {
        subresource: Some(Subresource::Status),
        ..attempt::<Pod>(&user, Operation::Update, "kube-system", "m")
    };
    assert_eq!(judge(status, Some(&own), Some(&own)), "");
    assert!(judge(status, Some(&foreign), Some(&foreign)).contains("can only update pod status"));
    let delete = attempt::<Pod>(&user, Operation::Delete, "kube-system", "m");
    assert_eq!(judge(delete, None, Some(&own)), "");
    assert!(judge(delete, None, Some(&foreign)).contains("can only delete pods"));
}

async fn with_rights() -> (Chain, User) {
    let (client, memory) = memory::client();
    let role = |name: &str, rules: Value| of::<ClusterRole>(json!({"metadata": {"name": name}, "rules": rules}));
    memory.put(role("own", json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["clusterroles"], "resourceNames": ["bindable"], "verbs": ["bind"]},
        {"apiGroups": ["certificates.k8s.io"], "resources": ["signers"], "resourceNames": ["example.com/*"], "verbs": ["approve"]},
    ])));
    memory.put(role("bindable", json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])));
    memory.put::<ClusterRoleBinding>(of(json!({"metadata": {"name": "own"},
        "roleRef": {"apiGroup": "", "kind": "ClusterRole", "name": "own"}, "subjects": [{"kind": "User", "name": "ann"}]})));
    let authorizer = Authorizer::start(&client);
    authorizer.synced().await;
    (
        Chain::new(&client, &registry().await, &authorizer, &Callout::new(&client), &Default::default()),
        User { name: "ann".to_owned(), ..User::default() },
    )
}

#[tokio::test]
async fn roles_and_bindings_do_not_widen_rights() {
    let (chain, ann) = with_rights().await;
    let role = |verb: &str| -> Role {
        of(
            json!({"metadata": {"name": "r", "namespace": "dev"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": [verb]}]}),
        )
    };
    let create = attempt::<Role>(&ann, Operation::Create, "dev", "r");
    chain.validate(&create, Some(&role("get")), None).await.unwrap();
    let status = chain.validate(&create, Some(&role("delete")), None).await.map(drop).unwrap_err();
    assert_eq!(
        status.message,
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"ann\" (groups=[]) is attempting to grant RBAC \
         permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\"]}"
    );
    let update = attempt::<Role>(&ann, Operation::Update, "dev", "r");
    chain.validate(&update, Some(&role("delete")), Some(&role("delete"))).await.unwrap();
    let binding = |role: &str| -> RoleBinding {
        of(json!({"metadata": {"name": "b", "namespace": "dev"},
            "roleRef": {"apiGroup": "", "kind": "ClusterRole", "name": role}, "subjects": [{"kind": "User", "name": "eve"}]}))
    };
    let bind = attempt::<RoleBinding>(&ann, Operation::Create, "dev", "b");
    chain.validate(&bind, Some(&binding("bindable")), None).await.unwrap();
    assert_eq!(chain.validate(&bind, Some(&binding("own")), None).await.map(drop), Ok(()), "what one has one may bind");
    let status = chain.validate(&bind, Some(&binding("gone")), None).await.map(drop).unwrap_err();
    assert_eq!(
        (status.code, status.message.as_str()),
        (404, "clusterroles.rbac.authorization.k8s.io \"gone\" not found")
    );
    let all: ClusterRole = of(json!({"metadata": {"name": "a"}, "aggregationRule": {"clusterRoleSelectors": [{}]}}));
    let create = attempt::<ClusterRole>(&ann, Operation::Create, "", "a");
    let status = chain.validate(&create, Some(&all), None).await.map(drop).unwrap_err();
    assert!(status.message.contains("must have cluster-admin privileges"), "{status}");
    let masters = User::component("test");
    let create = attempt::<ClusterRole>(&masters, Operation::Create, "", "a");
    chain.validate(&create, Some(&all), None).await.unwrap();
}

#[tokio::test]
async fn certificates_are_asked_for_by_whom_they_say_and_approved_by_who_may() {
    let (chain, ann) = with_rights().await;
    let request = |signer: &str, organization: &str| {
        let mut request: CertificateSigningRequest = of(json!({"metadata": {"name": "c"}, "spec": {
            "signerName": signer, "username": "root", "groups": ["system:masters"], "request": ""}}));
        request.spec.request.0 = crate::pki::test_csr("ann", organization, &[]).into_bytes();
        request
    };
    let create = attempt::<CertificateSigningRequest>(&ann, Operation::Create, "", "c");
    let mut asked = request("kubernetes.io/kube-apiserver-client", "devs");
    mutate(&chain, &create, &mut asked).await.unwrap();
    assert_eq!((asked.spec.username.as_deref(), &asked.spec.groups), (Some("ann"), &None));
    chain.validate(&create, Some(&asked), None).await.unwrap();
    let masters = request("kubernetes.io/kube-apiserver-client", "system:masters");
    let status = chain.validate(&create, Some(&masters), None).await.map(drop).unwrap_err();
    assert!(
        status
            .message
            .ends_with("use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"),
        "{status}"
    );
    let approve = Attempt {
        subresource: Some(Subresource::Approval),
        ..attempt::<CertificateSigningRequest>(&ann, Operation::Update, "", "c")
    };
    let status = chain.validate(&approve, Some(&asked), Some(&asked)).await.map(drop).unwrap_err();
    assert!(
        status.message.ends_with(
            "user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\""
        ),
        "{status}"
    );
    let own = request("example.com/mine", "devs");
    chain.validate(&approve, Some(&own), Some(&own)).await.unwrap();
    let sign = Attempt { subresource: Some(Subresource::Status), ..approve };
    chain.validate(&sign, Some(&own), Some(&own)).await.unwrap();
    let mut signed = own.clone();
    signed.status.get_or_insert_default().certificate = Some(k8s_openapi::ByteString(b"cert".to_vec()));
    let status = chain.validate(&sign, Some(&signed), Some(&own)).await.map(drop).unwrap_err();
    assert!(status.message.contains("not permitted to sign"), "{status}");
}

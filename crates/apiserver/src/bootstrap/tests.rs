//! A new cluster's contents, what a second start leaves alone, join tokens, and who is approved as a node.

use super::approval::approves;
use super::policy::Policy;
use super::reconcile::{Action, plan};
use super::*;
use crate::authn::bootstrap_token;
use crate::authz::memory;
use crate::pki::{KUBE_APISERVER_CLIENT_KUBELET, KUBELET_SERVING};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Endpoints, Namespace, Node, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::json;

pub(crate) fn test_facts() -> Facts {
    Facts {
        address: "192.0.2.1".parse().unwrap(),
        port: 6443,
        alone: true,
        server: "https://192.0.2.1:6443".to_owned(),
        api_service_ip: "10.43.0.1".parse().unwrap(),
        dns_service_ip: "10.43.0.10".parse().unwrap(),
        server_ca: "server ca".to_owned(),
        client_ca: "client ca".to_owned(),
        front_proxy_ca: "front proxy ca".to_owned(),
    }
}

#[test]
fn the_table_of_policy_is_sound() {
    let policy = Policy::default_policy().unwrap();
    let roles: Vec<&str> = policy.cluster_roles.iter().map(|role| role.metadata.name.as_deref().unwrap()).collect();
    for binding in &policy.cluster_bindings {
        assert!(roles.contains(&binding.role_ref.name.as_str()), "{binding:?}");
    }
    for binding in &policy.bindings {
        let own = |role: &&Role| {
            role.metadata.namespace == binding.metadata.namespace
                && role.metadata.name.as_deref() == Some(&binding.role_ref.name)
        };
        assert!(policy.roles.iter().any(|role| own(&role)), "{binding:?}");
    }
    let bad = Policy::parse("clusterrole a\n  get\n").unwrap_err();
    assert_eq!(bad.to_string(), "line 2 of the default policy: a rule has two to four parts");
}

#[tokio::test]
async fn a_new_cluster_has_what_clients_expect() {
    let (client, memory) = memory::client();
    bootstrap(&client, &test_facts()).await.unwrap();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        client.get::<Namespace>("", name).await.unwrap();
    }
    let ip = |service: Service| service.spec.unwrap().cluster_ip.unwrap();
    assert_eq!(ip(client.get("default", "kubernetes").await.unwrap()), "10.43.0.1");
    assert_eq!(ip(client.get("kube-system", "kube-dns").await.unwrap()), "10.43.0.10");
    let info: ConfigMap = client.get("kube-public", "cluster-info").await.unwrap();
    assert!(info.data.unwrap()["kubeconfig"].contains("server: https://192.0.2.1:6443\n"));
    let edit: ClusterRole = client.get("", "edit").await.unwrap();
    assert!(edit.rules.unwrap().len() > 20, "an aggregated role shows its rules");

    let before = memory.count();
    let mut moved = test_facts();
    moved.address = "192.0.2.2".parse().unwrap();
    bootstrap(&client, &moved).await.unwrap();
    assert_eq!(memory.count(), before, "a second start makes nothing new");
    let slice: EndpointSlice = client.get("default", "kubernetes").await.unwrap();
    assert_eq!(slice.endpoints.unwrap()[0].addresses, ["192.0.2.2"], "but says where the server is now");
}

#[tokio::test]
async fn several_servers_are_announced_by_family_and_port() {
    let (client, _memory) = memory::client();
    bootstrap(&client, &Facts { alone: false, ..test_facts() }).await.unwrap();
    assert_eq!(client.find::<EndpointSlice>("default", "kubernetes").await.unwrap(), None, "nobody knows them yet");
    let at = |text: &str| text.parse::<SocketAddr>().unwrap();
    let (one, two, other) = (at("192.0.2.1:6443"), at("192.0.2.2:6443"), at("192.0.2.1:7443"));
    announce(&client, &[other, two, one, two]).await.unwrap();
    let addresses = |slice: EndpointSlice| -> Vec<String> {
        slice.endpoints.unwrap().into_iter().flat_map(|endpoint| endpoint.addresses).collect()
    };
    let endpoints: Endpoints = client.get("default", "kubernetes").await.unwrap();
    let ports: Vec<i32> = endpoints.subsets.unwrap().into_iter().map(|subset| subset.ports.unwrap()[0].port).collect();
    assert_eq!(ports, [6443, 7443]);
    let first = client.get::<EndpointSlice>("default", "kubernetes").await.unwrap();
    assert_eq!(addresses(first), ["192.0.2.1", "192.0.2.2"]);
    let further = client.get::<EndpointSlice>("default", "kubernetes-ipv4-7443").await.unwrap();
    assert_eq!((further.ports.clone().unwrap()[0].port, addresses(further)), (Some(7443), vec!["192.0.2.1".into()]));
    announce(&client, &[two]).await.unwrap();
    let first = client.get::<EndpointSlice>("default", "kubernetes").await.unwrap();
    assert_eq!(addresses(first), ["192.0.2.2"]);
    assert_eq!(client.find::<EndpointSlice>("default", "kubernetes-ipv4-7443").await.unwrap(), None);
}

#[test]
fn reconciles_default_roles_and_leaves_users_additions() {
    let policy = Policy::default_policy().unwrap();
    let wanted =
        policy.cluster_roles.into_iter().find(|role| role.metadata.name.as_deref() == Some("system:discovery"));
    let wanted = wanted.unwrap();
    assert_eq!(plan(None, wanted.clone()), Action::Create(wanted.clone()));
    assert_eq!(plan(Some(&wanted), wanted.clone()), Action::Nothing);
    let extra: k8s_openapi::api::rbac::v1::PolicyRule =
        serde_json::from_value(json!({"nonResourceURLs": ["/mine"], "verbs": ["get"]})).unwrap();
    let mut present = wanted.clone();
    present.rules = Some(vec![extra.clone()]);
    let Action::Update(merged) = plan(Some(&present), wanted.clone()) else { panic!("nothing was repaired") };
    assert!(merged.rules.as_ref().unwrap().contains(&extra));
    assert_eq!(plan(Some(&merged), wanted.clone()), Action::Nothing, "repaired once");
    present.metadata.annotations.as_mut().unwrap().insert(super::policy::AUTOUPDATE.to_owned(), "false".to_owned());
    assert_eq!(plan(Some(&present), wanted), Action::Nothing, "protected");
    let binding = policy.cluster_bindings.into_iter().next().unwrap();
    let mut other = binding.clone();
    other.role_ref.name = "view".to_owned();
    assert_eq!(plan(Some(&other), binding.clone()), Action::Replace(binding));
}

#[tokio::test]
async fn a_join_token_lets_in_until_it_expires() {
    const NOW: i64 = 1_800_000_000;
    let (client, _memory) = memory::client();
    let wanted = NewToken {
        ttl_seconds: Some(60),
        description: "for n2".to_owned(),
        groups: vec!["system:bootstrappers:worker".to_owned()],
    };
    let token = create_bootstrap_token(&client, &wanted, NOW).await.unwrap();
    let (id, hidden) = bootstrap_token::parse(&token).unwrap();
    let name = format!("bootstrap-token-{id}");
    let secret: Secret = client.get("kube-system", &name).await.unwrap();
    let user = bootstrap_token::user_of(id, hidden, Some(&secret), NOW).unwrap();
    assert_eq!(user.name, format!("system:bootstrap:{id}"));
    assert_eq!(user.groups, ["system:bootstrappers", "system:bootstrappers:worker", "system:authenticated"]);
    assert_eq!(bootstrap_token::user_of(id, hidden, Some(&secret), NOW + 60), None, "expired");
    assert_eq!(bootstrap_token::user_of(id, "0000000000000000", Some(&secret), NOW), None, "a guess");
    assert_eq!(bootstrap_token::user_of(id, "", None, NOW), None, "no secret, no token: not even an empty one");
    let mut unusable = secret.clone();
    unusable.data.as_mut().unwrap().remove("usage-bootstrap-authentication");
    assert_eq!(bootstrap_token::user_of(id, hidden, Some(&unusable), NOW), None);
    let mut greedy = secret;
    let groups = k8s_openapi::ByteString(b"system:masters".to_vec());
    greedy.data.as_mut().unwrap().insert("auth-extra-groups".to_owned(), groups);
    assert_eq!(bootstrap_token::user_of(id, hidden, Some(&greedy), NOW), None, "groups outside its own");
    let masters = NewToken { groups: vec!["system:masters".to_owned()], ..NewToken::default() };
    assert_eq!(create_bootstrap_token(&client, &masters, NOW).await.unwrap_err().code, 400);
}

fn request(signer: &str, usages: &[&str], user: &str, groups: &[&str], pem: &str) -> CertificateSigningRequest {
    let mut request: CertificateSigningRequest = serde_json::from_value(json!({
        "metadata": {"name": "csr"},
        "spec": {"signerName": signer, "usages": usages, "username": user, "groups": groups, "request": ""},
    }))
    .unwrap();
    request.spec.request.0 = pem.as_bytes().to_vec();
    request
}

#[test]
fn approves_nodes_for_themselves_only() {
    use crate::pki::test_csr;
    const CLIENT: &[&str] = &["digital signature", "client auth"];
    const SERVER: &[&str] = &["digital signature", "server auth"];
    let n1 = test_csr("system:node:n1", "system:nodes", &[]);
    let masters = test_csr("root", "system:masters", &[]);
    let serving = test_csr("system:node:n1", "system:nodes", &["n1", "192.0.2.7"]);
    let greedy = test_csr("system:node:n1", "system:nodes", &["n1", "192.0.2.8"]);
    let node: Node = serde_json::from_value(json!({"metadata": {"name": "n1"},
        "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.7"}]}}))
    .unwrap();
    let kubelet = KUBE_APISERVER_CLIENT_KUBELET;
    let nodes: &[&str] = &["system:nodes", "system:authenticated"];
    let joiners: &[&str] = &["system:bootstrappers", "system:authenticated"];
    let table: &[(CertificateSigningRequest, Option<Approval>)] = &[
        (request(kubelet, CLIENT, "system:bootstrap:abcdef", joiners, &n1), Some(Approval::NodeClient)),
        (request(kubelet, CLIENT, "system:node:n1", nodes, &n1), Some(Approval::SelfNodeClient)),
        (request(kubelet, CLIENT, "system:node:n2", nodes, &n1), None),
        (request(kubelet, CLIENT, "bob", &["system:authenticated"], &n1), None),
        (request(kubelet, CLIENT, "system:bootstrap:abcdef", joiners, &masters), None),
        (request(kubelet, SERVER, "system:bootstrap:abcdef", joiners, &n1), None),
        (request("kubernetes.io/kube-apiserver-client", CLIENT, "system:node:n1", nodes, &n1), None),
        (request("example.com/own", CLIENT, "system:node:n1", nodes, &n1), None),
        (request(KUBELET_SERVING, SERVER, "system:node:n1", nodes, &serving), Some(Approval::NodeServing)),
        (request(KUBELET_SERVING, SERVER, "system:node:n2", nodes, &serving), None),
        (request(KUBELET_SERVING, SERVER, "system:node:n1", nodes, &greedy), None),
    ];
    for (request, approval) in table {
        assert_eq!(approves(request, Some(&node)), *approval, "{request:?}");
    }
    let mut denied = table[0].0.clone();
    denied.status = serde_json::from_value(json!({"conditions": [{"type": "Denied", "status": "True"}]})).unwrap();
    assert_eq!(approves(&denied, Some(&node)), None, "decided already");
    assert_eq!(approves(&table[8].0, None), None, "a node that is not there has no addresses");
}

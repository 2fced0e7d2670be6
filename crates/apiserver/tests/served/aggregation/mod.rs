//! API servers behind this one: real HTTPS servers behind a Service, which clients reach as any other API.

mod components;
mod python;
mod server;

use crate::cluster::{Cluster, http};
use crate::programs::{Client, Program};
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use server::Flunders;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const OWN: &str = "/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.wardle.example.com";
const ROOT: &str = "/apis/wardle.example.com/v1alpha1";
const OBJECTS: &str = "/apis/wardle.example.com/v1alpha1/namespaces/default/flunders";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const DEADLINE: Duration = Duration::from_secs(60);

/// An address of this machine that endpoints may have, which loopback addresses are not; none without a network.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Sends nothing: it only chooses a source address.
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    if address.is_loopback() || address.is_unspecified() {
        eprintln!("SKIPPED: this machine has no address but loopback");
        return None;
    }
    Some(address)
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"ports": [{"port": 443, "name": "https"}]}})
}

fn endpoints(service: &str, address: IpAddr, port: u16) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}}, "addressType": "IPv4",
        "ports": [{"name": "https", "port": port}], "endpoints": [{"addresses": [address]}]})
}

fn api_service(service: &str, ca_bundle: &str) -> Value {
    json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": "v1alpha1.wardle.example.com"},
        "spec": {"group": "wardle.example.com", "version": "v1alpha1", "groupPriorityMinimum": 2000,
            "versionPriority": 10, "caBundle": ca_bundle, "service": {"namespace": "default", "name": service}}})
}

/// The condition's status, reason and message.
async fn available(cluster: &Cluster) -> (String, String, String) {
    let object = cluster.get(OWN).await.expect(200).json();
    let condition = &object["status"]["conditions"][0];
    let text = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

/// Waits until the condition has this reason; its message.
#[track_caller]
fn reason<'a>(cluster: &'a Cluster, wanted: &'a str) -> impl Future<Output = String> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        loop {
            let (_, reason, message) = available(cluster).await;
            if reason == wanted {
                return message;
            }
            if begun.elapsed() > DEADLINE {
                let known = cluster.client.transport().aggregated().await;
                panic!("{caller}: {wanted} is to come, but it is {reason}: {message}; the server knows of {known:?}");
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A cluster with a flunder server behind it that answers.
async fn start() -> Option<(Cluster, Flunders)> {
    let address = own_address()?;
    let cluster = Cluster::start().await;
    let flunders = Flunders::start(address, &cluster.pki.front_proxy_ca.certificates()[0]).await;
    cluster.post("/api/v1/namespaces/default/services", service("wardle")).await.expect(201);
    let slice = endpoints("wardle", address, flunders.address.port());
    cluster.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice).await.expect(201);
    cluster.post(SERVICES, api_service("wardle", &flunders.ca_bundle)).await.expect(201);
    assert_eq!(reason(&cluster, "Passed").await, "all checks passed");
    Some((cluster, flunders))
}

/// The group's versions in aggregated discovery.
async fn discovered(cluster: &Cluster, group: &str) -> Value {
    let all = cluster.send("GET", "/apis", &[("accept", AGGREGATED)], "").await.expect(200).json();
    let group = all["items"].as_array().unwrap().iter().find(|item| item["metadata"]["name"] == group);
    group.map_or(Value::Null, |group| group["versions"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reads_objects_of_another_server() {
    let Some((cluster, _flunders)) = start().await else { return };
    for client in [Client::Kubectl132, Client::Kubectl137] {
        let Some(kubectl) = Program::of(&cluster, client) else { continue };
        let listed = kubectl.ok("get flunders -o name").await;
        assert_eq!(listed, "flunder.wardle.example.com/one\nflunder.wardle.example.com/two\n");
        assert_eq!(kubectl.ok("get fl one -o jsonpath={.metadata.uid}").await, "one");
        let resources = kubectl.ok("api-resources --api-group=wardle.example.com --no-headers").await;
        let words: Vec<&str> = resources.split_whitespace().collect();
        assert_eq!(words, ["flunders", "fl", "wardle.example.com/v1alpha1", "true", "Flunder"]);
        let versions = kubectl.ok("api-versions").await;
        assert!(versions.contains("wardle.example.com/v1alpha1\n"), "{versions}");
        let shown = kubectl.ok("get apiservice v1alpha1.wardle.example.com v1.apps --no-headers").await;
        let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().take(3).collect()).collect();
        assert_eq!(rows[0], ["v1alpha1.wardle.example.com", "default/wardle", "True"]);
        assert_eq!(rows[1], ["v1.apps", "Local", "True"]);
    }
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_learns_who_asks_from_the_front_proxy_alone() {
    let Some((cluster, flunders)) = start().await else { return };
    let [first, ..] = &flunders.take(ROOT)[..] else { panic!("the server was never checked") };
    assert_eq!(first.all("x-remote-user"), ["system:kube-aggregator"]);
    assert_eq!(first.all("x-remote-group"), ["system:masters"]);
    assert_eq!(first.common_name, "front-proxy-client");
    let headers = [
        ("x-remote-user", "somebody-else"),
        ("x-remote-extra-scope", "all"),
        ("impersonate-user", "jane"),
        ("impersonate-group", "system:masters"),
        ("impersonate-group", "makers"),
        ("impersonate-extra-example.org%2fscope", "some"),
        ("x-own", "kept"),
        ("content-type", "application/json"),
    ];
    let flunder = server::flunder("new").to_string();
    let path = format!("{OBJECTS}?dryRun=All&x=%2F");
    let answer = cluster.send("POST", &path, &headers, flunder.clone()).await.expect(201);
    assert_eq!(answer.json()["metadata"]["name"], "new");
    let [heard] = flunders.take(OBJECTS).try_into().unwrap();
    assert_eq!((heard.method.as_str(), heard.uri.as_str()), ("POST", path.as_str()));
    assert_eq!(heard.body, flunder);
    assert_eq!(heard.common_name, "front-proxy-client");
    assert_eq!(heard.all("x-remote-user"), ["jane"]);
    assert_eq!(heard.all("x-remote-group"), ["system:masters", "makers", "system:authenticated"]);
    assert_eq!(heard.all("x-remote-extra-example.org%2fscope"), ["some"]);
    assert_eq!(heard.all("x-own"), ["kept"]);
    for name in ["x-remote-extra-scope", "impersonate-user", "impersonate-group", "authorization"] {
        assert_eq!(heard.all(name), [""; 0], "{name}");
    }
    let large = vec![b' '; 3 * 1024 * 1024 + 1];
    cluster.send("POST", OBJECTS, &[], large).await.expect(413);
    assert!(flunders.take(OBJECTS).is_empty());
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_refused_before_the_server_is_asked() {
    let Some((cluster, flunders)) = start().await else { return };
    let jane = [("impersonate-user", "jane")];
    let refused = cluster.send("GET", OBJECTS, &jane, "").await.expect(403);
    let says = "flunders.wardle.example.com is forbidden: User \"jane\" cannot list resource \"flunders\" in API group \
                \"wardle.example.com\" in the namespace \"default\"";
    assert_eq!(refused.message(), says);
    let nobody = http(&cluster.pki, None);
    let refused = cluster.open(&nobody, "GET", OBJECTS, &[("authorization", "Bearer unknown")], "").await;
    assert_eq!(refused.status(), 401);
    assert!(flunders.take(OBJECTS).is_empty());
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "reader"},
        "rules": [{"apiGroups": ["wardle.example.com"], "resources": ["flunders"], "verbs": ["list"]}]});
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
    cluster.post(&format!("{rbac}/roles"), role).await.expect(201);
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "reader"}, "subjects": [{"kind": "User", "name": "jane"}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}});
    cluster.post(&format!("{rbac}/rolebindings"), binding).await.expect(201);
    let begun = Instant::now();
    while cluster.send("GET", OBJECTS, &jane, "").await.code == 403 {
        assert!(begun.elapsed() < DEADLINE, "the role is not in force");
    }
    assert_eq!(flunders.take(OBJECTS)[0].all("x-remote-user"), ["jane"]);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_and_upgrades_flow_through() {
    let Some((cluster, flunders)) = start().await else { return };
    let watch = cluster.open(&cluster.http, "GET", &format!("{OBJECTS}?watch=1"), &[], "").await;
    assert_eq!(watch.status(), 200);
    let mut events = watch.into_body();
    assert_eq!(events.frame().await.unwrap().unwrap().into_data().unwrap(), "\n");
    for name in ["a", "b"] {
        flunders.tell(name);
        let event = events.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&event).unwrap()["object"]["metadata"]["name"], name);
    }
    let mut stream = upgraded(&cluster, &format!("{ROOT}/namespaces/default/flunders/one/echo")).await;
    for (said, heard) in [("one", "ONE"), ("and two", "AND TWO")] {
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut buffer = vec![0; heard.len()];
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(buffer, heard.as_bytes());
    }
    let [heard] = flunders.take(&format!("{OBJECTS}/one/echo")).try_into().unwrap();
    assert_eq!(heard.all("x-remote-user"), ["kubernetes-admin"]);
    assert_eq!(heard.common_name, "front-proxy-client");
    let moved = cluster.get(&format!("{OBJECTS}/one/moved")).await.expect(502);
    assert_eq!(moved.body, "the backend attempted to redirect this request, which is not permitted");
    cluster.shutdown().await;
}

/// The bytes behind a 101.
async fn upgraded(cluster: &Cluster, path: &str) -> TokioIo<hyper::upgrade::Upgraded> {
    let tls = crate::streams::connect(cluster).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::builder().uri(path).header("host", "localhost").header("connection", "Upgrade");
    let request = request.header("upgrade", "echo").body(Empty::<bytes::Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 101);
    TokioIo::new(hyper::upgrade::on(response).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_is_stale_until_it_is_back() {
    let Some((cluster, flunders)) = start().await else { return };
    let current = discovered(&cluster, "wardle.example.com").await;
    assert_eq!(current[0]["freshness"], "Current");
    assert_eq!(current[0]["resources"][0]["resource"], "flunders");
    flunders.stop();
    // An event of its own has it checked at once, rather than with the next round.
    let touched = json!({"metadata": {"labels": {"touched": "yes"}}});
    cluster.patch("merge", "/api/v1/namespaces/default/services/wardle", touched).await.expect(200);
    let why = reason(&cluster, "FailedDiscoveryCheck").await;
    let url = format!("https://wardle.default.svc:443{ROOT}");
    let says = format!("failing or missing response from {url}: Get \"{url}\": dial tcp {}: ", flunders.address);
    assert!(why.starts_with(&says), "{why}");
    let gone = cluster.get(OBJECTS).await.expect(503);
    assert_eq!(
        (gone.body.as_ref(), gone.header("content-type")),
        (&b"service unavailable\n"[..], "text/plain; charset=utf-8")
    );
    let metrics = String::from_utf8(cluster.get("/metrics").await.expect(200).body.to_vec()).unwrap();
    let gauge = "aggregator_unavailable_apiservice{name=\"v1alpha1.wardle.example.com\"} 1\n";
    assert!(metrics.contains(gauge), "{metrics}");
    let mut stale = current.clone();
    stale[0]["freshness"] = "Stale".into();
    assert_eq!(discovered(&cluster, "wardle.example.com").await, stale);
    flunders.restart().await;
    assert_eq!(reason(&cluster, "Passed").await, "all checks passed");
    assert_eq!(discovered(&cluster, "wardle.example.com").await, current);
    cluster.get(OBJECTS).await.expect(200);
    cluster.delete(OWN).await.expect(200);
    let begun = Instant::now();
    while cluster.get(OBJECTS).await.code != 404 {
        assert!(begun.elapsed() < DEADLINE, "a deleted APIService is still served");
    }
    assert_eq!(discovered(&cluster, "wardle.example.com").await, Value::Null);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_condition_says_what_is_missing() {
    let cluster = Cluster::start().await;
    cluster.post(SERVICES, api_service("wardle", "")).await.expect(201);
    let says = reason(&cluster, "ServiceNotFound").await;
    assert_eq!(says, "service/wardle in \"default\" is not present");
    let mut other = service("wardle");
    other["spec"]["ports"][0]["port"] = 80.into();
    cluster.post("/api/v1/namespaces/default/services", other).await.expect(201);
    let says = reason(&cluster, "ServicePortError").await;
    assert_eq!(says, "service/wardle in \"default\" is not listening on port 443");
    let port = json!({"spec": {"ports": [{"port": 443, "name": "https"}]}});
    cluster.patch("merge", "/api/v1/namespaces/default/services/wardle", port).await.expect(200);
    let says = reason(&cluster, "EndpointsNotFound").await;
    assert_eq!(says, "cannot find endpointslices for service/wardle in \"default\"");
    let mut slice = endpoints("wardle", "192.0.2.1".parse().unwrap(), 443);
    slice["endpoints"][0]["conditions"] = json!({"ready": false});
    cluster.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice).await.expect(201);
    let says = reason(&cluster, "MissingEndpoints").await;
    assert_eq!(says, "endpointslices for service/wardle in \"default\" have no addresses with port name \"https\"");
    let local = json!({"spec": {"service": null, "caBundle": null}});
    cluster.patch("merge", OWN, local).await.expect(200);
    assert_eq!(reason(&cluster, "Local").await, "Local APIServices are always available");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_server_answers_is_registered() {
    let cluster = Cluster::start().await;
    let begun = Instant::now();
    let apps = loop {
        let answer = cluster.get(&format!("{SERVICES}/v1.apps")).await;
        if answer.code == 200 {
            break answer.json();
        }
        assert!(begun.elapsed() < DEADLINE, "v1.apps is not registered");
    };
    assert_eq!(apps["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "onstart");
    let spec = json!({"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15});
    assert_eq!(apps["spec"], spec);
    let version = |name: &str| {
        json!({"name": name, "served": true, "storage": name == "v1",
        "schema": {"openAPIV3Schema": {"type": "object"}}})
    };
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "parts.shop.example"}, "spec": {"group": "shop.example", "scope": "Namespaced",
            "names": {"plural": "parts", "kind": "Part"}, "versions": [version("v1"), version("v1beta1")]}});
    cluster.post(DEFINITIONS, definition).await.expect(201);
    for name in ["v1.shop.example", "v1beta1.shop.example"] {
        let begun = Instant::now();
        while cluster.get(&format!("{SERVICES}/{name}")).await.code != 200 {
            assert!(begun.elapsed() < DEADLINE, "{name} is not registered");
        }
    }
    let unserved = json!([{"op": "replace", "path": "/spec/versions/1/served", "value": false}]);
    cluster.patch("json", &format!("{DEFINITIONS}/parts.shop.example"), unserved).await.expect(200);
    let gone = |name: &'static str| {
        let cluster = &cluster;
        async move {
            let begun = Instant::now();
            while cluster.get(&format!("{SERVICES}/{name}")).await.code != 404 {
                assert!(begun.elapsed() < DEADLINE, "{name} is still registered");
            }
        }
    };
    gone("v1beta1.shop.example").await;
    cluster.get(&format!("{SERVICES}/v1.shop.example")).await.expect(200);
    cluster.delete(&format!("{DEFINITIONS}/parts.shop.example")).await.expect(200);
    gone("v1.shop.example").await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_come_in_the_order_of_their_priorities() {
    let Some((cluster, _flunders)) = start().await else { return };
    let groups = cluster.get("/apis").await.expect(200).json();
    let names: Vec<&str> =
        groups["groups"].as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect();
    assert_eq!(names[..3], ["apiregistration.k8s.io", "apps", "events.k8s.io"]);
    assert_eq!(names[names.len() - 2..], ["wardle.example.com", "metrics.k8s.io"]);
    let own = cluster.get("/apis/wardle.example.com").await.expect(200).json();
    assert_eq!(own["preferredVersion"]["groupVersion"], "wardle.example.com/v1alpha1");
    let raised = json!({"spec": {"groupPriorityMinimum": 17_790}});
    cluster.patch("merge", OWN, raised).await.expect(200);
    let begun = Instant::now();
    loop {
        let groups = cluster.get("/apis").await.expect(200).json();
        if groups["groups"][2]["name"] == "wardle.example.com" {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "{groups}");
    }
    reason(&cluster, "Passed").await;
    let index = cluster.get("/openapi/v3").await.expect(200).json();
    let place = &index["paths"]["apis/wardle.example.com/v1alpha1"]["serverRelativeURL"];
    assert_eq!(place, "/openapi/v3/apis/wardle.example.com/v1alpha1?hash=ABC");
    assert_eq!(cluster.get(place.as_str().unwrap()).await.expect(200).json()["openapi"], "3.0.0");
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_of_everything_has_the_parts_of_others() {
    let Some((cluster, _flunders)) = start().await else { return };
    const FLUNDER: &str = "com.example.wardle.Flunder";
    const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    let has_it = |document: &Value| document["definitions"][FLUNDER].is_object();
    let document = crate::custom::until(&cluster, "/openapi/v2", "its part", |_, own| has_it(own)).await;
    let definitions = &document["definitions"];
    let reference = definitions[FLUNDER]["properties"]["metadata"]["$ref"].as_str().unwrap();
    assert_eq!(reference, format!("#/definitions/{META}_v2"), "the same name for something else");
    assert_eq!(definitions[format!("{META}_v2")]["description"], "Of another age.");
    assert_ne!(definitions[META]["description"], "Of another age.");
    assert!(definitions["com.example.wardle.Unused"].is_null());
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.contains_key("/apis/wardle.example.com/v1alpha1/namespaces/{namespace}/flunders"));
    assert!(!paths.contains_key("/version") || paths["/version"]["get"] != json!({}));
    let protobuf = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";
    let encoded = cluster.send("GET", "/openapi/v2", &[("accept", protobuf)], "").await.expect(200);
    let holds = |text: &str| encoded.body.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(FLUNDER) && holds("listFlunders"));
    cluster.delete(OWN).await.expect(200);
    crate::custom::until(&cluster, "/openapi/v2", "its end", |_, own| !has_it(own)).await;
    cluster.shutdown().await;
}

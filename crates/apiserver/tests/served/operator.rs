//! An operator as the Rust ecosystem writes them: `kube` with a derived definition, a controller with a finalizer,
//! server-side apply of what it owns, statuses, reflectors with streaming lists; and a wire that breaks under it.

use crate::cluster::Cluster;
use crate::relay::Relay;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::controller::{Action, Controller};
use kube::runtime::finalizer::{self, Event, finalizer};
use kube::runtime::wait::{await_condition, conditions};
use kube::runtime::{WatchStreamExt, reflector, watcher};
use kube::{Client, CustomResource, CustomResourceExt, Resource, ResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const MANAGER: &str = "greeter";
const FINALIZER: &str = "kube.example.com/farewell";

#[derive(CustomResource, Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[kube(group = "kube.example.com", version = "v1", kind = "Greeting", namespaced, status = "GreetingStatus")]
#[kube(shortname = "gr", printcolumn = r#"{"name":"Text","type":"string","jsonPath":".spec.text"}"#)]
struct GreetingSpec {
    #[schemars(length(min = 1, max = 40))]
    text: String,
    #[serde(default)]
    loud: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct GreetingStatus {
    said: String,
    observed_generation: i64,
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failure(#[from] kube::Error);

struct Context {
    client: Client,
}

/// Makes the owned object be what the greeting says, and says so.
async fn greet(greeting: Arc<Greeting>, context: Arc<Context>) -> Result<Action, finalizer::Error<Failure>> {
    let namespace = greeting.namespace().unwrap_or_default();
    let greetings: Api<Greeting> = Api::namespaced(context.client.clone(), &namespace);
    let maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
    finalizer(&greetings, FINALIZER, greeting, |event| async {
        match event {
            Event::Apply(greeting) => applied(&greeting, &greetings, &maps).await,
            Event::Cleanup(greeting) => gone(&greeting, &maps).await,
        }
    })
    .await
}

async fn applied(greeting: &Greeting, own: &Api<Greeting>, maps: &Api<ConfigMap>) -> Result<Action, Failure> {
    let said = if greeting.spec.loud { greeting.spec.text.to_uppercase() } else { greeting.spec.text.clone() };
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"said": said},
        "metadata": {"name": greeting.name_any(), "ownerReferences": [greeting.controller_owner_ref(&()).unwrap()]}});
    let apply = PatchParams::apply(MANAGER).force();
    maps.patch(&greeting.name_any(), &apply, &Patch::Apply(&map)).await?;
    let generation = greeting.metadata.generation.unwrap_or_default();
    let status = json!({"status": GreetingStatus { said, observed_generation: generation }});
    own.patch_status(&greeting.name_any(), &PatchParams::default(), &Patch::Merge(&status)).await?;
    Ok(Action::await_change())
}

async fn gone(greeting: &Greeting, maps: &Api<ConfigMap>) -> Result<Action, Failure> {
    let farewell = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "farewell"},
        "data": {greeting.name_any(): "goodbye"}});
    maps.patch("farewell", &PatchParams::apply(MANAGER).force(), &Patch::Apply(&farewell)).await?;
    Ok(Action::await_change())
}

fn again(_: Arc<Greeting>, error: &finalizer::Error<Failure>, _: Arc<Context>) -> Action {
    eprintln!("reconciling: {error}");
    Action::requeue(Duration::from_millis(100))
}

/// A client by way of this address.
async fn client(cluster: &Cluster, by_way_of: &Relay) -> Client {
    let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    config.cluster_url = format!("https://{}", by_way_of.address).parse().unwrap();
    Client::try_from(config).unwrap()
}

async fn relay(cluster: &Cluster) -> Relay {
    Relay::to(cluster.url.trim_start_matches("https://").parse().unwrap()).await
}

async fn defined(client: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let apply = PatchParams::apply(MANAGER);
    definitions.patch("greetings.kube.example.com", &apply, &Patch::Apply(Greeting::crd())).await.unwrap();
    let established = await_condition(definitions, "greetings.kube.example.com", conditions::is_crd_established());
    tokio::time::timeout(PATIENCE, established).await.expect("established in time").unwrap();
}

fn greeting(name: &str, text: &str) -> Greeting {
    Greeting::new(name, GreetingSpec { text: text.to_owned(), loud: false })
}

/// Waits until the owned object and the status say this.
async fn hears(client: &Client, name: &str, wanted: &str) -> Greeting {
    let greetings: Api<Greeting> = Api::namespaced(client.clone(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let said = await_condition(maps, name, move |map: Option<&ConfigMap>| {
        map.and_then(|map| map.data.as_ref()).is_some_and(|data| data.get("said").is_some_and(|said| said == wanted))
    });
    tokio::time::timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("{name} says {wanted:?} in time")).unwrap();
    let reported = await_condition(greetings, name, move |own: Option<&Greeting>| {
        own.and_then(|own| own.status.as_ref()).is_some_and(|status| status.said == wanted)
    });
    let reported =
        tokio::time::timeout(PATIENCE, reported).await.unwrap_or_else(|_| panic!("{name} reports {wanted:?}"));
    reported.unwrap().expect("it is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_holds_its_objects_through_a_cut_wire() {
    let cluster = Cluster::start().await;
    let relay = relay(&cluster).await;
    let client = client(&cluster, &relay).await;
    defined(&client).await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let config = || watcher::Config::default().streaming_lists();
    let controller = Controller::new(Api::<Greeting>::all(client.clone()), config())
        .owns(Api::<ConfigMap>::all(client.clone()), config())
        .graceful_shutdown_on(async move { drop(stopped.await) })
        .run(greet, again, Arc::new(Context { client: client.clone() }))
        .for_each(|_| futures::future::ready(()));
    let controller = tokio::spawn(controller);

    let greetings: Api<Greeting> = Api::namespaced(client.clone(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    greetings.create(&PostParams::default(), &greeting("g", "hello")).await.unwrap();
    let first = hears(&client, "g", "hello").await;
    assert_eq!(first.finalizers(), [FINALIZER]);
    let owner = &maps.get("g").await.unwrap().owner_references()[0].clone();
    assert_eq!((owner.kind.as_str(), &owner.uid, owner.controller), ("Greeting", &first.uid().unwrap(), Some(true)));

    let loud = json!({"spec": {"loud": true}});
    greetings.patch("g", &PatchParams::default(), &Patch::Merge(&loud)).await.unwrap();
    let second = hears(&client, "g", "HELLO").await;
    assert!(second.status.unwrap().observed_generation > first.status.unwrap().observed_generation);
    // Somebody else's change of what it owns does not last.
    let drift = json!({"data": {"said": "nothing"}});
    maps.patch("g", &PatchParams::default(), &Patch::Merge(&drift)).await.unwrap();
    hears(&client, "g", "HELLO").await;

    relay.cut();
    let quiet = json!({"spec": {"loud": false, "text": "hi"}});
    let patched = greetings.patch("g", &PatchParams::default(), &Patch::Merge(&quiet)).await;
    if patched.is_err() {
        // The cut took this request too.
        greetings.patch("g", &PatchParams::default(), &Patch::Merge(&quiet)).await.unwrap();
    }
    hears(&client, "g", "hi").await;
    greetings.create(&PostParams::default(), &greeting("late", "me too")).await.unwrap();
    hears(&client, "late", "me too").await;

    let uid = greetings.get("g").await.unwrap().uid().unwrap();
    greetings.delete("g", &DeleteParams::default()).await.unwrap();
    let deleted = await_condition(greetings.clone(), "g", conditions::is_deleted(&uid));
    tokio::time::timeout(PATIENCE, deleted).await.expect("its finalizer goes").unwrap();
    assert_eq!(maps.get("farewell").await.unwrap().data.unwrap()["g"], "goodbye");
    drop(stop);
    tokio::time::timeout(PATIENCE, controller).await.expect("the controller ends").unwrap();
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reflector_follows_through_cuts_and_ends() {
    let cluster = Cluster::start().await;
    let relay = relay(&cluster).await;
    let client = client(&cluster, &relay).await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    // Both ways to begin: a list and a watch, a streaming list; each watch ends by itself after a second.
    for (name, config) in
        [("listed", watcher::Config::default()), ("streamed", watcher::Config::default().streaming_lists())]
    {
        let config = config.timeout(1).labels(&format!("way={name}"));
        let (store, writer) = reflector::store::<ConfigMap>();
        let watch = watcher(maps.clone(), config).default_backoff();
        let follows = reflector::reflector(writer, watch).touched_objects();
        let follows = tokio::spawn(async move {
            let mut follows = std::pin::pin!(follows);
            while let Some(seen) = follows.next().await {
                if let Err(error) = seen {
                    eprintln!("the watch goes on after: {error}");
                }
            }
        });
        for round in 0..6 {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{name}-{round}"), "labels": {"way": name}}});
            if round % 2 == 1 {
                relay.cut();
            }
            let map: ConfigMap = serde_json::from_value(map).unwrap();
            if let Err(error) = maps.create(&PostParams::default(), &map).await {
                eprintln!("cut: {error}");
                let lost = maps.get_opt(&map.name_any()).await.unwrap().is_none();
                if lost {
                    maps.create(&PostParams::default(), &map).await.unwrap();
                }
            }
            let seen = await_len(&store, round + 1);
            tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{name} {round} is seen"));
        }
        maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels(&format!("way={name}")))
            .await
            .unwrap();
        tokio::time::timeout(PATIENCE, await_len(&store, 0)).await.expect("what is deleted goes");
        follows.abort();
    }
    cluster.shutdown().await;
}

async fn await_len(store: &reflector::Store<ConfigMap>, len: usize) {
    while store.len() != len {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_evictions_and_errors_are_typed() {
    let cluster = Cluster::start().await;
    let relay = relay(&cluster).await;
    let client = client(&cluster, &relay).await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    for index in 0..5 {
        let map: ConfigMap = serde_json::from_value(json!({"metadata": {"name": format!("m{index}")}})).unwrap();
        maps.create(&PostParams::default(), &map).await.unwrap();
    }
    let pages = watcher(maps.clone(), watcher::Config::default().page_size(2));
    let names: Vec<String> = pages
        .try_filter_map(|event| async move {
            Ok(match event {
                watcher::Event::InitApply(map) => Some(Some(map.name_any())),
                watcher::Event::InitDone => Some(None),
                _ => None,
            })
        })
        .map(Result::unwrap)
        .take_while(|name| futures::future::ready(name.is_some()))
        .filter_map(futures::future::ready)
        .collect()
        .await;
    assert_eq!(names, ["m0", "m1", "m2", "m3", "m4"]);
    let again: ConfigMap = serde_json::from_value(json!({"metadata": {"name": "m0"}})).unwrap();
    let taken = maps.create(&PostParams::default(), &again).await.unwrap_err();
    let kube::Error::Api(status) = taken else { panic!("an answer of the server") };
    assert!(status.is_already_exists() && status.message == "configmaps \"m0\" already exists", "{status:?}");
    let version = client.apiserver_version().await.unwrap();
    assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "37"));
    let groups = client.list_api_groups().await.unwrap();
    assert!(groups.groups.iter().any(|group| group.name == "apps"));
    cluster.shutdown().await;
}

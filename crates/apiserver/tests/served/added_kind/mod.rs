//! A kind that the product does not have, added as `docs/guides/add-a-kind.md` says, in the hands of every client.
//!
//! The guide's blocks are what is compiled and posted here: one that says otherwise fails.

mod lease_candidate;

use crate::cluster::Cluster;
use crate::every_kind::{Subject, through_every_verb};
use crate::programs::{Client, Program};
use crate::samples::{at_home, prepare};
use api::Registered;
use api::object::Builtin;
use lease_candidate::LeaseCandidate;
use serde_json::{Value, json};
use std::sync::Arc;

static ROW: &dyn Registered = &Builtin::<LeaseCandidate>::row();
const GUIDE: &str = include_str!("../../../../../docs/guides/add-a-kind.md");
const KIND: &str = include_str!("lease_candidate.rs");
const SAMPLE: &str = include_str!("lease_candidate.json");
const CANDIDATES: &str = "/apis/coordination.k8s.io/v1beta1/namespaces/kinds/leasecandidates";

fn sample() -> Value {
    at_home(ROW.def(), serde_json::from_str(SAMPLE).unwrap())
}

/// The guide's blocks in this language, without their fences.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    GUIDE.split(&fence).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn the_guide_has_three_steps_and_they_are_these() {
    let steps = GUIDE.lines().filter(|line| line.starts_with("**")).count();
    assert_eq!(steps, 3, "one more is one too many");
    let (rust, json) = (blocks("rust"), blocks("json"));
    let [kind, row] = rust.as_slice() else { panic!("two blocks of code: {rust:#?}") };
    let code = kind.split_once("impl Kind").unwrap().1;
    assert!(KIND.contains(&format!("impl Kind{code}")), "the guide's kind is another than the test's:\n{kind}");
    assert_eq!(row.trim(), "&Builtin::<coordination_v1beta1::LeaseCandidate>::row(),");
    let told: Value = serde_json::from_str(json[0]).unwrap();
    assert_eq!(told, serde_json::from_str::<Value>(SAMPLE).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_kind_goes_through_every_verb() {
    let cluster = Arc::new(Cluster::with_kind(ROW).await);
    prepare(&cluster).await;
    assert!(crate::kinds::walk(cluster.clone(), ROW, sample()).await, "it is applied too");
    let cluster = Arc::into_inner(cluster).unwrap();
    let mut wrong = sample();
    wrong["spec"]["leaseName"] = json!("");
    let refused = cluster.post(CANDIDATES, wrong.clone()).await.expect(422);
    assert_eq!(
        refused.message(),
        "LeaseCandidate.coordination.k8s.io \"candidate\" is invalid: spec.leaseName: Required value"
    );
    wrong["spec"]["nothing"] = json!(1);
    let strict = cluster.post(&format!("{CANDIDATES}?fieldValidation=Strict"), wrong).await.expect(400);
    assert!(strict.message().contains("unknown field \"spec.nothing\""), "{}", strict.message());
    let created = cluster.post(CANDIDATES, sample()).await.expect(201).json();
    assert_eq!(created["spec"]["emulationVersion"], "1.37.0", "its default");
    let selected = cluster.get(&format!("{CANDIDATES}?fieldSelector=spec.leaseName%3Dleader")).await.expect(200).json();
    assert_eq!(selected["items"].as_array().map(Vec::len), Some(1));
    let none = cluster.get(&format!("{CANDIDATES}?fieldSelector=spec.leaseName%3Dother")).await.expect(200).json();
    assert_eq!(none["items"], json!([]));
    let documents = cluster.get("/openapi/v3/apis/coordination.k8s.io/v1beta1").await.expect(200).json();
    assert!(documents["components"]["schemas"]["io.k8s.api.coordination.v1beta1.LeaseCandidate"].is_object());
    let group = cluster.get("/apis/coordination.k8s.io").await.expect(200).json();
    assert_eq!(group["preferredVersion"]["version"], "v1", "a beta is not preferred");
    assert_eq!(group["versions"].as_array().map(Vec::len), Some(2));
    crate::custom::until(
        &cluster,
        "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.coordination.k8s.io",
        "its APIService",
        |code, own| code == 200 && own["spec"]["versionPriority"] == 13,
    )
    .await;
    cluster.shutdown().await;
}

async fn walk(client: Client) {
    let cluster = Cluster::with_kind(ROW).await;
    let Some(kubectl) = Program::of(&cluster, client) else { return };
    prepare(&cluster).await;
    // Of two kinds, kubectl makes tables and lists as it does of many.
    let beside = api::object::find("coordination.k8s.io", "v1", "leases").unwrap();
    let subjects = vec![Subject::new(ROW.def(), sample()), Subject::new(beside.def(), crate::samples::sample(beside))];
    through_every_verb(cluster, kubectl, subjects).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_kind_is_the_machines_kubectls_too() {
    walk(Client::Kubectl132).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_added_kind_is_the_newest_kubectls_too() {
    walk(Client::Kubectl137).await;
}

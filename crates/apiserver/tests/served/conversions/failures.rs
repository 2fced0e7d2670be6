//! Converters that are not there, do not answer, or answer nonsense.

use super::{CONVERT, NAME, V1, V2, answer, converted, first, makes, redefine, second, start, works};
use crate::cluster::Cluster;
use crate::custom::{DEFINITIONS, until};
use crate::watches::Lines;
use crate::webhooks::server::Answer;
use serde_json::{Value, json};

/// What is said of an object that is to be read in another version than the stored one.
async fn refusal(cluster: &Cluster) -> String {
    let refused = cluster.get(&format!("{V2}/a")).await.expect(500);
    assert_eq!(refused.json().get("reason"), None);
    refused.message()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_in_upstreams_words() {
    let (cluster, server) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    let with = |pointer: &'static str, value: Value| {
        makes(move |review| {
            answer(review, |object, wanted| {
                let mut made = converted(object, wanted);
                match made.pointer_mut(pointer) {
                    Some(place) => *place = value.clone(),
                    None => made["metadata"]["namespace"] = value.clone(),
                }
                made
            })
        })
    };
    let response = |response: Value| {
        makes(move |review| {
            let mut response = response.clone();
            if response["uid"].is_null() {
                response["uid"] = review["request"]["uid"].clone();
            }
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response})
        })
    };
    let failed = |message: &str| json!({"result": {"status": "Failure", "message": message}});
    for (wrong, says) in [
        (
            Answer::Raw(500, "broken".to_owned()),
            "failed: an error on the server (\"broken\") has prevented the request from succeeding",
        ),
        (Answer::Raw(404, String::new()), "failed: the server could not find the requested resource"),
        (response(failed("not today")), "failed: not today"),
        (response(json!({"result": {}})), "failed: response.result.status was '', not 'Success'"),
        (response(json!({"result": {"status": "Success"}})), "returned 0 objects, expected 1"),
        (response(json!({"uid": "x", "result": {"status": "Success"}})), "failed: expected response.uid="),
        (
            with("/apiVersion", json!("example.com/v1")),
            "returned invalid object: invalid groupVersion (expected example.com/v2, received example.com/v1)",
        ),
        (with("/kind", json!("Bag")), "returned invalid object: invalid kind (expected Box, received Bag)"),
        (with("/metadata/name", json!("b")), "returned invalid object: must have the same name: a != b"),
        (
            with("/metadata/namespace", json!("other")),
            "returned invalid object: must have the same namespace: default != other",
        ),
        (with("/metadata/uid", json!("other")), "returned invalid object: must have the same UID: "),
        (
            with("/metadata/annotations", json!({"a": 1})),
            "returned invalid metadata: metadata.annotations[a] must be a string",
        ),
        (
            with("/metadata/annotations", json!({"A B": "x"})),
            "returned invalid metadata: metadata.annotation: Invalid value: \"A B\"",
        ),
        (with("/metadata", json!("none")), "returned invalid object: must have the same name: a != "),
    ] {
        server.set(CONVERT, wrong);
        let message = refusal(&cluster).await;
        let prefix = "conversion webhook for example.com/v1, Kind=Box ";
        assert!(message.starts_with(&format!("{prefix}{says}")), "{says}: {message}");
    }
    works(&server);
    cluster.get(&format!("{V2}/a")).await.expect(200);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_in_another_order_are_refused() {
    let (cluster, server) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    cluster.post(V1, first("b", 2)).await.expect(201);
    let turned = |review: &Value| {
        let mut made = answer(review, converted);
        made["response"]["convertedObjects"].as_array_mut().unwrap().reverse();
        made
    };
    server.set(CONVERT, makes(turned));
    let says = "conversion webhook for example.com/v1, Kind=BoxList returned invalid converted object at index 0: must \
                have the same name: a != b";
    assert_eq!(cluster.get(V2).await.expect(500).message(), says);
    server.set(
        CONVERT,
        makes(|review| {
            let mut made = answer(review, converted);
            made["response"]["convertedObjects"].as_array_mut().unwrap().pop();
            made
        }),
    );
    let says = "conversion webhook for example.com/v1, Kind=BoxList returned 1 objects, expected 2";
    assert_eq!(cluster.get(V2).await.expect(500).message(), says);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_converter_the_stored_version_goes_on() {
    let (cluster, server) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("https://{closed}/x");
    redefine(&cluster, |own| {
        own["spec"]["conversion"]["webhook"]["clientConfig"] = json!({"url": url, "caBundle": server.ca_bundle});
    })
    .await;
    let says = format!(
        "conversion webhook for example.com/v1, Kind=Box failed: Post \"{url}?timeout=30s\": dial tcp {closed}: connect: \
         connection refused"
    );
    until(&cluster, &format!("{V2}/a"), "the other webhook", |_, own| own["message"] == says).await;
    let says = says.replace("example.com/v1, Kind", "example.com/v2, Kind");
    assert_eq!(cluster.post(V2, second("b", 1)).await.expect(500).message(), says);
    cluster.get(&format!("{V1}/b")).await.expect(404);
    cluster.delete(&format!("{V2}/a")).await.expect(500);
    cluster.patch("merge", &format!("{V1}/a"), json!({"spec": {"size": 2}})).await.expect(200);
    cluster.get(V1).await.expect(200);
    cluster.delete(&format!("{DEFINITIONS}/{NAME}")).await.expect(200);
    let path = format!("{DEFINITIONS}/{NAME}");
    until(&cluster, &path, "the end of the definition", |code, _| code == 404).await;
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_whose_objects_do_not_convert_ends_with_an_error() {
    let (cluster, server) = start().await;
    let mut watch = Lines::of(&cluster, &format!("{V2}?watch=true"), "application/json").await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    assert_eq!(watch.next().await.unwrap()["type"], "ADDED");
    server.raw(CONVERT, 503, "");
    cluster.post(V1, first("b", 1)).await.expect(201);
    let event = watch.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(500)));
    let message = event["object"]["message"].as_str().unwrap();
    assert!(message.starts_with("conversion webhook for example.com/v1, Kind=Box failed: "), "{message}");
    assert_eq!(watch.next().await, None);
    cluster.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_converter_that_is_silent_does_not_hold_the_server() {
    let (cluster, server) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    server.silence(CONVERT);
    let watch = Lines::of(&cluster, &format!("{V2}?watch=true&timeoutSeconds=600"), "application/json").await;
    let begun = std::time::Instant::now();
    cluster.shutdown().await;
    drop(watch);
    assert!(begun.elapsed() < std::time::Duration::from_secs(28), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn older_reviews_are_spoken_and_unknown_ones_refused() {
    let (cluster, server) = start().await;
    cluster.post(V1, first("a", 1)).await.expect(201);
    let speak = async |versions: Value| {
        redefine(&cluster, |own| own["spec"]["conversion"]["webhook"]["conversionReviewVersions"] = versions.clone())
            .await;
    };
    speak(json!(["v9", "v1beta1", "v1"])).await;
    // Whatever it says it is.
    server.set(CONVERT, makes(|review| {
        let made = answer(review, converted);
        assert_eq!(review["apiVersion"], "apiextensions.k8s.io/v1beta1");
        json!({"response": {"convertedObjects": made["response"]["convertedObjects"], "result": {"status": "Success"}}})
    }));
    until(&cluster, &format!("{V2}/a"), "the older review", |code, _| code == 200).await;
    let path = format!("{DEFINITIONS}/{NAME}");
    let mut own = cluster.get(&path).await.expect(200).json();
    own["spec"]["conversion"]["webhook"]["conversionReviewVersions"] = json!(["v9"]);
    let refused = cluster.put(&path, own.clone()).await.expect(422).message();
    assert!(refused.contains("must include at least one of v1, v1beta1"), "{refused}");
    own["spec"]["conversion"] = json!({"strategy": "Webhook"});
    let refused = cluster.put(&path, own.clone()).await.expect(422).message();
    assert!(
        refused
            .contains("spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook"),
        "{refused}"
    );
    let none = json!({"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": server.client(CONVERT)}});
    own["spec"]["conversion"] = none;
    let refused = cluster.put(&path, own).await.expect(422).message();
    assert!(refused.contains("should not be set when strategy is not set to Webhook"), "{refused}");
    cluster.shutdown().await;
}

//! Registries that lie, break, hang and redirect.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use runtime::image::{Credentials, Digest, ImageError, ImageStore, Limits, Options, Settings, Timing};
use serde_json::json;

use crate::build::{Image, Layer, gzip};
use crate::server::{Answer, Request, Server, honest};
use crate::store::{Store, eventually, timing};

fn image() -> Image {
    Image::new(&[Layer::new().file("a", b"bottom").tar(), Layer::new().file("b", &noise(200_000)).tar()])
}

/// Bytes that do not compress, so that a blob has more than one packet.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

fn asks_for(request: &Request, digest: &str) -> bool {
    request.path.ends_with(digest)
}

/// Pulls from a registry that has the image but for what the script says; nothing may be left.
async fn fails(image: Image, script: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> String {
    fails_within(timing(), image, script).await
}

async fn fails_within(
    timing: Timing,
    image: Image,
    script: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static,
) -> String {
    let server = Server::with_image(image, script).await;
    let store = Store::timed(&server.address, timing);
    let error = store.store.pull(&server.name(), None).await.unwrap_err().to_string();
    store.assert_empty().await;
    error
}

#[tokio::test]
async fn pulls_layers_and_names_them() {
    let image = image();
    let server = Server::with_image(image.clone(), |_| None).await;
    let store = Store::new(&server.address);
    assert_eq!(store.store.pull(&server.name(), None).await.unwrap(), image.id);
    let found = store.store.resolve(&server.name()).await.unwrap().unwrap();
    assert_eq!(found.tags, [server.name()]);
    assert_eq!(found.digests, [format!("{}/app@{}", server.address, image.manifest_digest)]);
    assert_eq!(found.layers.len(), 2);
    assert_eq!(std::fs::read(found.layers[1].join("a")).unwrap(), b"bottom");
    assert_eq!(std::fs::read(found.layers[0].join("b")).unwrap(), noise(200_000));
    store.assert_no_unfinished_work();
    // By digest, and by tag again: no blob is fetched twice.
    let blobs = server.count("/blobs/");
    for name in [&server.name(), &found.digests[0]] {
        assert_eq!(store.store.pull(name, None).await.unwrap(), image.id);
    }
    assert_eq!(server.count("/blobs/"), blobs);
}

#[tokio::test]
async fn a_loopback_registry_without_tls_needs_no_settings() {
    let image = image();
    let server = Server::with_image(image.clone(), |_| None).await;
    let distribution = Settings { timing: timing(), ..Settings::default() };
    let store = Store::with(Options { distribution, ..Options::default() });
    assert_eq!(store.store.pull(&server.name(), None).await.unwrap(), image.id);
}

#[tokio::test]
async fn a_lying_layer_is_refused_by_name() {
    let image = image();
    let (lie, expected) = (gzip(&Layer::new().file("b", b"evil").tar()), image.layer_digests[1].clone());
    // Padded to the right size, the digest alone tells.
    let size = image.blobs[&expected].len();
    let padded = [lie.as_slice(), &vec![0; size - lie.len()]].concat();
    let got = Digest::of(&padded).to_string();
    let wanted = expected.clone();
    let error = fails(image, move |request| asks_for(request, &expected).then(|| Answer::ok(&padded))).await;
    assert!(error.contains(&format!("unexpected layer digest {got}, expected {wanted}")), "{error}");
}

#[tokio::test]
async fn a_layer_of_the_wrong_size_is_refused() {
    let image = image();
    let digest = image.layer_digests[1].clone();
    let long = [image.blobs[&digest].as_slice(), b"more"].concat();
    let (size, asked) = (long.len(), digest.clone());
    let error = fails(image.clone(), move |request| asks_for(request, &asked).then(|| Answer::ok(&long))).await;
    assert!(error.contains(&format!("of blob {digest}, expected {}", size - 4)), "{error}");

    let short = image.blobs[&digest][..100].to_vec();
    let error = fails(image, move |request| asks_for(request, &digest).then(|| Answer::ok(&short))).await;
    assert!(error.contains(&format!("broke off after 100 of {} bytes", size - 4)), "{error}");
}

#[tokio::test]
async fn a_lying_config_or_manifest_is_refused() {
    let image = image();
    let id = image.id.clone();
    let size = image.blobs[&id].len();
    let error =
        fails(image.clone(), move |request| asks_for(request, &id).then(|| Answer::ok(&vec![b' '; size]))).await;
    assert!(error.contains(&format!(
        "unexpected blob digest {}, expected {}",
        Digest::of(&vec![b' '; size]),
        image.id
    )));

    let false_name = Digest::of(b"something else").to_string();
    let (manifest, named) = (image.manifest.clone(), false_name.clone());
    let error = fails(image.clone(), move |request| {
        let headers = [("docker-content-digest", named.as_str())];
        request.path.contains("/manifests/").then(|| Answer::new(200, &headers, &manifest))
    })
    .await;
    let expected = format!("unexpected manifest digest {}, expected {false_name}", image.manifest_digest);
    assert!(error.contains(&expected), "{error}");

    // By digest, the name itself is what must hold.
    let server =
        Server::with_image(image, |request| request.path.contains("/manifests/").then(|| Answer::ok(b"{}"))).await;
    let store = Store::new(&server.address);
    let name = format!("{}/app@{false_name}", server.address);
    let error = store.store.pull(&name, None).await.unwrap_err().to_string();
    assert!(
        error.contains(&format!("unexpected manifest digest {}, expected {false_name}", Digest::of(b"{}"))),
        "{error}"
    );
}

#[tokio::test]
async fn a_layer_must_have_the_diff_id_of_the_config() {
    let other = Image::new(&[Layer::new().file("a", b"other").tar()]);
    let layer = other.layer_digests[0].clone();
    let size = other.blobs[&layer].len();
    let mut image = Image::with_manifest(&[Layer::new().file("a", b"this").tar()], |mut manifest| {
        manifest["layers"][0]["digest"] = json!(layer);
        manifest["layers"][0]["size"] = json!(size);
        manifest
    });
    image.blobs.extend(other.blobs);
    let error = fails(image, |_| None).await;
    assert!(error.contains("unexpected uncompressed layer digest"), "{error}");
}

#[tokio::test]
async fn a_registry_that_hangs_is_given_up() {
    let started = Instant::now();
    let soon = Duration::from_millis(500);
    let error = fails_within(Timing { answer: soon, ..timing() }, image(), |_| Some(Answer::silence())).await;
    assert!(error.contains("no answer within 0.5s"), "{error}");

    let image = image();
    let digest = image.layer_digests[1].clone();
    let blob = image.blobs[&digest].clone();
    let error = fails_within(Timing { silence: soon, ..timing() }, image, move |request| {
        asks_for(request, &digest).then(|| Answer::declaring(blob.len(), 200, &[], &blob[..10]).then_hang())
    })
    .await;
    assert!(error.contains("the registry sent nothing for 0.5s"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(60), "by these bounds, not by the longer ones");
}

#[tokio::test]
async fn passing_failures_pass() {
    let image = image();
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let server = Server::with_image(image.clone(), move |request| {
        let manifest = request.path.contains("/manifests/");
        (manifest && counted.fetch_add(1, Ordering::SeqCst) < 2).then(|| Answer::new(503, &[], b""))
    })
    .await;
    let store = Store::new(&server.address);
    assert_eq!(store.store.pull(&server.name(), None).await.unwrap(), image.id);
    assert_eq!(tries.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_status_that_stays_is_named() {
    let error = fails(image(), |_| Some(Answer::new(500, &[], b"{}"))).await;
    assert!(error.contains("unexpected status from GET request to http://127.0.0.1:"), "{error}");
    assert!(error.contains("500"), "{error}");
}

#[tokio::test]
async fn a_broken_blob_is_resumed() {
    let image = image();
    let digest = image.layer_digests[1].clone();
    let (blob, asked) = (image.blobs[&digest].clone(), digest.clone());
    let server = Server::with_image(image.clone(), move |request| {
        let first = asks_for(request, &asked) && request.header("range").is_none();
        first.then(|| Answer::declaring(blob.len(), 200, &[], &blob[..1000]))
    })
    .await;
    let store = Store::new(&server.address);
    assert_eq!(store.store.pull(&server.name(), None).await.unwrap(), image.id);
    let ranges: Vec<String> = {
        let requests = server.requests.lock().unwrap();
        requests.iter().filter_map(|request| request.header("range").map(str::to_owned)).collect()
    };
    assert_eq!(ranges, ["bytes=1000-"]);
}

#[tokio::test]
async fn a_registry_without_ranges_sends_it_again() {
    let image = image();
    let digest = image.layer_digests[1].clone();
    let blob = image.blobs[&digest].clone();
    let server = Server::with_image(image.clone(), move |request| {
        if !asks_for(request, &digest) {
            return None;
        }
        let whole = request.header("range").is_some();
        Some(if whole { Answer::ok(&blob) } else { Answer::declaring(blob.len(), 200, &[], &blob[..1000]) })
    })
    .await;
    let store = Store::new(&server.address);
    assert_eq!(store.store.pull(&server.name(), None).await.unwrap(), image.id);
}

#[tokio::test]
async fn answers_a_bearer_challenge() {
    let image = image();
    let tokens = Server::start(|request| {
        let known = request.header("authorization") == Some("Basic dXNlcjpwYXNz");
        let asked = request.path.contains("service=reg") && request.path.contains("scope=repository%3Aapp%3Apull");
        if known && asked { Answer::ok(br#"{"token":"secret"}"#) } else { Answer::new(401, &[], b"") }
    })
    .await;
    let realm = format!(r#"Bearer realm="http://{}/token",service="reg",scope="repository:app:pull""#, tokens.address);
    let server = Server::with_image(image.clone(), move |request| {
        let shown = request.header("authorization") == Some("Bearer secret");
        (!shown).then(|| Answer::new(401, &[("www-authenticate", &realm)], b""))
    })
    .await;
    let store = Store::new(&server.address);
    let user = Credentials { username: "user".into(), password: "pass".into(), ..Credentials::default() };
    assert_eq!(store.store.pull(&server.name(), Some(&user)).await.unwrap(), image.id);
    assert_eq!(tokens.count("/token"), 1, "one token serves the whole pull");

    let other = Store::new(&server.address);
    let error = other.store.pull(&server.name(), None).await.unwrap_err();
    assert!(matches!(error, ImageError::Denied(_)), "{error}");
    assert!(error.to_string().contains("pull access denied, repository does not exist or may require authorization"));
    other.assert_empty().await;
}

#[tokio::test]
async fn answers_a_basic_challenge_and_shows_tokens_at_once() {
    let image = image();
    let script = |request: &Request| {
        let shown = matches!(request.header("authorization"), Some("Basic dXNlcjpwYXNz" | "Bearer given"));
        (!shown).then(|| Answer::new(401, &[("www-authenticate", r#"Basic realm="r""#)], b""))
    };
    let server = Server::with_image(image.clone(), script).await;
    let user = Credentials { username: "user".into(), password: "pass".into(), ..Credentials::default() };
    let token = Credentials { registry_token: "given".into(), ..Credentials::default() };
    for credentials in [user, token] {
        let store = Store::new(&server.address);
        assert_eq!(store.store.pull(&server.name(), Some(&credentials)).await.unwrap(), image.id);
    }
    let wrong = Credentials { username: "user".into(), password: "wrong".into(), ..Credentials::default() };
    let store = Store::new(&server.address);
    let error = store.store.pull(&server.name(), Some(&wrong)).await.unwrap_err();
    assert!(matches!(error, ImageError::Denied(_)), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_without_the_credentials() {
    let image = image();
    let content = image.clone();
    let cdn = Server::start(move |request| honest(&content, request)).await;
    let target = cdn.address.clone();
    let server = Server::with_image(image.clone(), move |request| {
        if request.header("authorization").is_none() {
            return Some(Answer::new(401, &[("www-authenticate", r#"Basic realm="r""#)], b""));
        }
        let blob = request.path.split_once("/blobs/")?.1;
        let location = format!("http://{target}/elsewhere/{blob}");
        Some(Answer::new(307, &[("location", location.as_str())], b""))
    })
    .await;
    let store = Store::new(&server.address);
    let user = Credentials { username: "user".into(), password: "pass".into(), ..Credentials::default() };
    assert_eq!(store.store.pull(&server.name(), Some(&user)).await.unwrap(), image.id);
    let seen = cdn.requests.lock().unwrap();
    assert_eq!(seen.len(), 3, "the config and two layers");
    assert!(seen.iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_ring_of_redirects_ends() {
    let error = fails(image(), |request| Some(Answer::new(302, &[("location", request.path.as_str())], b""))).await;
    assert!(error.contains("more than 10 in a row"), "{error}");
}

#[tokio::test]
async fn an_index_leads_to_this_machines_manifest() {
    let image = image();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let entry = |architecture: &str, digest: &str, size: usize| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
               "platform": {"architecture": architecture, "os": "linux"}})
    };
    let other = Digest::of(b"another machine's").to_string();
    let index = |entries: &[serde_json::Value]| {
        let media_type = "application/vnd.oci.image.index.v1+json";
        json!({"schemaVersion": 2, "mediaType": media_type, "manifests": entries}).to_string().into_bytes()
    };
    let body = index(&[entry("s390x", &other, 9), entry(architecture, &image.manifest_digest, image.manifest.len())]);
    let served = body.clone();
    let server =
        Server::with_image(image.clone(), move |request| request.path.ends_with("/1").then(|| Answer::ok(&served)))
            .await;
    let store = Store::new(&server.address);
    assert_eq!(store.store.pull(&server.name(), None).await.unwrap(), image.id);
    let found = store.store.resolve(&image.id).await.unwrap().unwrap();
    assert_eq!(found.digests, [format!("{}/app@{}", server.address, Digest::of(&body))], "the index's digest");

    let foreign = index(&[entry("s390x", &other, 9)]);
    let error = fails(image, move |request| request.path.ends_with("/1").then(|| Answer::ok(&foreign))).await;
    assert!(error.contains("no match for platform in manifest: not found"), "{error}");
}

#[tokio::test]
async fn a_missing_image_is_not_found_in_containerds_words() {
    let server = Server::start(|_| Answer::not_found()).await;
    let store = Store::new(&server.address);
    let name = server.name();
    let error = store.store.pull(&name, None).await.unwrap_err();
    assert!(matches!(error, ImageError::NotFound(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "failed to pull and unpack image \"{name}\": failed to resolve reference \"{name}\": {name}: not found"
        )
    );
    let error = store.store.pull("Bad", None).await.unwrap_err();
    assert!(matches!(error, ImageError::InvalidName(_)), "{error:?}");
    assert!(error.to_string().starts_with("couldn't parse image name \"Bad\": invalid reference format"), "{error}");
}

#[tokio::test]
async fn a_refused_connection_fails_at_once() {
    let store = Store::new("127.0.0.1:1");
    let error = store.store.pull("127.0.0.1:1/app:1", None).await.unwrap_err().to_string();
    assert!(error.contains("failed to do request: GET \"http://127.0.0.1:1/v2/app/manifests/1\""), "{error}");
    assert!(error.to_lowercase().contains("connection refused"), "{error}");
}

#[tokio::test]
async fn bombs_and_foreign_layers_are_refused() {
    let bomb = Image::new(&[Layer::new().file("zeros", &vec![0; 4 << 20]).tar()]);
    let server = Server::with_image(bomb, |_| None).await;
    let limits = Limits { layer_bytes_max: 1 << 20, ..Limits::default() };
    let distribution = Settings { timing: timing(), ..Settings::default() };
    let store = Store::with(Options { distribution, limits });
    let error = store.store.pull(&server.name(), None).await.unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
    store.assert_empty().await;

    let foreign = Image::with_manifest(&[Layer::new().tar()], |mut manifest| {
        manifest["layers"][0]["mediaType"] = json!("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip");
        manifest
    });
    let error = fails(foreign, |_| None).await;
    assert!(error.contains("unsupported media type"), "{error}");
}

#[tokio::test]
async fn pulls_of_one_image_are_one() {
    let image = image();
    let server = Server::with_image(image.clone(), |_| None).await;
    let store = Store::new(&server.address);
    let name = server.name();
    let pulls = (0..8).map(|_| store.store.pull(&name, None));
    for id in futures::future::join_all(pulls).await {
        assert_eq!(id.unwrap(), image.id);
    }
    assert_eq!(server.count("/manifests/"), 1);
    assert_eq!(server.count("/blobs/"), 3);
}

#[tokio::test]
async fn an_abandoned_pull_leaves_nothing() {
    let image = image();
    let digest = image.layer_digests[1].clone();
    let blob = image.blobs[&digest].clone();
    let server = Server::with_image(image, move |request| {
        asks_for(request, &digest).then(|| Answer::declaring(blob.len(), 200, &[], &blob[..5000]).then_hang())
    })
    .await;
    let store = Store::new(&server.address);
    let name = server.name();
    {
        let mut pull = store.store.pull(&name, None);
        tokio::select! {
            done = &mut pull => panic!("ended: {done:?}"),
            () = eventually("the layer is under way", || !store.unfinished().is_empty()) => {}
        }
    }
    eventually("the workplace is empty", || store.unfinished().is_empty()).await;
    store.assert_empty().await;
}

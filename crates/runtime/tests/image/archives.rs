//! Imports: the formats, the names, what goes and what stays.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use runtime::image::{DiskStore, ImageError, ImageStore, Options};

use crate::build::{Layer, docker_archive, docker_archive_of, gzip};
use crate::store::{Store, is_root, names};

fn layer(content: &str) -> Vec<u8> {
    Layer::new().file("f", content.as_bytes()).tar()
}

async fn tags(store: &Store) -> Vec<String> {
    let mut tags: Vec<String> = store.store.list().await.unwrap().iter().flat_map(|image| image.tags.clone()).collect();
    tags.sort();
    tags
}

#[tokio::test]
async fn imports_several_images_with_their_names() {
    if !is_root("imports_several_images_with_their_names") {
        return;
    }
    let store = Store::import_only();
    let (one, two) = ([layer("base"), layer("one")], [layer("base"), layer("two")]);
    let archive = docker_archive_of(&[(&one, &["app:1", "registry.example:5000/app:one"]), (&two, &["team/app:2"])]);
    let imported = store.import_bytes(&gzip(&archive)).await.unwrap();
    assert_eq!(imported.len(), 2);
    let expected = ["docker.io/library/app:1", "docker.io/team/app:2", "registry.example:5000/app:one"];
    assert_eq!(tags(&store).await, expected);
    let (first, second) = (store.layers("app:1").await, store.layers("team/app:2").await);
    assert_eq!(first[1], second[1], "the layer that both have is there once");
    assert_ne!(first[0], second[0]);
    store.assert_no_unfinished_work();
}

#[tokio::test]
async fn a_name_moves_and_the_old_image_stays_by_id() {
    if !is_root("a_name_moves_and_the_old_image_stays_by_id") {
        return;
    }
    let store = Store::import_only();
    let old = store.import_bytes(&docker_archive(&[layer("old")], &["app:1"])).await.unwrap();
    let new = store.import_bytes(&docker_archive(&[layer("new")], &["app:1"])).await.unwrap();
    let find = async |name: &str| store.store.resolve(name).await.unwrap().map(|image| image.id.clone());
    assert_eq!(find("app:1").await, Some(new[0].id.to_string()));
    assert_eq!(find(&old[0].id.to_string()).await, Some(old[0].id.to_string()));
    assert_eq!(find(&old[0].id.hex()[..12]).await, Some(old[0].id.to_string()));
    assert_eq!(find("app:2").await, None);
    assert!(matches!(store.store.resolve("UPPER").await, Err(ImageError::InvalidName(_))));
}

#[tokio::test]
async fn removing_frees_what_nobody_uses() {
    if !is_root("removing_frees_what_nobody_uses") {
        return;
    }
    let store = Store::import_only();
    let (one, two) = ([layer("base"), layer("one")], [layer("base"), layer("two")]);
    store.import_bytes(&docker_archive_of(&[(&one, &["app:1"]), (&two, &["app:2"])])).await.unwrap();
    let layers = store.root.path().join("layers");
    let held = store.layers("app:2").await[0].clone();
    // Nobody said what is in use: nothing may go.
    store.store.remove("app:1").await.unwrap();
    store.store.remove("app:1").await.unwrap();
    assert_eq!(names(&layers).len(), 4);
    let holding = held.clone();
    store
        .store
        .collect_garbage(Arc::new(move |layer: &Path| layer == holding && layer.join("f").exists()))
        .await
        .unwrap();
    assert_eq!(names(&layers).len(), 3, "layer one went");
    store.store.remove("app:2").await.unwrap();
    assert_eq!(names(&layers).len(), 2, "the base went, what a container holds stayed");
    assert_eq!(std::fs::read(held.join("f")).unwrap(), b"two");
    let restarted = DiskStore::open(store.root.path(), Options::default()).unwrap();
    restarted.collect_garbage(Arc::new(|_: &Path| false)).await.unwrap();
    store.assert_empty().await;
    assert_eq!(store.store.usage().await.unwrap().bytes, 0);
}

#[tokio::test]
async fn stores_of_two_processes_see_each_other() {
    if !is_root("stores_of_two_processes_see_each_other") {
        return;
    }
    let store = Store::import_only();
    let other = DiskStore::open(store.root.path(), Options::default()).unwrap();
    store.import_bytes(&docker_archive(&[layer("x")], &["app:1"])).await.unwrap();
    assert_eq!(other.list().await.unwrap().len(), 1);
    other.remove("app:1").await.unwrap();
    assert!(store.store.resolve("app:1").await.unwrap().is_none());
}

#[tokio::test]
async fn bad_archives_are_refused_whole() {
    let store = Store::import_only();
    let check = async |archive: &[u8], expected: &str| {
        let error = store.import_bytes(archive).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        store.assert_empty().await;
    };
    check(&Layer::new().file("readme", b"x").tar(), "neither a docker archive").await;
    check(b"not a tar at all", "unexpected end of file").await;
    check(&docker_archive(&[layer("x")], &["Bad Name"]), "couldn't parse image name").await;
    check(&Layer::new().file("manifest.json", b"{").tar(), "malformed manifest.json").await;
    let manifest = br#"[{"Config":"../../../../etc/passwd","RepoTags":["a:1"],"Layers":[]}]"#;
    check(&Layer::new().file("manifest.json", manifest).tar(), "the archive has no ../../../../etc/passwd").await;
    let error = store.store.import(Path::new("/nowhere/at/all")).await.unwrap_err().to_string();
    assert!(error.contains("/nowhere/at/all") && error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn a_directory_leads_nowhere_else() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = r#"[{"Config":"config.json","RepoTags":["a:1"],"Layers":[]}]"#;
    std::fs::write(directory.path().join("manifest.json"), manifest).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("config.json")).unwrap();
    let store = Store::import_only();
    let error = store.store.import(directory.path()).await.unwrap_err().to_string();
    assert!(error.contains("read config.json"), "{error}");
}

#[tokio::test]
async fn an_image_without_layers_has_an_empty_root() {
    let store = Store::import_only();
    store.import_bytes(&docker_archive(&[], &["scratch-like:1"])).await.unwrap();
    let layers = store.layers("scratch-like:1").await;
    assert_eq!(layers.len(), 1);
    assert_eq!(std::fs::read_dir(&layers[0]).unwrap().count(), 0);
}

#[tokio::test]
async fn imports_what_skopeo_writes() {
    if !is_root("imports_what_skopeo_writes") || Command::new("skopeo").arg("--version").output().is_err() {
        eprintln!("SKIPPED imports_what_skopeo_writes: needs root and skopeo");
        return;
    }
    let work = tempfile::tempdir().unwrap();
    let archive = work.path().join("in.tar");
    std::fs::write(&archive, docker_archive(&[layer("base"), layer("top")], &["app:1"])).unwrap();
    let oci = work.path().join("oci");
    let targets = [
        (format!("docker-archive:{}/out.tar:app:docker", work.path().display()), "out.tar", "docker"),
        (format!("oci:{}:app:dir", oci.display()), "oci", "dir"),
        (format!("oci-archive:{}/oci.tar:registry.example/app:file", work.path().display()), "oci.tar", "file"),
    ];
    let store = Store::import_only();
    for (target, file, tag) in targets {
        let source = format!("docker-archive:{}", archive.display());
        let output = Command::new("skopeo").args(["--insecure-policy", "copy", &source, &target]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let imported = store.store.import(&work.path().join(file)).await.unwrap();
        let name = imported[0].names[0].to_string();
        assert!(name.ends_with(&format!("app:{tag}")), "{name}");
        assert_eq!(std::fs::read(store.layers(&name).await[0].join("f")).unwrap(), b"top");
    }
    let expected = ["docker.io/library/app:dir", "docker.io/library/app:docker", "registry.example/app:file"];
    assert_eq!(tags(&store).await, expected);
}

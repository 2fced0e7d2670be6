//! Kills at any moment: what is listed is whole, and what is left over goes.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use runtime::image::{DiskStore, ImageStore, Options};

use crate::build::{Layer, docker_archive};
use crate::store::{Store, is_root, names};

const ROOT: &str = "SAMPAN_TEST_IMAGE_ROOT";
const KILLS: u64 = 12;

fn archive(number: u32) -> Vec<u8> {
    let mut top = Layer::new();
    for file in 0..20 {
        top = top.file(&format!("d{file}/f"), format!("{number}").repeat(1000).as_bytes());
    }
    docker_archive(&[Layer::new().file("base", b"base").tar(), top.tar()], &[&format!("app:{number}")])
}

/// What the killed process does: imports and removes for ever. Ends at once when it is run as a test.
#[tokio::test]
async fn child_of_the_kill_test() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let store = DiskStore::open(Path::new(&root), Options::default()).unwrap();
    store.collect_garbage(Arc::new(|_: &Path| false)).await.unwrap();
    let file = Path::new(&root).join("child.tar");
    loop {
        for number in 0..4 {
            std::fs::write(&file, archive(number)).unwrap();
            store.import(&file).await.unwrap();
        }
        for number in 0..3 {
            store.remove(&format!("app:{number}")).await.unwrap();
        }
    }
}

fn start(root: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_of_the_kill_test", "--nocapture"])
        .env(ROOT, root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn kills_leave_whole_images_and_no_rubbish() {
    if !is_root("kills_leave_whole_images_and_no_rubbish") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    for round in 0..KILLS {
        let mut child = start(root.path());
        // Not a wait for anything: the moment of the kill is what is tried, spread over the child's first rounds.
        tokio::time::sleep(Duration::from_millis(60 + round * 37)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let store = DiskStore::open(root.path(), Options::default()).unwrap();
        assert_eq!(names(&root.path().join("tmp")).len(), 1, "only the new store's own");
        for image in store.list().await.unwrap() {
            let number = image.tags[0].rsplit(':').next().unwrap().to_owned();
            for file in 0..20 {
                let content = std::fs::read_to_string(image.layers[0].join(format!("d{file}/f"))).unwrap();
                assert_eq!(content, number.repeat(1000), "round {round}");
            }
            assert_eq!(std::fs::read(image.layers[1].join("base")).unwrap(), b"base");
        }
    }
    let store = DiskStore::open(root.path(), Options::default()).unwrap();
    for image in store.list().await.unwrap() {
        store.remove(&image.id).await.unwrap();
    }
    store.collect_garbage(Arc::new(|_: &Path| false)).await.unwrap();
    assert_eq!(names(&root.path().join("layers")), ["empty"]);
    assert_eq!(names(&root.path().join("configs")), Vec::<String>::new());
}

#[tokio::test]
async fn states_between_the_steps_are_repaired() {
    if !is_root("states_between_the_steps_are_repaired") {
        return;
    }
    let store = Store::import_only();
    store.import_bytes(&archive(1)).await.unwrap();
    let layers = store.layers("app:1").await;
    // Killed before the index: layers and configuration stand alone, and are taken as they are.
    std::fs::remove_file(store.root.path().join("index.json")).unwrap();
    let reopened = DiskStore::open(store.root.path(), Options::default()).unwrap();
    assert_eq!(reopened.list().await.unwrap().len(), 0);
    store.import_bytes(&archive(1)).await.unwrap();
    assert_eq!(store.layers("app:1").await, layers);
    // Somebody removed a layer: the image is not there until it is imported again.
    std::fs::remove_dir_all(layers[0].parent().unwrap()).unwrap();
    let reopened = DiskStore::open(store.root.path(), Options::default()).unwrap();
    assert!(reopened.resolve("app:1").await.unwrap().is_none());
    store.import_bytes(&archive(1)).await.unwrap();
    assert!(reopened.resolve("app:1").await.unwrap().is_some());
    // A workplace whose owner is gone.
    let left = store.root.path().join("tmp/dead/0/fs");
    std::fs::create_dir_all(&left).unwrap();
    let _reopened = DiskStore::open(store.root.path(), Options::default()).unwrap();
    assert!(!left.exists());
    // An index that is no index is an error that names it, never an empty store.
    std::fs::write(store.root.path().join("index.json"), "{").unwrap();
    let error = DiskStore::open(store.root.path(), Options::default()).err().unwrap().to_string();
    assert!(error.contains("index.json"), "{error}");
}

//! Layers as they should be, and layers that reach for the host.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use runtime::image::ImageStore;
use tar::EntryType;

use crate::build::{Layer, docker_archive};
use crate::store::{Store, is_root};

async fn unpacked(tars: &[Vec<u8>]) -> (Store, Vec<std::path::PathBuf>) {
    let store = Store::import_only();
    store.import_bytes(&docker_archive(tars, &["t:1"])).await.unwrap();
    let layers = store.layers("t:1").await;
    (store, layers)
}

async fn refused(layer: Layer) -> String {
    let store = Store::import_only();
    let error = store.import_bytes(&docker_archive(&[layer.tar()], &["t:1"])).await.unwrap_err().to_string();
    store.assert_empty().await;
    error
}

#[tokio::test]
async fn names_outside_are_refused() {
    let outside = std::env::temp_dir().join("sampan-image-escape");
    let up = "../".repeat(12);
    let target = format!("{up}{}", outside.strip_prefix("/").unwrap().display());
    for name in [target.as_str(), &format!("a/../{target}"), "..", "a/../../x"] {
        let error = refused(Layer::new().file(name, b"evil")).await;
        assert!(error.contains("it is outside of the layer's root"), "{error}");
        assert!(error.contains(&format!("{name:?}")), "{error}");
    }
    assert!(!outside.exists());
}

#[tokio::test]
async fn links_lead_nowhere_outside() {
    if !is_root("links_lead_nowhere_outside") {
        return;
    }
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap();
    // Through a link that dangles within the layer: refused.
    let error = refused(Layer::new().symlink("door", target).file("door/evil", b"x")).await;
    assert!(error.contains("is a symbolic link to what is not in the layer"), "{error}");
    // Through one that does not: what was meant stays inside.
    let inside = target.trim_start_matches('/');
    let layer = Layer::new()
        .raw(EntryType::Directory, inside, "", b"", 0o755, (0, 0))
        .symlink("door", target)
        .symlink("up", &"../".repeat(20))
        .file("door/evil", b"x")
        .file("up/etc/evil", b"x");
    let (_store, layers) = unpacked(&[layer.tar()]).await;
    assert_eq!(fs::read(layers[0].join(inside).join("evil")).unwrap(), b"x");
    assert_eq!(fs::read(layers[0].join("etc/evil")).unwrap(), b"x");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!Path::new("/etc/evil").exists());
    // A file in the link's own place replaces the link, and is not written through it.
    let layer = Layer::new().symlink("f", &format!("{target}/g")).file("f", b"own");
    let (_store, layers) = unpacked(&[layer.tar()]).await;
    assert_eq!(fs::read(layers[0].join("f")).unwrap(), b"own");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn hard_links_stay_inside() {
    let before = fs::metadata("/etc/passwd").unwrap().nlink();
    let error = refused(Layer::new().hard_link("own", "../../../../../../etc/passwd")).await;
    assert!(error.contains("invalid hardlink"), "{error}");
    let error = refused(Layer::new().hard_link("own", "/etc/passwd")).await;
    assert!(error.contains("hard link to etc/passwd, which is not in the layer"), "{error}");
    let error = refused(Layer::new().symlink("door", "/etc").hard_link("own", "door/passwd")).await;
    assert!(error.contains("is a symbolic link to what is not in the layer"), "{error}");
    assert_eq!(fs::metadata("/etc/passwd").unwrap().nlink(), before);
    // To a link: the link itself, not what it points at.
    let layer = Layer::new().symlink("link", "/etc/passwd").hard_link("own", "link");
    let (_store, layers) = unpacked(&[layer.tar()]).await;
    assert!(fs::symlink_metadata(layers[0].join("own")).unwrap().is_symlink());
    assert_eq!(fs::metadata("/etc/passwd").unwrap().nlink(), before);
}

#[tokio::test]
async fn whiteouts_cannot_name_directories_above() {
    for name in ["a/.wh...", "a/.wh..", ".wh."] {
        let error = refused(Layer::new().directory("a", 0o755, (0, 0)).file(name, b"")).await;
        assert!(error.contains("a whiteout must name a file"), "{error}");
    }
}

#[tokio::test]
async fn overlay_notes_of_a_layer_are_ignored() {
    if !is_root("overlay_notes_of_a_layer_are_ignored") {
        return;
    }
    let layer = Layer::new().xattr("trusted.overlay.redirect", b"/other").directory("d", 0o755, (0, 0));
    let (_store, layers) = unpacked(&[layer.tar()]).await;
    assert_eq!(xattr(&layers[0].join("d"), "trusted.overlay.redirect"), None);
}

#[tokio::test]
async fn whiteouts_become_overlayfs_own() {
    if !is_root("whiteouts_become_overlayfs_own") {
        return;
    }
    let bottom = Layer::new().directory("d", 0o755, (0, 0)).file("d/old", b"1").file("gone", b"1").file("e/x", b"1");
    let top = Layer::new()
        .file(".wh.gone", b"")
        .file("d/.wh..wh..opq", b"")
        .file("d/new", b"2")
        // Hidden, then made anew: what was below must not shine through.
        .file(".wh.e", b"")
        .directory("e", 0o755, (0, 0))
        .file(".wh..wh.plnk", b"");
    let (_store, layers) = unpacked(&[bottom.tar(), top.tar()]).await;
    let gone = fs::symlink_metadata(layers[0].join("gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert_eq!(xattr(&layers[0].join("d"), "trusted.overlay.opaque").as_deref(), Some(&b"y"[..]));
    assert_eq!(xattr(&layers[0].join("e"), "trusted.overlay.opaque").as_deref(), Some(&b"y"[..]));
    assert!(!layers[0].join(".wh..wh.plnk").exists());
    let merged = merged(&layers);
    assert_eq!(merged, ["d", "d/new", "e"]);
}

/// What the kernel shows of the stack, through a mount that only this thread sees.
fn merged(layers: &[std::path::PathBuf]) -> Vec<String> {
    let options = layers.iter().map(|layer| layer.to_str().unwrap()).collect::<Vec<_>>().join(":");
    let place = tempfile::tempdir().unwrap();
    let script = r#"mount -t overlay overlay -o "lowerdir=$1" "$2" && cd "$2" && find . -mindepth 1 | sort | cut -c3-"#;
    let mut command = std::process::Command::new("unshare");
    let output = command.args(["-m", "sh", "-c", script, "sh", &options]).arg(place.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn keeps_owners_modes_times_and_capabilities() {
    if !is_root("keeps_owners_modes_times_and_capabilities") {
        return;
    }
    // Version 2, effective, cap_net_bind_service. The bytes hold a newline, which ends no record.
    let capability: Vec<u8> =
        [0x0200_0001u32, 1 << 10, 0x0a0a, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let layer = Layer::new()
        .directory("d", 0o1777, (3, 4))
        .xattr("security.capability", &capability)
        .file_as("d/program", b"x", 0o4755, (1000, 1001))
        .hard_link("d/same", "d/program")
        .raw(EntryType::Fifo, "pipe", "", b"", 0o600, (5, 6))
        .symlink("link", "d/program");
    let (store, layers) = unpacked(&[layer.tar()]).await;
    let look = |name: &str| fs::symlink_metadata(layers[0].join(name)).unwrap();
    let directory = look("d");
    assert_eq!((directory.mode() & 0o7777, directory.uid(), directory.gid()), (0o1777, 3, 4));
    let program = look("d/program");
    assert_eq!((program.mode() & 0o7777, program.uid(), program.gid()), (0o4755, 1000, 1001));
    assert_eq!(program.ino(), look("d/same").ino());
    for name in ["d", "d/program", "pipe", "link"] {
        assert_eq!(look(name).mtime(), 1_000_000_000, "{name}");
    }
    assert!(look("pipe").file_type().is_fifo());
    assert_eq!(fs::read_link(layers[0].join("link")).unwrap(), Path::new("d/program"));
    assert_eq!(xattr(&layers[0].join("d/program"), "security.capability"), Some(capability));
    assert_eq!(fs::metadata(&layers[0]).unwrap().permissions().mode() & 0o777, 0o755);
    let usage = store.store.usage().await.unwrap();
    assert!(usage.inodes >= 6 && usage.bytes >= 5 * 4096, "{usage:?}");
}

#[tokio::test]
async fn a_directory_that_is_left_out_looks_as_below() {
    if !is_root("a_directory_that_is_left_out_looks_as_below") {
        return;
    }
    let bottom = Layer::new().directory("var", 0o755, (0, 0)).directory("var/tmp", 0o1777, (7, 8)).tar();
    let top = Layer::new().file("var/tmp/new/f", b"x").tar();
    let (_store, layers) = unpacked(&[bottom, top]).await;
    let directory = fs::metadata(layers[0].join("var/tmp")).unwrap();
    assert_eq!((directory.mode() & 0o7777, directory.uid(), directory.gid()), (0o1777, 7, 8));
    assert_eq!(fs::metadata(layers[0].join("var/tmp/new")).unwrap().mode() & 0o7777, 0o755);
}

#[tokio::test]
async fn later_entries_replace_earlier_ones() {
    let layer = Layer::new()
        .file("a/b", b"1")
        .file("a", b"now a file")
        .file("c", b"1")
        .raw(EntryType::Directory, "c", "", b"", 0o755, (0, 0))
        .file("c/d", b"2");
    if !is_root("later_entries_replace_earlier_ones") {
        return;
    }
    let (_store, layers) = unpacked(&[layer.tar()]).await;
    assert_eq!(fs::read(layers[0].join("a")).unwrap(), b"now a file");
    assert_eq!(fs::read(layers[0].join("c/d")).unwrap(), b"2");
}

#[tokio::test]
async fn what_is_no_tar_is_refused() {
    let store = Store::import_only();
    let error = store.import_bytes(&docker_archive(&[vec![b'x'; 2000]], &["t:1"])).await.unwrap_err().to_string();
    assert!(error.contains("invalid tar header"), "{error}");
    store.assert_empty().await;
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    match rustix::fs::lgetxattr(path, name, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Some(value)
        }
        Err(rustix::io::Errno::NODATA) => None,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

//! Debian's docker-registry on loopback, filled by skopeo.

use std::collections::HashMap;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use runtime::image::{ImageStore, Options, RegistryOptions, Settings};
use tempfile::TempDir;

use crate::store::{Store, eventually, is_root};

struct Registry {
    process: Child,
    address: String,
    work: TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait().map(|_| ())) {
            eprintln!("end docker-registry: {error}");
        }
    }
}

impl Registry {
    /// `None`, aloud, where the tools are missing.
    async fn start(test: &str) -> Option<Registry> {
        Registry::start_with(test, "").await
    }

    /// With more in the `http` part of its settings.
    async fn start_with(test: &str, http: &str) -> Option<Registry> {
        let installed = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
        if !is_root(test) || !installed("docker-registry") || !installed("skopeo") {
            eprintln!("SKIPPED {test}: needs root, docker-registry and skopeo");
            return None;
        }
        let work = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let storage = work.path().join("storage");
        let separator = if http.is_empty() { "" } else { ", " };
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}{separator}{http}}}\n",
            storage.display()
        );
        std::fs::write(work.path().join("config.yml"), config).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(work.path().join("config.yml"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Registry { process, address, work };
        eventually("the registry listens", || std::net::TcpStream::connect(&registry.address).is_ok()).await;
        Some(registry)
    }

    fn push(&self, archive: &Path, name: &str, options: &[&str]) {
        let output = Command::new("skopeo")
            .args(["--insecure-policy", "copy", "--dest-tls-verify=false"])
            .args(options)
            .arg(format!("docker-archive:{}", archive.display()))
            .arg(format!("docker://{}/{name}", self.address))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The example image, as its own script makes it.
    fn example(&self, version: &str) -> PathBuf {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/user-center/image/make.sh");
        let archive = self.work.path().join(format!("{version}.tar"));
        let output = Command::new("sh").arg(script).arg(version).arg(&archive).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        archive
    }

    /// The manifest as the registry has it, to see what a push made of the image.
    fn manifest(&self, name: &str) -> String {
        let target = format!("docker://{}/{name}", self.address);
        let output = Command::new("skopeo").args(["inspect", "--tls-verify=false", "--raw", &target]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

#[tokio::test]
async fn pulls_the_example_from_a_real_registry() {
    let Some(registry) = Registry::start("pulls_the_example_from_a_real_registry").await else { return };
    let archive = registry.example("v1.0");
    registry.push(&archive, "user-center:v1.0", &[]);
    let store = Store::with(Options::default());
    let name = format!("{}/user-center:v1.0", registry.address);
    let id = store.store.pull(&name, None).await.unwrap();
    let image = store.store.resolve(&name).await.unwrap().unwrap();
    assert_eq!((image.id.as_str(), image.tags.as_slice()), (id.as_str(), std::slice::from_ref(&name)));
    let command = image.config.config().as_ref().and_then(|config| config.cmd().clone()).unwrap();
    assert_eq!(command[0], "httpd");
    let root = &image.layers[0];
    assert_eq!(std::fs::read(root.join("bin/busybox")).unwrap(), std::fs::read("/bin/busybox").unwrap());
    assert_eq!(std::fs::read_link(root.join("bin/sh")).unwrap(), Path::new("busybox"));
    // The archive is the same image: its layer is not unpacked again, and both names mean it.
    let imported = store.store.import(&archive).await.unwrap();
    assert_eq!(imported[0].id.to_string(), id);
    assert_eq!(imported[0].names[0].to_string(), "docker.io/library/user-center:v1.0");
    let by_digest = store.store.resolve(&id).await.unwrap().unwrap().digests[0].clone();
    assert_eq!(store.store.pull(&by_digest, None).await.unwrap(), id);
    // The tag moves on.
    registry.push(&registry.example("v2.0"), "user-center:v1.0", &[]);
    let moved = store.store.pull(&name, None).await.unwrap();
    assert_ne!(moved, id);
    assert_eq!(store.store.resolve(&name).await.unwrap().unwrap().id, moved);
    store.assert_no_unfinished_work();
}

#[tokio::test]
async fn pulls_oci_manifests_and_zstd_layers() {
    let Some(registry) = Registry::start("pulls_oci_manifests_and_zstd_layers").await else { return };
    let archive = registry.example("v1.0");
    let oci = registry.work.path().join("oci");
    let copy = |arguments: &[&str]| {
        let output = Command::new("skopeo").args(["--insecure-policy", "copy"]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    registry.push(&archive, "user-center:oci", &["--format", "oci"]);
    let (source, layout) = (format!("docker-archive:{}", archive.display()), format!("oci:{}:z", oci.display()));
    copy(&["--dest-compress", "--dest-compress-format", "zstd", &source, &layout]);
    // Kept as it is: skopeo would turn it into gzip for a registry.
    copy(&[
        "--dest-tls-verify=false",
        "--preserve-digests",
        &layout,
        &format!("docker://{}/user-center:zstd", registry.address),
    ]);
    assert!(registry.manifest("user-center:oci").contains("application/vnd.oci.image.layer.v1.tar+gzip"));
    assert!(registry.manifest("user-center:zstd").contains("application/vnd.oci.image.layer.v1.tar+zstd"));
    let mut ids = Vec::new();
    for tag in ["oci", "zstd"] {
        let store = Store::with(Options::default());
        let name = format!("{}/user-center:{tag}", registry.address);
        ids.push(store.store.pull(&name, None).await.unwrap());
        assert!(store.layers(&name).await[0].join("bin/busybox").is_file());
    }
    assert_eq!(ids[0], ids[1], "however it is packed, the image is the same");
}

/// A certificate for the registry's address, signed by itself.
fn certificate(work: &Path) -> bool {
    let subject =
        ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"];
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(subject)
        .arg("-keyout")
        .arg(work.join("key.pem"))
        .arg("-out")
        .arg(work.join("cert.pem"))
        .output();
    made.is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn trusts_whom_it_is_told_to() {
    let test = "trusts_whom_it_is_told_to";
    let work = tempfile::tempdir().unwrap();
    if !certificate(work.path()) {
        eprintln!("SKIPPED {test}: needs openssl");
        return;
    }
    let tls = format!("tls: {{certificate: {0}/cert.pem, key: {0}/key.pem}}", work.path().display());
    let Some(registry) = Registry::start_with(test, &tls).await else { return };
    registry.push(&registry.example("v1.0"), "user-center:v1.0", &[]);
    let name = format!("{}/user-center:v1.0", registry.address);
    let pull = async |options: RegistryOptions| {
        let registries = HashMap::from([(registry.address.clone(), options)]);
        let distribution = Settings { registries, ..Settings::default() };
        let store = Store::with(Options { distribution, ..Options::default() });
        store.store.pull(&name, None).await.map_err(|error| error.to_string())
    };
    let error = pull(RegistryOptions::default()).await.unwrap_err();
    assert!(error.contains("certificate"), "{error}");
    let ca_file = Some(work.path().join("cert.pem"));
    let known = pull(RegistryOptions { ca_file, ..RegistryOptions::default() }).await;
    let anybody = pull(RegistryOptions { insecure: true, ..RegistryOptions::default() }).await;
    assert!(known.is_ok(), "{known:?}");
    assert_eq!(known, anybody);
    let missing = RegistryOptions { ca_file: Some("/nowhere.pem".into()), ..RegistryOptions::default() };
    assert!(pull(missing).await.unwrap_err().contains("read certificate authorities of /nowhere.pem"));
}

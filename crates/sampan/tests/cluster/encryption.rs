//! Encryption at rest as an operator has it: a file of keys, rotated under a running server, lost, and found again.

use crate::datastore::{Member, server};
use crate::harness::{Cluster, Machine, must, possible, possible_with_etcd, run, said};
use crate::upgrade::{another_build, upgrade};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::io::Read;
use std::path::{Path, PathBuf};

const READ_AGAIN: &str = "the encryption configuration was read again";

/// The file that says what is sealed, and with which keys.
pub(crate) struct Keys {
    pub(crate) file: PathBuf,
    pub(crate) resources: &'static str,
}

impl Keys {
    pub(crate) fn flags(&self) -> [&str; 3] {
        let file = self.file.to_str().unwrap();
        ["--encryption-provider-config", file, "--encryption-provider-config-automatic-reload"]
    }

    /// The first seals; each is its name and the byte that it is made of.
    pub(crate) fn write(&self, keys: &[(&str, u8)]) {
        let keys: Vec<String> = keys
            .iter()
            .map(|(name, byte)| format!("{{name: {name}, secret: {}}}", STANDARD.encode([*byte; 32])))
            .collect();
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: ['{}']\n  \
             providers:\n  - secretbox: {{keys: [{}]}}\n",
            self.resources,
            keys.join(", ")
        );
        let draft = self.file.with_extension("draft");
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, &self.file).unwrap();
    }

    /// As `write`, under a server that follows the file.
    fn change(&self, machine: &Machine, keys: &[(&str, u8)]) {
        let before = machine.whole_log().matches(READ_AGAIN).count();
        self.write(keys);
        machine.until("the keys are read again", |machine| {
            let log = machine.whole_log();
            if log.matches(READ_AGAIN).count() > before { Ok(()) } else { Err(log) }
        });
    }
}

/// Which files below a folder have the text in them.
fn holders(folder: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let kind = std::fs::symlink_metadata(&path).unwrap().file_type();
        if kind.is_dir() {
            found.extend(holders(&path, text));
        } else if kind.is_file() && has(&std::fs::read(&path).unwrap(), text) {
            found.push(path);
        }
    }
    found
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// All that a backup's file has, unpacked.
fn backed_up(machine: &Machine, file: &Path) -> Vec<u8> {
    machine.sampan(&["backup", file.to_str().unwrap()]);
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_end(&mut bytes).unwrap();
    bytes
}

fn write_all_anew(machine: &Machine) {
    let pipe = "kubectl get secrets -A -o json | kubectl replace -f -";
    must(machine.inside("sh").args(["-c", &format!("set -e; {pipe}")]));
}

fn secret(machine: &Machine) -> String {
    machine.kubectl("get secret web -o jsonpath={.data.password}")
}

#[test]
fn secrets_are_sealed_at_rest_and_their_keys_are_rotated_lost_and_found() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys { file: folder.path().join("encryption.yaml"), resources: "secrets" };
    keys.write(&[("one", 1)]);
    let program = folder.path().join("sampan");
    std::fs::copy(env!("CARGO_BIN_EXE_sampan"), &program).unwrap();
    let cluster = Cluster::machines(1).running(&program);
    let machine = cluster.first();
    machine.up_server_with(&keys.flags());
    let (password, plain) = ("hunter2-Ghost-in-the-shell!", "plain-Words-of-a-config-map!");
    let encoded = STANDARD.encode(password);
    machine.kubectl(&format!("create secret generic web --from-literal=password={password}"));
    machine.kubectl(&format!("create configmap web --from-literal=words={plain}"));
    assert_eq!(secret(machine), encoded);
    let backup = backed_up(machine, &folder.path().join("cluster.backup"));
    for text in [password, &encoded] {
        assert_eq!(holders(&machine.data_dir, text), Vec::<PathBuf>::new());
        assert!(!has(&backup, text), "the backup has it");
    }
    assert!(!holders(&machine.data_dir, plain).is_empty() && has(&backup, plain), "what is not sealed is found");
    assert!(has(&backup, "k8s:enc:secretbox:v1:one:"));

    keys.change(machine, &[("two", 2), ("one", 1)]);
    assert_eq!(secret(machine), encoded, "what the old key sealed is read");
    write_all_anew(machine);
    keys.change(machine, &[("two", 2)]);
    let upgraded = upgrade(machine, &another_build(folder.path()));
    assert!(upgraded.status.success(), "{}\n{}", said(&upgraded), machine.log());
    assert_eq!(secret(machine), encoded, "nothing needs the old key any more");

    lose_and_find(machine, &keys, &encoded);
    cluster.finish();
}

/// The server's key is another than what sealed the secret.
fn lose_and_find(machine: &Machine, keys: &Keys, encoded: &str) {
    machine.stop();
    keys.write(&[("two", 3)]);
    machine.up_again();
    for arguments in [["get", "secret", "web"].as_slice(), &["get", "secrets"], &["delete", "secret", "web"]] {
        let output = machine.try_kubectl(arguments);
        let why = "Internal error occurred: unable to transform key \"/core/secrets/default/web\": ";
        assert!(!output.status.success() && said(&output).contains(why), "{}", said(&output));
    }
    machine.kubectl("get configmap web");
    assert_eq!(machine.kubectl("get --raw /readyz"), "ok", "the server itself is well");
    machine.kubectl("create secret generic other --from-literal=a=b");
    machine.kubectl("delete secret other");
    keys.change(machine, &[("three", 3), ("two", 2)]);
    machine.until("the secret is read again", |machine| {
        let output = machine.try_kubectl(&["get", "secret", "web", "-o", "jsonpath={.data.password}"]);
        if output.stdout == encoded.as_bytes() { Ok(()) } else { Err(said(&output)) }
    });
    // A file that makes no sense changes nothing.
    std::fs::write(&keys.file, "kind: Nonsense\n").unwrap();
    machine.until("the file is refused", |machine| {
        let log = machine.whole_log();
        if log.contains("the encryption configuration stays as it was") { Ok(()) } else { Err(log) }
    });
    assert_eq!(secret(machine), encoded);
}

#[test]
fn a_file_of_keys_that_makes_no_sense_is_told_at_the_start() {
    if !possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    let file = folder.path().join("encryption.yaml");
    let head = "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n";
    let name = file.to_str().unwrap();
    for (text, why) in [
        (None, "No such file or directory"),
        (
            Some("kind: Nonsense\napiVersion: v1\n".to_owned()),
            "expected apiserver.config.k8s.io/v1, Kind=EncryptionConfiguration",
        ),
        (Some(head.to_owned()), "resources: Required value: at least one resources is required"),
        (
            Some(format!(
                "{head}resources: [{{resources: [secrets], providers: [{{aesgcm: {{keys: [{{name: a, secret: c2VjcmV0}}]}}}}]}}]"
            )),
            "resources[0].providers[0].aesgcm.keys[0].secret: Invalid value: \"REDACTED\": secret is not of the expected \
             length, got 6, expected one of [16 24 32]",
        ),
    ] {
        if let Some(text) = text {
            std::fs::write(&file, text).unwrap();
        }
        let output = machine.try_server(&["--encryption-provider-config", name]);
        assert!(!output.status.success() && said(&output).contains(why), "{why}: {}", said(&output));
        assert!(said(&output).contains(&format!("--encryption-provider-config {name}: ")), "{}", said(&output));
    }
    cluster.finish();
}

#[test]
fn everything_in_an_etcd_is_sealed_but_what_is_no_object() {
    if !possible_with_etcd() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys { file: folder.path().join("encryption.yaml"), resources: "*.*" };
    keys.write(&[("one", 1)]);
    let cluster = Cluster::machines(1);
    let machine = cluster.first();
    let etcd = Member::on(machine, &folder.path().join("etcd"));
    let up = server(machine, &etcd, &keys.flags());
    assert!(up.status.success(), "{}\n{}", said(&up), machine.log());
    machine.kubectl("create service clusterip web --tcp=80 --clusterip=10.43.7.7");
    let values = |part: &str| -> Vec<(String, Vec<u8>)> {
        let mut command = machine.inside("etcdctl");
        command.args(["--endpoints", &etcd.url, "get", "--prefix", "", "-w", "json"]).env("ETCDCTL_API", "3");
        let found: serde_json::Value = serde_json::from_str(&must(&mut command)).unwrap();
        let text = |value: &serde_json::Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
        let all = found["kvs"].as_array().unwrap().iter();
        let all = all.map(|kv| (String::from_utf8(text(&kv["key"])).unwrap(), text(&kv["value"])));
        all.filter(|(key, _)| key.contains(part)).collect()
    };
    let services = values(":/core/services/");
    assert!(services.len() >= 2, "{services:?}");
    let sealed = services
        .iter()
        .chain(&values(":/rbac.authorization.k8s.io/"))
        .all(|(_, value)| value.starts_with(b"k8s:enc:secretbox:v1:one:"));
    assert!(sealed, "every object is sealed");
    let claim = String::from_utf8(values(":claims/servers/n0")[0].1.clone()).unwrap();
    assert!(claim.starts_with("{\"address\":"), "what servers tell one another is no object: {claim}");
    let unique = values(":unique/");
    let own = unique.iter().find(|(key, _)| key.contains("10.43.7.7"));
    assert_eq!(own.map(|(_, value)| value.as_slice()), Some(b"/core/services/default/web".as_slice()), "{unique:?}");
    machine.stop();
    keys.write(&[("two", 2), ("one", 1)]);
    let up = server(machine, &etcd, &keys.flags());
    assert!(up.status.success(), "{}\n{}", said(&up), machine.log());
    let again = run(machine.inside("kubectl").args([
        "create",
        "service",
        "clusterip",
        "thief",
        "--tcp=80",
        "--clusterip=10.43.7.7",
    ]));
    assert!(!again.status.success(), "{}", said(&again));
    cluster.finish();
}

//! Raw requests, as `curl` sends them: for what no well-behaved client would.

use crate::harness::{Machine, run, said};
use base64::Engine;
use serde_json::Value;
use std::path::PathBuf;

/// Who asks.
pub(crate) enum Who {
    Nobody,
    Token(String),
    /// A PEM file with a certificate and its key.
    Certificate(PathBuf),
}

impl Who {
    /// The owner of the admin kubeconfig.
    pub(crate) fn admin(machine: &Machine) -> Who {
        let user = |field: &str| kubeconfig(machine, &format!("users[0].user.{field}"));
        let file = machine.data_dir.join("admin.pem");
        let both = [user("client-certificate-data"), user("client-key-data")].concat();
        std::fs::write(&file, both).unwrap();
        Who::Certificate(file)
    }
}

fn kubeconfig(machine: &Machine, field: &str) -> Vec<u8> {
    let encoded = machine.kubectl(&format!("config view --raw -o jsonpath={{.{field}}}"));
    base64::engine::general_purpose::STANDARD.decode(encoded).unwrap()
}

/// The code and the body of an answer.
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Asserts a failed `Status` of this code, reason and message.
    pub(crate) fn refuses(&self, code: u16, reason: &str, message: &str) {
        let status = self.json();
        let seen = (self.code, status["code"].as_u64(), status["reason"].as_str(), status["message"].as_str());
        assert_eq!(seen, (code, Some(code.into()), Some(reason), Some(message)));
        assert_eq!((&status["kind"], &status["status"]), (&"Status".into(), &"Failure".into()));
    }
}

/// One server, spoken to by one who asks.
pub(crate) struct Https<'m> {
    machine: &'m Machine,
    authority: PathBuf,
    base: String,
}

impl<'m> Https<'m> {
    /// The API of this machine.
    pub(crate) fn api(machine: &'m Machine) -> Https<'m> {
        let authority = machine.data_dir.join("authority.pem");
        std::fs::write(&authority, kubeconfig(machine, "clusters[0].cluster.certificate-authority-data")).unwrap();
        Https { machine, authority, base: "https://127.0.0.1:6443".into() }
    }

    /// The kubelet of this machine.
    pub(crate) fn kubelet(machine: &'m Machine) -> Https<'m> {
        Https { base: format!("https://{}:10250", machine.address), ..Https::api(machine) }
    }

    pub(crate) fn get(&self, who: &Who, path: &str) -> Reply {
        self.send(who, path, &[])
    }

    /// A request with a body of this type.
    pub(crate) fn write(&self, who: &Who, method: &str, path: &str, content_type: &str, body: &[u8]) -> Reply {
        let file = self.machine.data_dir.join("body");
        std::fs::write(&file, body).unwrap();
        let content_type = format!("Content-Type: {content_type}");
        let body = format!("@{}", file.display());
        self.send(who, path, &["-X", method, "-H", &content_type, "-H", "Expect:", "--data-binary", &body])
    }

    fn send(&self, who: &Who, path: &str, arguments: &[&str]) -> Reply {
        let mut command = self.machine.inside("curl");
        // HTTP/1.1: this curl gives up on HTTP/2 when the answer comes before it has sent all.
        command.args(["--silent", "--show-error", "--http1.1", "--max-time", "20", "--write-out", "\n%{http_code}"]);
        command.arg("--cacert").arg(&self.authority).args(arguments).arg(format!("{}{path}", self.base));
        match who {
            Who::Nobody => {}
            Who::Token(token) => {
                command.args(["-H", &format!("Authorization: Bearer {token}")]);
            }
            Who::Certificate(file) => {
                command.arg("--cert").arg(file).arg("--key").arg(file);
            }
        }
        let output = run(&mut command);
        assert!(output.status.success(), "{command:?}: {}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, code) = text.rsplit_once('\n').unwrap();
        Reply { code: code.parse().unwrap(), body: body.to_owned() }
    }
}

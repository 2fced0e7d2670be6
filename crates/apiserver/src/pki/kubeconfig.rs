//! The kubeconfig that a client needs to reach the cluster.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A kubeconfig of one cluster and one user, everything embedded; certificate and key in PEM.
pub fn kubeconfig(server: &str, ca: &str, certificate: &str, key: &str) -> String {
    let [ca, certificate, key] = [ca, certificate, key].map(|pem| STANDARD.encode(pem));
    format!(
        r#"apiVersion: v1
kind: Config
clusters:
- name: sampan
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: sampan
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: sampan
  context:
    cluster: sampan
    user: sampan
current-context: sampan
"#
    )
}

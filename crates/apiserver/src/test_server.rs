//! Tests' HTTPS server: answers what a closure says.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Path and body to code and body; a body that is no JSON is null.
pub(crate) type Answers = Arc<dyn Fn(&str, Value) -> (u16, Value) + Send + Sync>;

pub(crate) struct TestServer {
    pub(crate) url: String,
    pub(crate) ca_pem: String,
}

pub(crate) async fn start(answers: Answers) -> TestServer {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answers) = (acceptor.clone(), answers.clone());
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let service = service_fn(move |request| answer(answers.clone(), request));
                let http = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
                    tracing::debug!(%error, "a test's connection ended");
                }
            });
        }
    });
    TestServer { url, ca_pem: made.cert.pem() }
}

async fn answer(answers: Answers, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let (code, value) = answers(parts.uri.path(), serde_json::from_slice(&body).unwrap_or_default());
    let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
    Ok(response.body(Full::from(value.to_string())).unwrap())
}

impl TestServer {
    /// A kubeconfig of this server in a folder.
    pub(crate) fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let path = folder.join("webhook.kubeconfig");
        let ca = folder.join("ca.pem");
        std::fs::write(&ca, &self.ca_pem).unwrap();
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters: [{{name: c, cluster: {{server: '{}/ask', \
             certificate-authority: '{}'}}}}]\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{token: secret}}}}]\n",
            self.url,
            ca.display()
        );
        std::fs::write(&path, text).unwrap();
        path
    }
}

//! The others that a server asks: an issuer of tokens, a token webhook, an authorization webhook. One HTTPS server on a
//! machine plays all three; it ends with the test's process.

use crate::harness::Machine;
use apiserver::pki::{Pki, ServerNames};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the token webhook knows.
pub(crate) const KNOWN_TOKEN: &str = "known-to-the-webhook";

pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

pub(crate) struct Others {
    pub(crate) url: String,
    /// Of their certificate.
    pub(crate) authority: PathBuf,
    key: EcdsaKeyPair,
}

impl Others {
    pub(crate) fn on(machine: &Machine, folder: &Path) -> Others {
        let names = ServerNames { addresses: vec!["127.0.0.1".parse().unwrap()], ..ServerNames::default() };
        let pki = Pki::open(&folder.join("others"), &names, now()).unwrap();
        let authority = folder.join("others.pem");
        std::fs::write(&authority, pki.server_ca.bundle_pem()).unwrap();
        let (chain, key) = pki.apiserver.tls().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = machine.within(|| TcpListener::bind("127.0.0.1:0").unwrap());
        let url = format!("https://{}", listener.local_addr().unwrap());
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random).unwrap();
        let others = Others { url, authority, key };
        let issuer = [
            (
                "/.well-known/openid-configuration",
                json!({"issuer": others.url, "jwks_uri": others.url.clone() + "/keys"}),
            ),
            ("/keys", json!({"keys": [others.jwk()]})),
        ];
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, issuer) = (config.clone(), issuer.clone());
                std::thread::spawn(move || serve(stream.unwrap(), config, &issuer));
            }
        });
        others
    }

    fn jwk(&self) -> Value {
        let point = self.key.public_key().as_ref();
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": "own",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..])})
    }

    /// A token of the issuer for `sampan`, with these claims beside.
    pub(crate) fn token(&self, claims: Value) -> String {
        let mut all = json!({"iss": self.url, "aud": "sampan", "exp": now() + 600});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(&json!({"alg": "ES256", "kid": "own"})), encode(&all));
        let signature = self.key.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A file that says where a webhook is.
    pub(crate) fn kubeconfig(&self, folder: &Path, path: &str) -> PathBuf {
        let file = folder.join(format!("{path}.kubeconfig"));
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: c\n  cluster: {{server: '{}/{path}', certificate-authority: \
             {}}}\ncontexts:\n- name: c\n  context: {{cluster: c, user: u}}\nusers:\n- name: u\n  user: {{}}\n\
             current-context: c\n",
            self.url,
            self.authority.display()
        );
        std::fs::write(&file, text).unwrap();
        file
    }
}

/// One request; whoever closes the connection half way has lost interest.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, issuer: &[(&str, Value)]) {
    let tls = ServerConnection::new(config).unwrap();
    let mut reader = BufReader::new(StreamOwned::new(tls, stream));
    let Some((path, body)) = request(&mut reader) else { return };
    let answer = match path.as_str() {
        "/tokens" => authenticated(body),
        "/access" => authorized(body),
        path => issuer.iter().find(|(own, _)| *own == path).map_or(Value::Null, |(_, document)| document.clone()),
    };
    let text = answer.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let stream = reader.get_mut();
    let sent = stream.write_all((head + &text).as_bytes()).and_then(|()| {
        stream.conn.send_close_notify();
        stream.flush()
    });
    if let Err(error) = sent {
        eprintln!("{path} was not waited for: {error}");
    }
}

fn request(reader: &mut impl BufRead) -> Option<(String, Value)> {
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let path = first.split(' ').nth(1)?.split('?').next()?;
    Some((path.to_owned(), serde_json::from_slice(&body).unwrap_or_default()))
}

/// Of a TokenReview.
fn authenticated(mut review: Value) -> Value {
    review["status"] = match review["spec"]["token"].as_str() {
        Some(KNOWN_TOKEN) => json!({"authenticated": true, "user": {"username": "hook:bob", "groups": ["hooked"]}}),
        _ => json!({"authenticated": false}),
    };
    review
}

/// Of a SubjectAccessReview: some things that RBAC says nothing of, and one that it allows.
fn authorized(mut review: Value) -> Value {
    let spec = &review["spec"];
    let user = spec["user"].as_str().unwrap_or_default();
    let resource = spec["resourceAttributes"]["resource"].as_str().unwrap_or_default();
    review["status"] = match (user, resource) {
        ("hook:bob", "configmaps") | ("oidc:ann", "roles") => {
            json!({"allowed": true, "reason": "the webhook likes it"})
        }
        ("oidc:ann" | "later:ann", "endpoints") => {
            json!({"allowed": false, "denied": true, "reason": "endpoints are nobody's business"})
        }
        _ => json!({"allowed": false}),
    };
    review
}

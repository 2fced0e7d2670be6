//! How a server is reached: its address, whose words are believed, and what every request says about its sender.

use crate::failure::{Failure, Result};
use base64::Engine;
use client::{Config, Credentials};
use http::{HeaderName, HeaderValue, header};
use std::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) config: Config,
    /// Whether any server is believed.
    pub(crate) insecure: bool,
    /// Who is acted as, beside the credentials.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The way there leads through it; empty where the environment says.
    pub(crate) proxy_url: String,
    pub(crate) request_timeout: Option<Duration>,
    /// How often the system probes an idle connection.
    pub(crate) tcp_keep_alive: Option<Duration>,
    pub(crate) verbosity: u8,
    pub(crate) warnings_as_errors: bool,
}

impl Connection {
    pub(crate) fn new(config: Config) -> Connection {
        Connection {
            config,
            insecure: false,
            headers: Vec::new(),
            proxy_url: String::new(),
            request_timeout: None,
            tcp_keep_alive: None,
            verbosity: 0,
            warnings_as_errors: false,
        }
    }

    /// To servers that this machine believes, as nobody.
    pub(crate) fn anonymous() -> Connection {
        Connection::new(Config {
            server: String::new(),
            ca_pem: crate::kubeconfig::machine_authorities(),
            server_name: None,
            credentials: Credentials::Anonymous,
            namespace: String::new(),
            user_agent: String::new(),
        })
    }

    pub(crate) fn tls(&self) -> Result<rustls::ClientConfig> {
        let mut tls = self.config.tls().map_err(|error| Failure::message(error.to_string()))?;
        if self.insecure {
            tls.dangerous().set_certificate_verifier(client::any_server());
        }
        Ok(tls)
    }

    /// The headers of every request: identity first.
    pub(crate) fn identity(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let mut headers = self.headers.clone();
        if let Credentials::Token(token) = &self.config.credentials {
            headers.push((header::AUTHORIZATION, secret(&format!("Bearer {token}"))?));
        }
        Ok(headers)
    }

    pub(crate) fn add_header(&mut self, name: &str, value: &str) -> Result<()> {
        let bad = |error: &dyn std::fmt::Display| Failure::message(format!("header {name:?}: {error}"));
        let name = HeaderName::try_from(name).map_err(|error| bad(&error))?;
        let value = HeaderValue::try_from(value).map_err(|error| bad(&error))?;
        self.headers.push((name, value));
        Ok(())
    }

    pub(crate) fn set_token(&mut self, token: &str) -> Result<()> {
        self.headers.push((header::AUTHORIZATION, secret(&format!("Bearer {token}"))?));
        Ok(())
    }

    pub(crate) fn set_password(&mut self, user: &str, password: &str) -> Result<()> {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.headers.push((header::AUTHORIZATION, secret(&format!("Basic {pair}"))?));
        Ok(())
    }
}

fn secret(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| Failure::message("the credentials have characters no header may have"))?;
    value.set_sensitive(true);
    Ok(value)
}

//! From a destination to a connection: a service's endpoint or a host's address, then TLS under the destination's name.

use super::error::{Unreached, dial};
use super::{Destination, Target, endpoint};
use client::{Client, ListOptions};
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where connections go that may serve the same requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Origin {
    Host { host: String, port: u16 },
    Service { namespace: String, name: String, port: i32 },
}

impl Origin {
    pub(super) fn of(target: &Target) -> Result<Origin, Unreached> {
        match &target.destination {
            Destination::Url(uri) => {
                let host = uri.host().ok_or_else(|| Unreached::Unusable("the URL names no host".to_owned()))?;
                let host = host.trim_matches(['[', ']']).to_owned();
                Ok(Origin::Host { host, port: uri.port_u16().unwrap_or(443) })
            }
            Destination::Service { namespace, name, port, .. } => {
                Ok(Origin::Service { namespace: namespace.clone(), name: name.clone(), port: *port })
            }
        }
    }

    /// What the server's certificate must be for.
    fn server_name(&self) -> Result<ServerName<'static>, Unreached> {
        let name = match self {
            Origin::Host { host, .. } => host.clone(),
            Origin::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
        };
        ServerName::try_from(name).map_err(|error| Unreached::Unusable(error.to_string()))
    }

    pub(super) async fn connect(
        &self,
        client: &Client,
        tls: &Arc<ClientConfig>,
    ) -> Result<TlsStream<TcpStream>, Unreached> {
        let (host, port) = self.address(client).await?;
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let failed = |error: std::io::Error| dial(&authority, &host, &error);
        let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(failed)?;
        tcp.set_nodelay(true).map_err(failed)?;
        let connected = TlsConnector::from(tls.clone()).connect(self.server_name()?, tcp).await;
        connected.map_err(|error| Unreached::of_tls(&error))
    }

    async fn address(&self, client: &Client) -> Result<(String, u16), Unreached> {
        match self {
            Origin::Host { host, port } => Ok((host.clone(), *port)),
            Origin::Service { namespace, name, port } => of_service(client, namespace, name, *port).await,
        }
    }
}

async fn of_service(client: &Client, namespace: &str, name: &str, port: i32) -> Result<(String, u16), Unreached> {
    let unresolved = |why: String| Unreached::Unresolved(why);
    let service = client.find::<Service>(namespace, name).await.map_err(|status| unresolved(status.message))?;
    let service = service.ok_or_else(|| unresolved(format!("service {name:?} not found")))?;
    let spec = service.spec.as_ref();
    if spec.is_some_and(|spec| spec.type_.as_deref() == Some("ExternalName")) {
        let host = spec.and_then(|spec| spec.external_name.clone()).unwrap_or_default();
        let port = u16::try_from(port).map_err(|error| unresolved(format!("port {port}: {error}")))?;
        return Ok((host, port));
    }
    let none = || unresolved(format!("no service port {port} found for service {name:?}"));
    let port_name = endpoint::port_name(&service, port).ok_or_else(none)?;
    let options = ListOptions { label_selector: format!("kubernetes.io/service-name={name}"), ..Default::default() };
    let slices = client.list::<EndpointSlice>(namespace, options).await;
    let slices = slices.map_err(|status| unresolved(status.message))?.items;
    let chosen = endpoint::ready_endpoint(&slices, port_name);
    let (address, port) = chosen.ok_or_else(|| unresolved(format!("no endpoints available for service {name:?}")))?;
    Ok((address.to_owned(), port))
}

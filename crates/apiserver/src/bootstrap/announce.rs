//! Where the API is: the endpoints of the `kubernetes` service, which has no selector.

use super::apply;
use super::objects::{self, FURTHER_SLICES, KUBERNETES, Listening};
use api::{Reason, Status};
use client::{Client, DeleteOptions, ListOptions};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use std::net::SocketAddr;

/// Has pods find exactly these servers, of which there must be one at least.
pub async fn announce(client: &Client, servers: &[SocketAddr]) -> Result<(), Status> {
    let listening = listening(servers);
    apply::keep(client, vec![objects::endpoints(&listening)]).await?;
    let slices = objects::endpoint_slices(&listening);
    let names: Vec<String> = slices.iter().filter_map(|slice| slice.metadata.name.clone()).collect();
    apply::keep(client, slices).await?;
    for further in further_slices(client).await?.into_iter().filter(|name| !names.contains(name)) {
        match client.delete::<EndpointSlice>("default", &further, &DeleteOptions::default()).await {
            Err(status) if status.reason != Reason::NotFound => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

fn listening(servers: &[SocketAddr]) -> Listening {
    let mut listening = Listening::new();
    for server in servers {
        listening.entry((server.is_ipv6(), server.port())).or_default().push(server.ip());
    }
    for addresses in listening.values_mut() {
        addresses.sort();
        addresses.dedup();
    }
    listening
}

async fn further_slices(client: &Client) -> Result<Vec<String>, Status> {
    let of_the_service =
        ListOptions { label_selector: format!("kubernetes.io/service-name={KUBERNETES}"), ..ListOptions::default() };
    let found = client.list::<EndpointSlice>("default", of_the_service).await?;
    let names = found.items.into_iter().filter_map(|slice| slice.metadata.name);
    Ok(names.filter(|name| name.starts_with(FURTHER_SLICES)).collect())
}

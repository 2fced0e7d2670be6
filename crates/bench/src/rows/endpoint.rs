//! One endpoint changes among 10,000 services: from the write to the first connection that goes where it should.

use crate::figure::Reporter;
use crate::load;
use crate::target::{self, Target};
use anyhow::{Context, Result, bail};
use api::Kind;
use client::{Client, ListOptions, PatchType, Request, Verb};
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SERVICES: usize = 10_000;
const CHANGES: usize = 20;
const TIME_MAX: Duration = Duration::from_secs(60);

pub(crate) async fn measure(target: &Target, reporter: &Reporter) -> Result<()> {
    let client = target.client()?;
    let nodes = client.list::<Node>("", ListOptions::default()).await.context("finding the node")?;
    let addresses = nodes.items.into_iter().flat_map(|node| node.status.and_then(|status| status.addresses)).flatten();
    let own: Ipv4Addr =
        addresses.into_iter().find(|address| address.type_ == "InternalIP").context("no address")?.address.parse()?;
    let ports = [serve(own, b'a').await?, serve(own, b'b').await?];

    let namespace = target.namespace("services").await?;
    let place = namespace.clone();
    load::run(target, 32, SERVICES, move |index| target::create::<Service>(&place, &service(index))).await?;
    let place = namespace.clone();
    load::run(target, 32, SERVICES, move |index| {
        let (address, port) = if index == 0 { (own, ports[0]) } else { (Ipv4Addr::new(10, 142, 200, 1), 80) };
        target::create::<EndpointSlice>(&place, &slice(index, address, port))
    })
    .await?;
    let vip: Ipv4Addr = client
        .get::<Service>(&namespace, &name(0))
        .await?
        .spec
        .and_then(|spec| spec.cluster_ip)
        .context("a service without an address")?
        .parse()?;
    answers(vip, b'a').await.context("the first endpoint")?;
    let mut times = Vec::new();
    for change in 1..=CHANGES {
        let port = ports[change % 2];
        let started = Instant::now();
        move_to(&client, &namespace, port).await?;
        answers(vip, [b'a', b'b'][change % 2]).await?;
        times.push(started.elapsed());
    }
    reporter.report_times("endpoint_change_at_10000_services", times);
    target.forget(&namespace).await
}

/// Says its letter to everybody who connects; its port.
async fn serve(address: Ipv4Addr, letter: u8) -> Result<u16> {
    let listener = TcpListener::bind((address, 0)).await.context("listening")?;
    let port = listener.local_addr().context("listening")?.port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if let Err(error) = stream.write_all(&[letter]).await {
                eprintln!("answering: {error}");
            }
        }
    });
    Ok(port)
}

/// Connects until this letter is the answer.
async fn answers(vip: Ipv4Addr, letter: u8) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < TIME_MAX {
        if ask(vip).await.is_ok_and(|answer| answer == letter) {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
    bail!("{vip} did not go to the right endpoint within {TIME_MAX:?}")
}

async fn ask(vip: Ipv4Addr) -> std::io::Result<u8> {
    TcpStream::connect((vip, 80)).await?.read_u8().await
}

async fn move_to(client: &Client, namespace: &str, port: u16) -> Result<()> {
    let patch = json!({"ports": [{"port": port, "protocol": "TCP"}]});
    let request = Request::new(Verb::Patch(PatchType::Merge), &EndpointSlice::DEF, namespace, &name(0));
    client.call(request.body(serde_json::to_vec(&patch)?)).await.context("changing the endpoint")?;
    Ok(())
}

fn name(index: usize) -> String {
    format!("s-{index:05}")
}

/// Without a selector: the slices are ours.
fn service(index: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name(index)}, "spec": {"ports": [{"port": 80}]}})
}

fn slice(index: usize, address: Ipv4Addr, port: u16) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name(index), "labels": {"kubernetes.io/service-name": name(index)}},
        "addressType": "IPv4", "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        "ports": [{"port": port, "protocol": "TCP"}],
    })
}

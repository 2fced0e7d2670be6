//! One probe, whatever its kind.

use super::exec::{self, Failure};
use super::{grpc, host_port, http, port_number};
use crate::pod_machine::Outcome;
use cri::Runtime;
use k8s_openapi::api::core::v1::{Container, GRPCAction, Probe, TCPSocketAction};
use std::time::Duration;

const AGENT: &str = "kube-probe/1.37";

/// Asks once. `address` is the pod's.
pub(crate) async fn run(
    runtime: &dyn Runtime,
    probe: &Probe,
    container: &Container,
    id: &str,
    address: &str,
) -> Outcome {
    let seconds = probe.timeout_seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    let timeout = Duration::from_secs(seconds.unwrap_or(1));
    if let Some(action) = &probe.exec {
        return in_container(runtime, action.command.as_deref().unwrap_or_default(), id, timeout).await;
    }
    if let Some(action) = &probe.http_get {
        return match http::Target::new(action, container, address, AGENT) {
            Ok(target) => by_http(target, timeout).await,
            Err(error) => Outcome::Error(error),
        };
    }
    if let Some(action) = &probe.tcp_socket {
        return by_tcp(action, container, address, timeout).await;
    }
    match &probe.grpc {
        Some(action) => by_grpc(action, address, timeout).await,
        None => Outcome::Error("missing probe handler".to_owned()),
    }
}

async fn in_container(runtime: &dyn Runtime, command: &[String], id: &str, timeout: Duration) -> Outcome {
    match exec::run(runtime, id, command, timeout).await {
        Ok(done) if done.code == 0 => Outcome::Success,
        Ok(done) => Outcome::Failure(done.output),
        Err(Failure::TimedOut) => Outcome::Failure(format!(
            "command timed out: {:?} timed out after {}s",
            command.join(" "),
            timeout.as_secs()
        )),
        Err(Failure::Impossible(error)) => Outcome::Error(error),
    }
}

async fn by_http(target: http::Target, timeout: Duration) -> Outcome {
    match http::get(target, timeout).await {
        Ok(answer) if (200..400).contains(&answer.status) => Outcome::Success,
        Ok(answer) => Outcome::Failure(format!("HTTP probe failed with statuscode: {}", answer.status)),
        Err(error) => Outcome::Failure(error),
    }
}

async fn by_tcp(action: &TCPSocketAction, container: &Container, address: &str, timeout: Duration) -> Outcome {
    let port = match port_number(&action.port, container) {
        Ok(port) => port,
        Err(error) => return Outcome::Error(error),
    };
    let host = action.host.as_deref().filter(|host| !host.is_empty()).unwrap_or(address);
    let target = host_port(host, port);
    match tokio::time::timeout(timeout, http::connect(&target)).await {
        Ok(Ok(_)) => Outcome::Success,
        Ok(Err(error)) => Outcome::Failure(error),
        Err(_) => Outcome::Failure(format!("dial tcp {target}: i/o timeout")),
    }
}

async fn by_grpc(action: &GRPCAction, address: &str, timeout: Duration) -> Outcome {
    let Ok(port) = u16::try_from(action.port) else {
        return Outcome::Error(format!("invalid port number: {}", action.port));
    };
    let target = host_port(address, port);
    let service = action.service.as_deref().unwrap_or_default();
    match tokio::time::timeout(timeout, grpc::check(&target, service)).await {
        Ok(Ok(Ok(()))) => Outcome::Success,
        Ok(Ok(Err(error))) => Outcome::Failure(error),
        Ok(Err(error)) => Outcome::Error(error),
        Err(_) => Outcome::Failure(format!("timeout: failed to connect service {target:?} within {timeout:?}")),
    }
}

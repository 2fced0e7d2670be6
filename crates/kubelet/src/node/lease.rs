//! The node's heartbeat: a lease that is renewed four times in its life.

use api::{Reason, Status};
use client::Client;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference};
use std::time::Duration;
use tokio::sync::watch;

const NAMESPACE: &str = "kube-node-lease";
const RENEWALS_PER_LIFE: u32 = 4;
const RETRY: Duration = Duration::from_millis(200);

/// Renews until `stop` changes.
pub(crate) async fn run(client: Client, node: String, duration: Duration, mut stop: watch::Receiver<bool>) {
    let every = duration / RENEWALS_PER_LIFE;
    let mut lease: Option<Lease> = None;
    loop {
        let wait = match renew(&client, &node, duration, lease.take()).await {
            Ok(renewed) => {
                lease = Some(renewed);
                every
            }
            Err(status) => {
                tracing::warn!(node, %status, "the node's lease was not renewed; it is tried again");
                RETRY.min(every)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.changed() => return,
        }
    }
}

async fn renew(client: &Client, node: &str, duration: Duration, last: Option<Lease>) -> Result<Lease, Status> {
    if let Some(mut lease) = last {
        renewed(&mut lease, node, duration);
        match client.update(&lease).await {
            // Somebody else wrote or deleted it: begin from what is there.
            Err(status) if matches!(status.reason, Reason::Conflict | Reason::NotFound) => {}
            result => return result,
        }
    }
    match client.find::<Lease>(NAMESPACE, node).await? {
        Some(mut lease) => {
            renewed(&mut lease, node, duration);
            client.update(&lease).await
        }
        None => {
            let mut lease = Lease {
                metadata: ObjectMeta {
                    name: Some(node.to_owned()),
                    namespace: Some(NAMESPACE.to_owned()),
                    owner_references: owner(client, node).await?,
                    ..ObjectMeta::default()
                },
                spec: None,
            };
            renewed(&mut lease, node, duration);
            client.create(&lease).await
        }
    }
}

/// So that the lease goes with its node; none while the node is not registered.
async fn owner(client: &Client, node: &str) -> Result<Option<Vec<OwnerReference>>, Status> {
    let found = client.find::<Node>("", node).await?;
    Ok(found.and_then(|found| found.metadata.uid).map(|uid| {
        let (api_version, kind) = ("v1".to_owned(), "Node".to_owned());
        vec![OwnerReference { api_version, kind, name: node.to_owned(), uid, ..OwnerReference::default() }]
    }))
}

fn renewed(lease: &mut Lease, node: &str, duration: Duration) {
    let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
    spec.holder_identity = Some(node.to_owned());
    spec.lease_duration_seconds = i32::try_from(duration.as_secs().max(1)).ok();
    spec.renew_time = Some(MicroTime(Timestamp::now()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::testing::Fake;

    #[tokio::test(start_paused = true)]
    async fn the_lease_is_made_and_renewed() {
        let (fake, client) = Fake::start();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(client, "n1".into(), Duration::from_secs(40), stopped));
        fake.until("three renewals", |fake| fake.calls("update leases") >= 3).await;
        let lease: Lease = fake.get(NAMESPACE, "n1").unwrap();
        assert_eq!(lease.spec.unwrap().lease_duration_seconds, Some(40));
        stop.send_replace(true);
        task.await.unwrap();
    }
}

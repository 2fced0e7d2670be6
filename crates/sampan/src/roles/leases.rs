//! The leases by which people and programs see who leads, under upstream's names. Nothing here is decided by them.

use anyhow::{Context, Result};
use client::Client;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

const NAMESPACE: &str = "kube-system";
const NAMES: [&str; 2] = ["kube-controller-manager", "kube-scheduler"];
/// Each is a write: no more often than somebody who looks needs it.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
const LASTS_SECONDS: i32 = 30;

/// Shows this leader for as long as it is polled.
pub(super) async fn show(client: &Client, identity: &str) -> Result<Infallible> {
    let mut ticks = tokio::time::interval(RENEWED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for name in NAMES {
            renew(client, name, identity).await.with_context(|| format!("renewing the lease {name}"))?;
        }
    }
}

async fn renew(client: &Client, name: &str, identity: &str) -> Result<(), api::Status> {
    let found = client.find::<Lease>(NAMESPACE, name).await?;
    let lease = shown(found.clone().unwrap_or_default(), name, identity, Timestamp::now());
    match found {
        None => client.create(&lease).await.map(drop),
        Some(_) => client.update(&lease).await.map(drop),
    }
}

fn shown(lease: Lease, name: &str, identity: &str, now: Timestamp) -> Lease {
    let before = lease.spec.unwrap_or_default();
    let is_ours = before.holder_identity.as_deref() == Some(identity);
    let transitions = before.lease_transitions.map_or(0, |count| if is_ours { count } else { count + 1 });
    let spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        acquire_time: before.acquire_time.filter(|_| is_ours).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_duration_seconds: Some(LASTS_SECONDS),
        lease_transitions: Some(transitions),
        ..before
    };
    let metadata = ObjectMeta { name: Some(name.to_owned()), namespace: Some(NAMESPACE.to_owned()), ..lease.metadata };
    Lease { metadata, spec: Some(spec) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_tells_since_when_who_leads_and_how_often_that_changed() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let first = shown(Lease::default(), "kube-scheduler", "a", at(1));
        let renewed = shown(first.clone(), "kube-scheduler", "a", at(2));
        let taken = shown(renewed.clone(), "kube-scheduler", "b", at(3));
        let told = |lease: Lease| {
            let spec = lease.spec.unwrap();
            (
                spec.holder_identity.unwrap(),
                spec.acquire_time.unwrap().0,
                spec.renew_time.unwrap().0,
                spec.lease_transitions,
            )
        };
        assert_eq!(told(first), ("a".to_owned(), at(1), at(1), Some(0)));
        assert_eq!(told(renewed), ("a".to_owned(), at(1), at(2), Some(0)));
        assert_eq!(told(taken), ("b".to_owned(), at(3), at(3), Some(1)));
    }
}

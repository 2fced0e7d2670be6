//! How long the controllers take to make a Deployment's pods. Nobody schedules them.

use crate::figure::Reporter;
use crate::following::Following;
use crate::target::Target;
use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::Deployment;
use std::time::Instant;

const PODS: usize = 1_000;

pub(crate) async fn measure(target: &Target, reporter: &Reporter) -> Result<()> {
    let namespace = target.namespace("deployment").await?;
    let client = target.client()?;
    let mut following = Following::pods(target.client()?, &namespace, "").await?;
    let deployment: Deployment = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {"replicas": PODS, "selector": {"matchLabels": {"app": "d"}}, "template": {
            "metadata": {"labels": {"app": "d"}},
            "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": "x"}]}}}
    }))?;
    let started = Instant::now();
    client.create(&deployment).await.context("making the Deployment")?;
    let last = following.until(PODS).await?;
    reporter.report("deployment_0_to_1000_pods", (last - started).as_secs_f64(), "s");
    target.forget(&namespace).await
}

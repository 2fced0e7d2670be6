//! `autoscale`: as many replicas as a workload needs.

use super::create::typed;
use super::output::Creation;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::Choice;
use api::Kind;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: crate::manifest::Files,
    /// TYPE NAME or TYPE/NAME
    arguments: Vec<String>,
    #[command(flatten)]
    creation: Creation,
    /// Not fewer replicas than these; -1 is the server's choice
    #[arg(long, default_value_t = -1, allow_hyphen_values = true)]
    min: i64,
    /// Not more replicas than these
    #[arg(long, required = true, allow_hyphen_values = true)]
    max: i64,
    /// The processor time wanted: 70% of what is requested, or 500m
    #[arg(long, default_value = "", hide_default_value = true)]
    cpu: String,
    /// The memory wanted: 70% of what is requested, or 500Mi
    #[arg(long, default_value = "", hide_default_value = true)]
    memory: String,
    /// As --cpu, in per cent without the sign
    #[arg(long, default_value_t = -1, allow_hyphen_values = true, hide = true)]
    cpu_percent: i64,
    /// The autoscaler's name
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
}

const CPU_PERCENT_IS_OLD: &str = "Flag --cpu-percent has been deprecated, Use --cpu with percentage or resource quantity \
    format (e.g., '70%' for utilization or '500m' for milliCPU).";
const MANAGER: &str = "kubectl-autoscale";

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if arguments.max < 1 {
        return Err(Failure::message(format!(
            "--max=MAXPODS is required and must be at least 1, max: {}",
            arguments.max
        )));
    }
    if arguments.max < arguments.min {
        return Err(Failure::message(format!(
            "--max=MAXPODS must be larger or equal to --min=MINPODS, max: {}, min: {}",
            arguments.max, arguments.min
        )));
    }
    if arguments.cpu_percent >= 0 {
        context.remark(CPU_PERCENT_IS_OLD)?;
        if !arguments.cpu.is_empty() {
            return Err(Failure::message("--cpu-percent and --cpu are mutually exclusive"));
        }
    }
    let metrics = arguments.metrics()?;
    let choice = Choice { arguments: arguments.arguments.clone(), files: arguments.files.clone(), ..Choice::default() };
    for target in choice.targets(context).await? {
        if !matches!(target.def.kind, "Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController") {
            let def = target.def;
            return Err(Failure::message(format!(
                "cannot autoscale a {}: could not find scale subresource for {}/{}, Resource={} in discovery information",
                def.kind, def.group, def.version, def.plural
            )));
        }
        context.get(target.at()).await?;
        let name = if arguments.name.is_empty() { &target.name } else { &arguments.name };
        let mut spec = json!({
            "maxReplicas": arguments.max,
            "scaleTargetRef": {"apiVersion": target.def.api_version(), "kind": target.def.kind, "name": target.name},
        });
        if arguments.min > 0 {
            spec["minReplicas"] = arguments.min.into();
        }
        if !metrics.is_empty() {
            spec["metrics"] = metrics.clone().into();
        }
        let status = json!({"currentMetrics": null, "desiredReplicas": 0});
        let object = json!({"metadata": {"name": name}, "spec": spec, "status": status});
        let def = &HorizontalPodAutoscaler::DEF;
        arguments.creation.create_as(context, MANAGER, def, typed(def, object), "autoscaled").await?;
    }
    Ok(())
}

impl Arguments {
    fn metrics(&self) -> Result<Vec<Value>> {
        let cpu = if self.cpu.is_empty() && self.cpu_percent >= 0 {
            format!("{}%", self.cpu_percent)
        } else {
            self.cpu.clone()
        };
        let wanted = [("cpu", cpu.as_str()), ("memory", self.memory.as_str())];
        let wanted = wanted.into_iter().filter(|(_, text)| !text.is_empty());
        wanted
            .map(|(name, text)| {
                Ok(json!({"type": "Resource", "resource": {"name": name, "target": goal(name, text)?}}))
            })
            .collect()
    }
}

fn goal(name: &str, text: &str) -> Result<Value> {
    if let Some(percent) = text.strip_suffix('%') {
        let percent: i64 = percent
            .parse()
            .map_err(|_| Failure::message(format!("invalid value for --{name}: {text:?} is no percentage")))?;
        return Ok(json!({"type": "Utilization", "averageUtilization": percent}));
    }
    let quantity = api::quantity::Quantity::parse(text)
        .map_err(|_| Failure::message(format!("invalid resource {name} value: {text}")))?;
    Ok(json!({"type": "AverageValue", "averageValue": quantity.to_string()}))
}

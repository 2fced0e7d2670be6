//! `expose`: a service for what a pod, a workload or another service has.

use super::create::{int_or_string, typed};
use super::output::Creation;
use crate::calls::{name_of, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::target::{Choice, Target};
use api::Kind;
use api::schema::strategic;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Map, Value, json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: crate::manifest::Files,
    /// TYPE NAME or TYPE/NAME
    arguments: Vec<String>,
    #[command(flatten)]
    creation: Creation,
    #[command(flatten)]
    overrides: Overrides,
    /// The service's name
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// The port that the service listens on; several with commas
    #[arg(long, default_value = "", hide_default_value = true)]
    port: String,
    /// The port of the pods, by number or name
    #[arg(long, default_value = "", hide_default_value = true)]
    target_port: String,
    /// TCP, UDP or SCTP
    #[arg(long, default_value = "", hide_default_value = true)]
    protocol: String,
    /// ClusterIP, NodePort, LoadBalancer or ExternalName
    #[arg(long = "type", default_value = "", hide_default_value = true)]
    kind: String,
    /// The service's labels: KEY=VALUE, several with commas
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    labels: String,
    /// The labels of the pods: KEY=VALUE, several with commas
    #[arg(long, default_value = "", hide_default_value = true)]
    selector: String,
    /// The service's address, or None
    #[arg(long, default_value = "", hide_default_value = true)]
    cluster_ip: String,
    /// An address from outside that leads to the service
    #[arg(long, default_value = "", hide_default_value = true)]
    external_ip: String,
    /// The address wanted of a load balancer
    #[arg(long, default_value = "", hide_default_value = true)]
    load_balancer_ip: String,
    /// None or ClientIP
    #[arg(long, default_value = "", hide_default_value = true)]
    session_affinity: String,
}

/// A patch over the object that flags make.
#[derive(clap::Args, Clone, Debug, Default)]
pub(super) struct Overrides {
    /// JSON that is laid over the object
    #[arg(long = "overrides", default_value = "", hide_default_value = true)]
    text: String,
    /// How: json, merge or strategic
    #[arg(long, default_value = "merge")]
    override_type: String,
}

impl Overrides {
    pub(super) fn apply(&self, message: &str, mut object: Value) -> Result<Value> {
        if self.text.is_empty() {
            return Ok(object);
        }
        let invalid = |error: String| Failure::message(format!("Invalid JSON Patch: {error}"));
        let patch: Value = serde_json::from_str(&self.text).map_err(|_| Failure::message("Invalid JSON Patch"))?;
        match self.override_type.as_str() {
            "merge" => super::patch::merge(&mut object, &patch),
            "strategic" => {
                object =
                    strategic::strategic_merge(message, object, patch).map_err(|error| invalid(error.to_string()))?;
            }
            "json" => super::patch::json(&mut object, &patch)?,
            other => return Err(Failure::message(format!("invalid override type: {other}"))),
        }
        Ok(object)
    }
}

const MANAGER: &str = "kubectl-expose";

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let choice = Choice { arguments: arguments.arguments.clone(), files: arguments.files.clone(), ..Choice::default() };
    let mut failures = Vec::new();
    for target in choice.targets(context).await? {
        let object = context.get(target.at()).await?;
        let service = arguments.service(&target, &object)?;
        let service = arguments.overrides.apply(Service::DEF.message, service)?;
        if let Err(failure) = arguments.creation.create_as(context, MANAGER, &Service::DEF, service, "exposed").await {
            failures.push(failure);
        }
    }
    Failure::of_all(failures)
}

/// `a=1,b=2`.
pub(super) fn labels(text: &str) -> Result<Map<String, Value>> {
    let pair = |pair: &str| match pair.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), Value::from(value))),
        _ => Err(Failure::message(format!("unexpected label spec: {pair}"))),
    };
    text.split(',').filter(|pair| !pair.is_empty()).map(pair).collect()
}

/// A service for `ports`, as both `expose` and `run --expose` make it.
pub(super) fn service(name: &str, labels: Value, selector: Value, ports: Vec<Value>) -> Value {
    let mut object = typed(&Service::DEF, json!({"metadata": {"name": name}, "spec": {"selector": selector}}));
    if labels.as_object().is_some_and(|labels| !labels.is_empty()) {
        object["metadata"]["labels"] = labels;
    }
    if !ports.is_empty() {
        object["spec"]["ports"] = ports.into();
    }
    object["status"] = json!({"loadBalancer": {}});
    object
}

impl Arguments {
    fn service(&self, target: &Target, object: &Value) -> Result<Value> {
        let selector =
            if self.selector.is_empty() { selector(target, object)? } else { labels(&self.selector)?.into() };
        let name = if self.name.is_empty() { name_of(object).chars().take(63).collect() } else { self.name.clone() };
        let labels = match self.labels.as_str() {
            "" => object.pointer("/metadata/labels").cloned().unwrap_or_default(),
            text => labels(text)?.into(),
        };
        let mut service = service(&name, labels, selector, self.ports(object)?);
        let spec = &mut service["spec"];
        let is_balanced = self.kind == "LoadBalancer";
        for (key, value, is_meant) in [
            ("type", &self.kind, true),
            ("clusterIP", &self.cluster_ip, true),
            ("loadBalancerIP", &self.load_balancer_ip, is_balanced),
            ("sessionAffinity", &self.session_affinity, true),
        ] {
            if is_meant && !value.is_empty() {
                spec[key] = value.as_str().into();
            }
        }
        if !self.external_ip.is_empty() {
            spec["externalIPs"] = json!([self.external_ip]);
        }
        Ok(service)
    }

    fn ports(&self, object: &Value) -> Result<Vec<Value>> {
        let known = container_ports(object);
        let numbers: Vec<i64> = if self.port.is_empty() {
            known.iter().map(|(port, _)| *port).collect()
        } else {
            let number = |text: &str| {
                text.parse().map_err(|_| Failure::message(format!("strconv.Atoi: parsing {text:?}: invalid syntax")))
            };
            self.port.split(',').map(number).collect::<Result<_>>()?
        };
        if numbers.is_empty() && self.cluster_ip != "None" {
            return Err(Failure::message("couldn't find port via --port flag or introspection"));
        }
        let several = numbers.len() > 1;
        let port = |(index, port): (usize, i64)| {
            let protocol = known.iter().find(|(own, _)| *own == port).map_or("TCP", |(_, protocol)| protocol);
            let protocol = if self.protocol.is_empty() { protocol } else { &self.protocol };
            let target = if self.target_port.is_empty() { port.into() } else { int_or_string(&self.target_port) };
            let mut made = json!({"port": port, "protocol": protocol, "targetPort": target});
            if several {
                made["name"] = format!("port-{}", index + 1).into();
            }
            made
        };
        Ok(numbers.into_iter().enumerate().map(port).collect())
    }
}

/// The labels of the pods that an object stands for.
fn selector(target: &Target, object: &Value) -> Result<Value> {
    let map = |value: Option<&Value>| value.filter(|map| map.as_object().is_some_and(|map| !map.is_empty())).cloned();
    match target.def.kind {
        "Pod" => map(object.pointer("/metadata/labels"))
            .ok_or_else(|| Failure::message("the pod has no labels and cannot be exposed")),
        "Service" => {
            map(object.pointer("/spec/selector")).ok_or_else(|| Failure::message("the service has no pod selector set"))
        }
        "ReplicationController" => Ok(object["spec"]["selector"].clone()),
        "Deployment" | "ReplicaSet" => {
            if object.pointer("/spec/selector/matchExpressions").is_some() {
                return Err(Failure::message("couldn't convert expressions to map-based selector format"));
            }
            map(object.pointer("/spec/selector/matchLabels"))
                .ok_or_else(|| Failure::message("invalid object: no label selector found"))
        }
        kind => {
            let def = target.def;
            let (group, kind) = (def.group, kind);
            let named = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
            Err(Failure::message(format!("cannot expose a {named}")))
        }
    }
}

/// Ports that the object's containers, or the service itself, declare.
fn container_ports(object: &Value) -> Vec<(i64, String)> {
    let lists = ["/spec/containers", "/spec/template/spec/containers"];
    let containers = lists.iter().filter_map(|pointer| object.pointer(pointer)?.as_array()).flatten();
    let of_containers = containers.filter_map(|container| container.get("ports")?.as_array()).flatten();
    let of_service = object.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten();
    let all = of_containers.map(|port| (port, "/containerPort")).chain(of_service.map(|port| (port, "/port")));
    let read = |(port, key): (&Value, &str)| {
        let protocol = text(port, "/protocol");
        let protocol = if protocol.is_empty() { "TCP" } else { protocol };
        Some((port.pointer(key)?.as_i64()?, protocol.to_owned()))
    };
    all.filter_map(read).collect()
}

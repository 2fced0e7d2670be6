//! Containers, of a pod with their state or of a template that pods are made from.

use super::page::{Page, items, number, or_none, sorted, time};
use super::volumes;
use crate::calls::text;
use crate::print::display;
use api::quantity::Quantity;
use serde_json::Value;

/// A template's part of a workload's description.
pub(crate) fn describe(template: &Value, page: &mut Page) {
    page.line(0, "Pod Template:");
    inner(template, page);
}

/// The same without its title, for a place that has one of its own.
pub(crate) fn inner(template: &Value, page: &mut Page) {
    let spec = &template["spec"];
    page.labels("  Labels", template.pointer("/metadata/labels"));
    if sorted(template.pointer("/metadata/annotations")).next().is_some() {
        page.annotations("  Annotations", template.pointer("/metadata/annotations"));
    }
    page.pair_of(1, "Service Account", spec, "/serviceAccountName");
    if !items(spec, "/initContainers").is_empty() {
        containers("Init Containers", items(spec, "/initContainers"), &[], None, page);
    }
    containers("Containers", items(spec, "/containers"), &[], None, page);
    volumes::describe(items(spec, "/volumes"), "  ", page);
    spread(spec, "  ", page);
    page.pair_of(1, "Priority Class Name", spec, "/priorityClassName");
    page.labels("  Node-Selectors", spec.get("nodeSelector"));
    tolerations("  Tolerations", spec, page);
}

/// With a pod their fields are known; without one they are a template's, and stand further in.
pub(super) fn containers(title: &str, containers: &[Value], statuses: &[Value], pod: Option<&Value>, page: &mut Page) {
    let indent = if pod.is_some() { "" } else { "  " };
    let none = if containers.is_empty() { " <none>" } else { "" };
    page.line(0, format_args!("{indent}{title}:{none}"));
    for container in containers {
        let status = statuses.iter().find(|status| status["name"] == container["name"]);
        basics(container, status, if pod.is_some() { "" } else { " " }, page);
        words("Command", items(container, "/command"), page);
        words("Args", items(container, "/args"), page);
        if let Some(status) = status {
            state(status, page);
        }
        resources(&container["resources"], 2, page);
        for (label, member) in
            [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
        {
            if let Some(probe) = container.get(member) {
                page.pair(2, label, self::probe(probe));
            }
        }
        sources(container, page);
        environment(container, pod, page);
        mounts(container, page);
    }
}

fn basics(container: &Value, status: Option<&Value>, indent: &str, page: &mut Page) {
    page.line(1, format_args!("{indent}{}:", text(container, "/name")));
    if let Some(status) = status {
        page.pair(2, "Container ID", text(status, "/containerID"));
    }
    page.pair(2, "Image", text(container, "/image"));
    if let Some(status) = status {
        page.pair(2, "Image ID", text(status, "/imageID"));
    }
    for (label, member) in [("Port", "/containerPort"), ("Host Port", "/hostPort")] {
        let ports = items(container, "/ports").iter();
        let ports: Vec<String> =
            ports.map(|port| format!("{}/{}", number(port, member), text(port, "/protocol"))).collect();
        let plural = if ports.len() > 1 { "s" } else { "" };
        page.pair(2, &format!("{label}{plural}"), or_none(&ports.join(", ")));
    }
    let profile = &container["securityContext"]["seccompProfile"];
    page.pair_of(2, "SeccompProfile", profile, "/type");
    page.pair_of(3, "LocalhostProfile", profile, "/localhostProfile");
}

fn words(title: &str, words: &[Value], page: &mut Page) {
    if !words.is_empty() {
        page.line(2, format_args!("{title}:"));
    }
    let lines = words.iter().flat_map(|word| word.as_str().unwrap_or_default().split('\n'));
    lines.for_each(|line| page.line(3, line));
}

fn state(status: &Value, page: &mut Page) {
    one_state("State", &status["state"], page);
    if status.pointer("/lastState/terminated").is_some() {
        one_state("Last State", &status["lastState"], page);
    }
    page.pair(2, "Ready", if status["ready"] == true { "True" } else { "False" });
    page.pair(2, "Restart Count", number(status, "/restartCount"));
}

fn one_state(title: &str, state: &Value, page: &mut Page) {
    if let Some(running) = state.get("running") {
        page.pair(2, title, "Running");
        page.pair(3, "Started", time(text(running, "/startedAt")));
    } else if let Some(ended) = state.get("terminated") {
        page.pair(2, title, "Terminated");
        page.pair_of(3, "Reason", ended, "/reason");
        page.pair_of(3, "Message", ended, "/message");
        page.pair(3, "Exit Code", number(ended, "/exitCode"));
        if number(ended, "/signal") > 0 {
            page.pair(3, "Signal", number(ended, "/signal"));
        }
        page.pair(3, "Started", time(text(ended, "/startedAt")));
        page.pair(3, "Finished", time(text(ended, "/finishedAt")));
    } else {
        page.pair(2, title, "Waiting");
        page.pair_of(3, "Reason", state, "/waiting/reason");
    }
}

pub(super) fn resources(resources: &Value, level: usize, page: &mut Page) {
    for (title, member) in [("Limits", "limits"), ("Requests", "requests")] {
        let quantities: Vec<_> = sorted(resources.get(member)).collect();
        if !quantities.is_empty() {
            page.line(level, format_args!("{title}:"));
        }
        quantities.iter().for_each(|(name, quantity)| page.pair(level + 1, name, display(quantity)));
    }
}

fn probe(probe: &Value) -> String {
    let seconds = |member: &str| number(probe, member);
    let timing = format!(
        "delay={}s timeout={}s period={}s successThreshold={} failureThreshold={}",
        seconds("/initialDelaySeconds"),
        seconds("/timeoutSeconds"),
        seconds("/periodSeconds"),
        seconds("/successThreshold"),
        seconds("/failureThreshold")
    );
    if let Some(exec) = probe.get("exec") {
        return format!("exec {} {timing}", display(&exec["command"]));
    }
    if let Some(http) = probe.get("httpGet") {
        let (scheme, host) = (text(http, "/scheme").to_lowercase(), text(http, "/host"));
        let path = text(http, "/path");
        let slash = if path.starts_with('/') || path.is_empty() { "" } else { "/" };
        return format!("http-get {scheme}://{host}:{}{slash}{path} {timing}", display(&http["port"]));
    }
    if let Some(tcp) = probe.get("tcpSocket") {
        return format!("tcp-socket {}:{} {timing}", text(tcp, "/host"), display(&tcp["port"]));
    }
    match probe.get("grpc") {
        Some(grpc) => format!("grpc <pod>:{} {} {timing}", display(&grpc["port"]), text(grpc, "/service")),
        None => format!("unknown {timing}"),
    }
}

/// Of whole config maps and secrets.
fn sources(container: &Value, page: &mut Page) {
    let sources = items(container, "/envFrom");
    if !sources.is_empty() {
        page.line(2, "Environment Variables from:");
    }
    for source in sources {
        let of = |member: &str, kind| source.get(member).map(|reference| (kind, reference));
        let (kind, reference) =
            of("configMapRef", "ConfigMap").or_else(|| of("secretRef", "Secret")).unwrap_or(("", &Value::Null));
        let prefix = text(source, "/prefix");
        let prefix = if prefix.is_empty() { String::new() } else { format!(" with prefix '{prefix}'") };
        let (name, optional) = (text(reference, "/name"), reference["optional"] == true);
        page.line(3, format_args!("{name}\t{kind}{prefix}\tOptional: {optional}"));
    }
}

fn environment(container: &Value, pod: Option<&Value>, page: &mut Page) {
    let variables = items(container, "/env");
    page.line(2, format_args!("Environment:{}", if variables.is_empty() { "\t<none>" } else { "" }));
    for variable in variables {
        let name = text(variable, "/name");
        let from = &variable["valueFrom"];
        if let Some(field) = from.get("fieldRef") {
            let path = text(field, "/fieldPath");
            let value = pod.map(|pod| field_of(pod, path)).unwrap_or_default();
            page.pair(3, name, format_args!("{value} ({}:{path})", text(field, "/apiVersion")));
        } else if let Some(field) = from.get("resourceFieldRef") {
            let resource = text(field, "/resource");
            page.pair(3, name, format_args!("{} ({resource})", resource_of(container, field)));
        } else if let Some(key) = from.get("secretKeyRef") {
            let (what, secret, optional) = (text(key, "/key"), text(key, "/name"), key["optional"] == true);
            page.pair(3, name, format_args!("<set to the key '{what}' in secret '{secret}'>\tOptional: {optional}"));
        } else if let Some(key) = from.get("configMapKeyRef") {
            let (what, map, optional) = (text(key, "/key"), text(key, "/name"), key["optional"] == true);
            page.pair(3, name, format_args!("<set to the key '{what}' of config map '{map}'>\tOptional: {optional}"));
        } else if from.is_null() {
            let mut lines = text(variable, "/value").split('\n');
            page.pair(3, name, lines.next().unwrap_or_default());
            lines.for_each(|line| page.line(3, format_args!("\t{line}")));
        }
    }
}

/// Of a pod's own names; its other fields upstream leaves empty too.
fn field_of<'a>(pod: &'a Value, path: &str) -> &'a str {
    match path {
        "metadata.name" => text(pod, "/metadata/name"),
        "metadata.namespace" => text(pod, "/metadata/namespace"),
        "metadata.uid" => text(pod, "/metadata/uid"),
        _ => "",
    }
}

/// In units of the divisor, rounded up.
fn resource_of(container: &Value, field: &Value) -> String {
    let resource = text(field, "/resource");
    let quantity = |text: &str| Quantity::parse(text).ok().map(Quantity::as_f64);
    let pointer = format!("/resources/{}", resource.replacen('.', "/", 1));
    let value = container.pointer(&pointer).map(display).and_then(|text| quantity(&text)).unwrap_or_default();
    let divisor = quantity(text(field, "/divisor")).filter(|divisor| *divisor > 0.0).unwrap_or(1.0);
    match (value / divisor).ceil() {
        0.0 if matches!(resource, "limits.cpu" | "limits.memory") => "node allocatable".to_owned(),
        value => format!("{value}"),
    }
}

fn mounts(container: &Value, page: &mut Page) {
    let mut mounts: Vec<&Value> = items(container, "/volumeMounts").iter().collect();
    let none = if mounts.is_empty() { "\t<none>" } else { "" };
    page.line(2, format_args!("Mounts:{none}"));
    mounts.sort_by_key(|mount| text(mount, "/mountPath"));
    for mount in mounts {
        let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
        let path = text(mount, "/subPath");
        let path = if path.is_empty() { String::new() } else { format!(",path={path:?}") };
        page.line(3, format_args!("{} from {} ({mode}{path})", text(mount, "/mountPath"), text(mount, "/name")));
    }
    let mut devices: Vec<&Value> = items(container, "/volumeDevices").iter().collect();
    devices.sort_by_key(|device| text(device, "/devicePath"));
    if !devices.is_empty() {
        page.line(2, format_args!("Devices:{none}"));
    }
    devices.iter().for_each(|device| {
        page.line(3, format_args!("{} from {}", text(device, "/devicePath"), text(device, "/name")))
    });
}

pub(super) fn tolerations(title: &str, spec: &Value, page: &mut Page) {
    let mut all: Vec<&Value> = items(spec, "/tolerations").iter().collect();
    all.sort_by_key(|toleration| text(toleration, "/key"));
    let lines: Vec<String> = all.into_iter().map(toleration).collect();
    page.column(title, &lines);
}

fn toleration(toleration: &Value) -> String {
    let (key, value, effect) = (text(toleration, "/key"), text(toleration, "/value"), text(toleration, "/effect"));
    let mut line = key.to_owned();
    if !value.is_empty() {
        line += &format!("={value}");
    }
    if !effect.is_empty() {
        line += &format!(":{effect}");
    }
    if text(toleration, "/operator") == "Exists" && value.is_empty() {
        line += if line.is_empty() { "op=Exists" } else { " op=Exists" };
    }
    if let Some(seconds) = toleration.get("tolerationSeconds") {
        line += &format!(" for {}s", display(seconds));
    }
    line
}

pub(super) fn spread(spec: &Value, indent: &str, page: &mut Page) {
    let mut all: Vec<&Value> = items(spec, "/topologySpreadConstraints").iter().collect();
    all.sort_by_key(|constraint| text(constraint, "/topologyKey"));
    for (index, constraint) in all.into_iter().enumerate() {
        let title = if index == 0 { "Topology Spread Constraints:" } else { "" };
        let selector = &constraint["labelSelector"];
        let selector = if selector.is_null() {
            String::new()
        } else {
            format!(" for selector {}", super::workloads::selector_text(selector))
        };
        let (key, action) = (text(constraint, "/topologyKey"), text(constraint, "/whenUnsatisfiable"));
        let skew = number(constraint, "/maxSkew");
        page.line(0, format_args!("{indent}{title}\t{key}:{action} when max skew {skew} is exceeded{selector}"));
    }
}

//! From what a user names to pods and their containers: `pod/x`, `deploy/x`, a selector.

use crate::calls::{At, Selection, name_of, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::follow;
use crate::target::{self, Named, Target};
use api::Kind;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Map, Value};
use std::time::Duration;

const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// `NAME` is a pod; `TYPE/NAME` is whatever it says.
pub(crate) async fn target(context: &Context, argument: &str) -> Result<Target> {
    if !argument.contains('/') {
        return Ok(Target { def: &Pod::DEF, namespace: context.namespace.clone(), name: argument.to_owned() });
    }
    match target::parse(context, &[argument.to_owned()]).await? {
        Named::Objects(mut targets) if targets.len() == 1 => Ok(targets.remove(0)),
        _ => Err(Failure::message(format!("{argument:?} is not one object"))),
    }
}

/// The pods of a pod, a workload or a service, the best to talk to first. A workload that has none yet is waited for.
pub(crate) async fn pods(context: &Context, target: &Target, patience: Duration) -> Result<Vec<Value>> {
    let object = context.get(target.at()).await?;
    if target.def.group_resource() == Pod::DEF.group_resource() {
        return Ok(vec![object]);
    }
    let selector = selector_of(&object)
        .ok_or_else(|| Failure::message(format!("cannot get the pods of {target}: it has no selector")))?;
    let selection = Selection { labels: selector, ..Selection::default() };
    let collection = At::collection(&Pod::DEF, &target.namespace);
    let mut any = |pod: Option<&Value>| Ok(pod.map(|_| ()));
    let there = follow::until_any(context, collection, &selection, &mut any);
    let there = tokio::time::timeout(patience, there).await;
    there.map_err(|_| Failure::message("timed out waiting for the condition"))??;
    let mut pods = context.list(collection, &selection).await?.items;
    pods.sort_by_key(|pod| (!is_ready(pod), text(pod, "/status/phase") != "Running", name_of(pod).to_owned()));
    Ok(pods)
}

/// `spec.selector` as a label query; a service's and a replication controller's is a plain map.
pub(crate) fn selector_of(object: &Value) -> Option<String> {
    let selector = object.pointer("/spec/selector")?.as_object()?;
    let structured = selector.contains_key("matchLabels") || selector.contains_key("matchExpressions");
    if !structured {
        return Some(equalities(selector)).filter(|text| !text.is_empty());
    }
    let labels = selector.get("matchLabels").and_then(Value::as_object).map(equalities);
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten().map(expression);
    let terms: Vec<String> = labels.into_iter().chain(expressions).filter(|term| !term.is_empty()).collect();
    Some(terms.join(",")).filter(|text| !text.is_empty())
}

fn equalities(labels: &Map<String, Value>) -> String {
    let terms = labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    terms.collect::<Vec<_>>().join(",")
}

fn expression(expression: &Value) -> String {
    let key = text(expression, "/key");
    let values: Vec<&str> = expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match text(expression, "/operator") {
        "In" => format!("{key} in ({})", values.join(",")),
        "NotIn" => format!("{key} notin ({})", values.join(",")),
        "DoesNotExist" => format!("!{key}"),
        _ => key.to_owned(),
    }
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

/// The names of a pod's containers: init containers first, as they run.
pub(crate) fn containers(pod: &Value, with_init: bool) -> Vec<String> {
    let of = |list: &str| {
        let containers = pod.pointer(list).and_then(Value::as_array);
        containers.into_iter().flatten().map(|one| text(one, "/name").to_owned()).collect::<Vec<_>>()
    };
    let mut names = if with_init { of("/spec/initContainers") } else { Vec::new() };
    names.extend(of("/spec/containers"));
    if with_init {
        names.extend(of("/spec/ephemeralContainers"));
    }
    names
}

/// The container meant when none is named; says which where there is a choice.
pub(crate) fn default_container(context: &Context, pod: &Value) -> Result<String> {
    let annotated = pod.pointer("/metadata/annotations").and_then(|all| all.get(DEFAULT_CONTAINER)?.as_str());
    let all = containers(pod, true);
    if let Some(name) = annotated.filter(|name| all.iter().any(|one| one == name)) {
        return Ok(name.to_owned());
    }
    let main = containers(pod, false);
    let first = main.first().ok_or_else(|| Failure::message(format!("pod {} has no containers", name_of(pod))))?;
    if all.len() > 1 {
        let of = |list: &str, kind: &str| {
            let containers = pod.pointer(list).and_then(Value::as_array).into_iter().flatten();
            containers.map(|one| format!("{}{kind}", text(one, "/name"))).collect::<Vec<_>>()
        };
        let mut described = of("/spec/containers", "");
        described.extend(of("/spec/initContainers", " (init)"));
        described.extend(of("/spec/ephemeralContainers", " (ephem)"));
        context.remark(format_args!("Defaulted container {first:?} out of: {}", described.join(", ")))?;
    }
    Ok(first.clone())
}

/// The name, if the pod has such a container.
pub(crate) fn known_container(pod: &Value, name: &str) -> Result<String> {
    let names = containers(pod, true);
    if names.iter().any(|known| known == name) {
        return Ok(name.to_owned());
    }
    let (pod, names) = (name_of(pod), names.join(", "));
    Err(Failure::message(format!("container {name} is not valid for pod {pod} out of: {names}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_container_has_to_be_the_pods() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a"}, {"name": "b"}]}});
        assert_eq!(known_container(&pod, "b").unwrap(), "b");
        let error = known_container(&pod, "x").unwrap_err().report();
        assert_eq!(error, "error: container x is not valid for pod p out of: a, b");
    }

    #[test]
    fn a_selector_reads_as_a_query() {
        for (selector, expected) in [
            (json!({"app": "a", "tier": "b"}), Some("app=a,tier=b")),
            (
                json!({"matchLabels": {"app": "a"}, "matchExpressions": [
                    {"key": "x", "operator": "In", "values": ["1", "2"]}, {"key": "y", "operator": "Exists"}, {"key": "z", "operator": "DoesNotExist"},
                ]}),
                Some("app=a,x in (1,2),y,!z"),
            ),
            (json!({}), None),
        ] {
            assert_eq!(selector_of(&json!({"spec": {"selector": selector}})).as_deref(), expected);
        }
    }
}

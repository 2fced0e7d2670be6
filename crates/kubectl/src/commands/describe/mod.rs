//! `describe`: all about objects, in words, with the events that are about them.
//!
//! Invariant: a description is a pure function of the object and of those that its row asks for.

mod access;
mod bounds;
mod certificate;
mod network;
mod node;
pub(crate) mod page;
mod plain;
mod pod;
mod scaling;
mod storage;
pub(crate) mod template;
mod volumes;
mod workloads;

use super::events::{interval, last_seen};
use crate::calls::{At, Page as Paging, Selection, name_of, namespace_of, text};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::{display, without_managed_fields};
use crate::target::{Choice, Named, Target};
use crate::workload::selector_of;
use api::{Kind, ResourceDef};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Event, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod,
    ReplicationController, ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{IPAddress, Ingress, IngressClass, NetworkPolicy, ServiceCIDR};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::api::scheduling::v1::PriorityClass;
use k8s_openapi::api::storage::v1::{CSINode, StorageClass, VolumeAttributesClass};
use page::{Page, sorted};
use serde_json::Value;
use std::fmt::Write;

#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Objects in a page of a list; 0 takes all at once
    #[arg(long, default_value_t = 500)]
    chunk_size: i64,
    /// With events; where it is not said, only one object that is named has them
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    show_events: Option<bool>,
}

pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let choice = Choice { page: Paging(arguments.chunk_size), ..arguments.choice.clone() };
    let (targets, by_prefix) = targets(context, &choice).await?;
    let show_events = arguments.show_events.unwrap_or(targets.len() == 1 && !by_prefix);
    if targets.is_empty() {
        return context.remark(format_args!("No resources found in {} namespace.", context.namespace));
    }
    let mut failures = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        match text_of(context, target, show_events).await {
            Ok(text) => context.print(if index > 0 { format!("\n\n{text}") } else { text })?,
            Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
            Err(failure) => failures.push(failure),
        }
    }
    Failure::of_all(failures)
}

/// A kind alone means all its objects; a name that does not exist may be the beginning of several, which is told.
async fn targets(context: &Context, choice: &Choice) -> Result<(Vec<Target>, bool)> {
    if !choice.files.is_empty() {
        return Ok((choice.targets(context).await?, false));
    }
    match crate::target::parse(context, &choice.arguments).await? {
        Named::Kinds(kinds) if !kinds.is_empty() => {
            Ok((Choice { all: true, ..choice.clone() }.targets(context).await?, false))
        }
        Named::Objects(named) if named.len() == 1 => by_prefix(context, &named[0]).await,
        _ => Ok((choice.targets(context).await?, false)),
    }
}

async fn by_prefix(context: &Context, named: &Target) -> Result<(Vec<Target>, bool)> {
    if context.find(named.at()).await?.is_some() {
        return Ok((vec![named.clone()], false));
    }
    let listed = context.list(At::collection(named.def, &named.namespace), &Selection::default()).await?;
    let alike = listed.items.iter().filter(|object| name_of(object).starts_with(&named.name));
    let alike: Vec<Target> = alike.map(|object| Target::of(named.def, object)).collect();
    Ok(if alike.is_empty() { (vec![named.clone()], false) } else { (alike, true) })
}

/// What a description needs beside its object.
#[derive(Clone, Copy)]
enum Related {
    /// Those that its selector selects.
    Pods,
    PodsOfNamespace,
    PodsOnNode,
    ReplicaSets,
    EndpointSlices,
    EndpointSlicesOfNamespace,
    Services,
    Lease,
    Quotas,
    LimitRanges,
}

/// How a kind is described.
struct Row {
    def: &'static ResourceDef,
    related: &'static [Related],
    with_events: bool,
    write: fn(&Value, &[Value], &mut Page),
}

const fn row(
    def: &'static ResourceDef,
    related: &'static [Related],
    with_events: bool,
    write: fn(&Value, &[Value], &mut Page),
) -> Row {
    Row { def, related, with_events, write }
}

/// Kinds with a description of their own; the others show their members.
const ROWS: [Row; 36] = [
    row(&Pod::DEF, &[], true, pod::describe),
    row(&Deployment::DEF, &[Related::ReplicaSets], true, workloads::deployment),
    row(&ReplicaSet::DEF, &[Related::Pods], true, workloads::replica_set),
    row(&StatefulSet::DEF, &[Related::Pods], true, workloads::stateful_set),
    row(&DaemonSet::DEF, &[Related::Pods], true, workloads::daemon_set),
    row(&ReplicationController::DEF, &[Related::Pods], true, workloads::replication_controller),
    row(&Job::DEF, &[], true, workloads::job),
    row(&CronJob::DEF, &[], true, workloads::cron_job),
    row(&Namespace::DEF, &[Related::Quotas, Related::LimitRanges], false, bounds::namespace),
    row(&ResourceQuota::DEF, &[], false, bounds::quota),
    row(&LimitRange::DEF, &[], false, bounds::limit_range),
    row(&Role::DEF, &[], false, access::role),
    row(&ClusterRole::DEF, &[], false, access::role),
    row(&RoleBinding::DEF, &[], false, access::binding),
    row(&ClusterRoleBinding::DEF, &[], false, access::binding),
    row(&Node::DEF, &[Related::Lease, Related::PodsOnNode], true, node::describe),
    row(&Service::DEF, &[Related::EndpointSlices], true, plain::service),
    row(&ConfigMap::DEF, &[], true, plain::config_map),
    row(&Secret::DEF, &[], false, plain::secret),
    row(&ServiceAccount::DEF, &[], true, plain::service_account),
    row(&HorizontalPodAutoscaler::DEF, &[], true, scaling::autoscaler),
    row(&PodDisruptionBudget::DEF, &[], true, scaling::budget),
    row(&PriorityClass::DEF, &[], true, scaling::priority_class),
    row(&PersistentVolumeClaim::DEF, &[Related::PodsOfNamespace], true, storage::claim),
    row(&PersistentVolume::DEF, &[], true, storage::volume),
    row(&StorageClass::DEF, &[], true, storage::storage_class),
    row(&VolumeAttributesClass::DEF, &[], true, storage::attributes_class),
    row(&CSINode::DEF, &[], true, storage::csi_node),
    row(&Ingress::DEF, &[Related::Services, Related::EndpointSlicesOfNamespace], true, network::ingress),
    row(&IngressClass::DEF, &[], true, network::ingress_class),
    row(&NetworkPolicy::DEF, &[], false, network::policy),
    row(&EndpointSlice::DEF, &[], true, network::slice),
    row(&Endpoints::DEF, &[], true, network::old_endpoints),
    row(&ServiceCIDR::DEF, &[], true, network::service_range),
    row(&CertificateSigningRequest::DEF, &[], true, certificate::request),
    row(&IPAddress::DEF, &[], true, network::address),
];

/// One object's description, with its events where they are wanted.
pub(super) async fn text_of(context: &Context, target: &Target, show_events: bool) -> Result<String> {
    let own = ROWS.iter().find(|row| row.def.group_resource() == target.def.group_resource());
    // A kind of several versions is described in one of them.
    let def = own.map_or(target.def, |row| row.def);
    let mut object = context.get(Target { def, ..target.clone() }.at()).await?;
    without_managed_fields(&mut object);
    let mut related = Vec::new();
    for kind in own.map_or(&[][..], |row| row.related) {
        related.extend(objects(context, *kind, &object).await?);
    }
    let mut page = Page::default();
    own.map_or(generic as fn(&Value, &[Value], &mut Page), |row| row.write)(&object, &related, &mut page);
    if show_events && own.is_none_or(|row| row.with_events) {
        write_events(&events(context, &object).await?, &mut page);
    }
    Ok(page.finish())
}

async fn objects(context: &Context, related: Related, object: &Value) -> Result<Vec<Value>> {
    let (name, namespace) = (name_of(object), namespace_of(object));
    let of_selector = || Selection { labels: selector_of(object).unwrap_or_default(), ..Selection::default() };
    let (def, namespace, selection) = match related {
        Related::Pods => (&Pod::DEF, namespace, of_selector()),
        Related::ReplicaSets => (&ReplicaSet::DEF, namespace, of_selector()),
        Related::EndpointSlices => {
            let labels = format!("kubernetes.io/service-name={name}");
            (&EndpointSlice::DEF, namespace, Selection { labels, ..Selection::default() })
        }
        Related::PodsOfNamespace => (&Pod::DEF, namespace, Selection::default()),
        Related::Services => (&Service::DEF, namespace, Selection::default()),
        Related::EndpointSlicesOfNamespace => (&EndpointSlice::DEF, namespace, Selection::default()),
        Related::PodsOnNode => {
            let fields = format!("spec.nodeName={name}");
            (&Pod::DEF, "", Selection { fields, ..Selection::default() })
        }
        Related::Quotas => (&ResourceQuota::DEF, name, Selection::default()),
        Related::LimitRanges => (&LimitRange::DEF, name, Selection::default()),
        Related::Lease => (&Lease::DEF, "kube-node-lease", Selection::of_name(name)),
    };
    Ok(context.list(At::collection(def, namespace), &selection).await?.items)
}

/// A kind that nobody described: its members as they are.
fn generic(object: &Value, _: &[Value], page: &mut Page) {
    page.name(object);
    page.labels_and_annotations(object);
    let mut rest = object.clone();
    if let Some(metadata) = rest.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in ["name", "namespace", "labels", "annotations"] {
            metadata.shift_remove(key);
        }
    }
    members(&rest, 0, page);
}

fn members(object: &Value, level: usize, page: &mut Page) {
    for (key, value) in sorted(Some(object)) {
        let label = label(key);
        match value {
            Value::Object(_) => {
                page.line(level, format_args!("{label}:"));
                members(value, level + 1, page);
            }
            Value::Array(elements) => {
                page.line(level, format_args!("{label}:"));
                for element in elements {
                    if element.is_object() {
                        members(element, level + 1, page);
                    } else {
                        page.line(level + 1, display(element));
                    }
                }
            }
            other => page.pair(level, &label, display(other)),
        }
    }
}

/// `creationTimestamp` reads `Creation Timestamp`, `podIP` reads `Pod IP`.
fn label(key: &str) -> String {
    if key.contains(['.', '/', '-']) {
        return key.to_owned();
    }
    let characters: Vec<char> = key.chars().collect();
    let mut words = String::new();
    for (index, character) in characters.iter().copied().enumerate() {
        let before = index.checked_sub(1).map(|before| characters[before]);
        let begins = character.is_uppercase()
            && (before.is_some_and(|before| !before.is_uppercase())
                || (before.is_some() && characters.get(index + 1).is_some_and(|next| next.is_lowercase())));
        if begins {
            words.push(' ');
        }
        if index == 0 { words.extend(character.to_uppercase()) } else { words.push(character) }
    }
    match words.as_str() {
        "Uid" => "UID".to_owned(),
        "Api Version" => "API Version".to_owned(),
        _ => words,
    }
}

async fn events(context: &Context, object: &Value) -> Result<Vec<Value>> {
    let mut fields = format!("involvedObject.name={}", name_of(object));
    if !text(object, "/metadata/uid").is_empty() {
        write!(fields, ",involvedObject.uid={}", text(object, "/metadata/uid"))
            .map_err(|error| Failure::message(error.to_string()))?;
    }
    let selection = Selection { fields, ..Selection::default() };
    let mut events = context.list(At::collection(&Event::DEF, namespace_of(object)), &selection).await?.items;
    events.sort_by_key(|event| last_seen(event).to_owned());
    Ok(events)
}

fn write_events(events: &[Value], page: &mut Page) {
    if events.is_empty() {
        return page.pair(0, "Events", "<none>");
    }
    page.line(0, "Events:");
    page.line(1, "Type\tReason\tAge\tFrom\tMessage");
    page.line(1, "----\t------\t----\t----\t-------");
    for event in events {
        let source = [text(event, "/source/component"), text(event, "/reportingComponent")];
        let source = source.into_iter().find(|source| !source.is_empty()).unwrap_or_default();
        let when = interval(event);
        let (kind, reason) = (text(event, "/type"), text(event, "/reason"));
        page.line(1, format_args!("{kind}\t{reason}\t{when}\t{source}\t{}", text(event, "/message").trim()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn any_kind_is_described() {
        let object = json!({
            "apiVersion": "e.io/v1", "kind": "Thing",
            "metadata": {"name": "x", "namespace": "n", "labels": {"a": "1", "b": "2"}, "uid": "u"},
            "spec": {"podIP": "1.2.3.4", "list": ["a", {"k": 1}], "on": true},
        });
        let mut page = Page::default();
        generic(&object, &[], &mut page);
        let event = json!({"type": "Normal", "reason": "R", "message": "m", "source": {"component": "c"}});
        write_events(&[event], &mut page);
        assert_eq!(
            page.finish(),
            "Name:         x\nNamespace:    n\nLabels:       a=1\n              b=2\nAnnotations:  <none>\nAPI Version:  e.io/v1\n\
             Kind:         Thing\nMetadata:\n  UID:  u\nSpec:\n  List:\n    a\n    K:     1\n  On:      true\n  Pod IP:  1.2.3.4\nEvents:\n  \
             Type    Reason  Age        From  Message\n  ----    ------  ----       ----  -------\n  Normal  R       <unknown>  c     m\n"
        );
    }
}

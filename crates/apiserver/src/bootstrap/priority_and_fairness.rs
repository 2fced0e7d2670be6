//! The FlowSchemas and PriorityLevelConfigurations of a new cluster: upstream's mandatory and suggested ones.
//!
//! An object with the annotation `apf.kubernetes.io/autoupdate-spec: "true"` is kept at what is said here, with `"false"`
//! it is its administrator's; without one it is kept if nobody has changed its spec. The mandatory ones are kept always.

use super::apply::{self, Kept};
use api::Status;
use api::flowcontrol::mandatory::{self, EXEMPT};
use client::Client;
use k8s_openapi::api::flowcontrol::v1 as flowcontrol;
use k8s_openapi::api::flowcontrol::v1::{
    ExemptPriorityLevelConfiguration, FlowDistinguisherMethod, FlowSchema, FlowSchemaSpec, GroupSubject, LimitResponse,
    LimitedPriorityLevelConfiguration, NonResourcePolicyRule, PolicyRulesWithSubjects, PriorityLevelConfiguration,
    PriorityLevelConfigurationReference, PriorityLevelConfigurationSpec, QueuingConfiguration, ResourcePolicyRule,
    ServiceAccountSubject, UserSubject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use mandatory::CATCH_ALL;
const MANDATORY: [&str; 2] = [EXEMPT, CATCH_ALL];
const AUTOUPDATE: &str = "apf.kubernetes.io/autoupdate-spec";

/// Name, shares, percent that it lends; queues, hand and length of a queue.
type LevelRow = (&'static str, i32, i32, (i32, i32, i32));

const LEVELS: [LevelRow; 6] = [
    ("system", 30, 33, (64, 6, 50)),
    ("node-high", 40, 25, (64, 6, 50)),
    ("leader-election", 10, 0, (16, 4, 50)),
    ("workload-high", 40, 50, (128, 6, 50)),
    ("workload-low", 100, 90, (128, 6, 50)),
    ("global-default", 20, 50, (128, 6, 50)),
];

#[derive(Clone, Copy)]
enum Who {
    Groups(&'static [&'static str]),
    Users(&'static [&'static str]),
    /// Of `kube-system`.
    Accounts(&'static [&'static str]),
}

#[derive(Clone, Copy)]
enum What {
    Everything,
    /// Group, resources, verbs, and whether those without a namespace are meant too.
    Resources(&'static [(&'static str, &'static [&'static str], &'static [&'static str], bool)]),
    Paths(&'static [&'static str]),
}

/// Name, level, precedence, what parts its flows, whose requests, which.
type SchemaRow = (&'static str, &'static str, i32, &'static str, &'static [Who], What);

const ALL: &[&str] = &["*"];
const EVERYBODY: &[Who] = &[Who::Groups(&["system:unauthenticated", "system:authenticated"])];
const CONTROLLERS: &str = "system:kube-controller-manager";
const SCHEDULER: &str = "system:kube-scheduler";
const NODES: &[Who] = &[Who::Groups(&["system:nodes"])];
const SYSTEM_ACCOUNTS: Who = Who::Accounts(ALL);
const CLAIM: &[&str] = &["get", "create", "update"];
const LEASES: (&str, &[&str], &[&str], bool) = ("coordination.k8s.io", &["leases"], CLAIM, false);

const SCHEMAS: [SchemaRow; 11] = [
    ("probes", EXEMPT, 2, "", EVERYBODY, What::Paths(&["/healthz", "/readyz", "/livez"])),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        &[Who::Users(&[CONTROLLERS, SCHEDULER]), SYSTEM_ACCOUNTS],
        What::Resources(&[LEASES]),
    ),
    (
        "endpoint-controller",
        "workload-high",
        150,
        "ByUser",
        &[Who::Users(&[CONTROLLERS]), Who::Accounts(&["endpoint-controller", "endpointslicemirroring-controller"])],
        What::Resources(&[("", &["endpoints"], CLAIM, false)]),
    ),
    (
        "workload-leader-election",
        "leader-election",
        200,
        "ByUser",
        &[SYSTEM_ACCOUNTS],
        What::Resources(&[("", &["endpoints", "configmaps"], CLAIM, false), LEASES]),
    ),
    (
        "system-node-high",
        "node-high",
        400,
        "ByUser",
        NODES,
        What::Resources(&[
            ("", &["nodes", "nodes/status"], ALL, true),
            ("coordination.k8s.io", &["leases"], ALL, false),
        ]),
    ),
    ("system-nodes", "system", 500, "ByUser", NODES, What::Everything),
    ("kube-controller-manager", "workload-high", 800, "ByNamespace", &[Who::Users(&[CONTROLLERS])], What::Everything),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", &[Who::Users(&[SCHEDULER])], What::Everything),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", &[SYSTEM_ACCOUNTS], What::Everything),
    ("service-accounts", "workload-low", 9000, "ByUser", &[Who::Groups(&["system:serviceaccounts"])], What::Everything),
    ("global-default", "global-default", 9900, "ByUser", EVERYBODY, What::Everything),
];

fn metadata(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        annotations: Some(BTreeMap::from([(AUTOUPDATE.to_owned(), "true".to_owned())])),
        ..ObjectMeta::default()
    }
}

/// A level that is everywhere the same; what the exempt one lends is its administrator's to say later.
fn mandatory_level(name: &str) -> Option<PriorityLevelConfiguration> {
    let mut spec = mandatory::level(name)?;
    if name == EXEMPT {
        spec.exempt =
            Some(ExemptPriorityLevelConfiguration { nominal_concurrency_shares: Some(0), lendable_percent: Some(0) });
    }
    Some(PriorityLevelConfiguration { metadata: metadata(name), spec, status: None })
}

fn mandatory_schema(name: &str) -> Option<FlowSchema> {
    Some(FlowSchema { metadata: metadata(name), spec: mandatory::schema(name)?, status: None })
}

fn level((name, shares, lends, (queues, hand, length)): &LevelRow) -> PriorityLevelConfiguration {
    let queuing =
        QueuingConfiguration { queues: Some(*queues), hand_size: Some(*hand), queue_length_limit: Some(*length) };
    let limited = LimitedPriorityLevelConfiguration {
        nominal_concurrency_shares: Some(*shares),
        lendable_percent: Some(*lends),
        borrowing_limit_percent: None,
        limit_response: LimitResponse { type_: "Queue".to_owned(), queuing: Some(queuing) },
    };
    PriorityLevelConfiguration {
        metadata: metadata(name),
        spec: PriorityLevelConfigurationSpec { type_: "Limited".to_owned(), exempt: None, limited: Some(limited) },
        status: None,
    }
}

fn subjects(who: Who) -> Vec<flowcontrol::Subject> {
    let one = |name: &str| match who {
        Who::Groups(_) => flowcontrol::Subject {
            kind: "Group".to_owned(),
            group: Some(GroupSubject { name: name.to_owned() }),
            ..Default::default()
        },
        Who::Users(_) => flowcontrol::Subject {
            kind: "User".to_owned(),
            user: Some(UserSubject { name: name.to_owned() }),
            ..Default::default()
        },
        Who::Accounts(_) => flowcontrol::Subject {
            kind: "ServiceAccount".to_owned(),
            service_account: Some(ServiceAccountSubject { name: name.to_owned(), namespace: "kube-system".to_owned() }),
            ..Default::default()
        },
    };
    let (Who::Groups(names) | Who::Users(names) | Who::Accounts(names)) = who;
    names.iter().map(|name| one(name)).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn resource_rule(group: &str, resources: &[&str], verbs: &[&str], cluster_scope: bool) -> ResourcePolicyRule {
    ResourcePolicyRule {
        verbs: texts(verbs),
        api_groups: texts(&[group]),
        resources: texts(resources),
        namespaces: Some(texts(ALL)),
        cluster_scope: cluster_scope.then_some(true),
    }
}

fn rule(who: &[Who], what: What) -> PolicyRulesWithSubjects {
    let paths = |verbs: &[&str], paths: &[&str]| {
        vec![NonResourcePolicyRule { verbs: texts(verbs), non_resource_urls: texts(paths) }]
    };
    let (resources, others) = match what {
        What::Everything => (vec![resource_rule("*", ALL, ALL, true)], paths(ALL, ALL)),
        What::Resources(rows) => {
            let rule = |row: &(&str, &[&str], &[&str], bool)| resource_rule(row.0, row.1, row.2, row.3);
            (rows.iter().map(rule).collect(), Vec::new())
        }
        What::Paths(urls) => (Vec::new(), paths(&["get"], urls)),
    };
    PolicyRulesWithSubjects {
        subjects: who.iter().flat_map(|who| subjects(*who)).collect(),
        resource_rules: (!resources.is_empty()).then_some(resources),
        non_resource_rules: (!others.is_empty()).then_some(others),
    }
}

fn schema((name, level, precedence, by, who, what): &SchemaRow) -> FlowSchema {
    let method = Some(*by).filter(|by| !by.is_empty());
    FlowSchema {
        metadata: metadata(name),
        spec: FlowSchemaSpec {
            priority_level_configuration: PriorityLevelConfigurationReference { name: (*level).to_owned() },
            matching_precedence: Some(*precedence),
            distinguisher_method: method.map(|by| FlowDistinguisherMethod { type_: by.to_owned() }),
            rules: Some(vec![rule(who, *what)]),
        },
        status: None,
    }
}

pub(crate) fn mandatory_levels() -> Vec<PriorityLevelConfiguration> {
    MANDATORY.into_iter().filter_map(mandatory_level).collect()
}

pub(crate) fn mandatory_schemas() -> Vec<FlowSchema> {
    MANDATORY.into_iter().filter_map(mandatory_schema).collect()
}

pub(crate) fn levels() -> Vec<PriorityLevelConfiguration> {
    mandatory_levels().into_iter().chain(LEVELS.iter().map(level)).collect()
}

pub(crate) fn schemas() -> Vec<FlowSchema> {
    mandatory_schemas().into_iter().chain(SCHEMAS.iter().map(schema)).collect()
}

fn is_mandatory(meta: &ObjectMeta) -> bool {
    MANDATORY.iter().any(|name| meta.name.as_deref() == Some(name))
}

/// Whether the object's spec is the server's to say; sets the annotation that says so.
fn claim(meta: &mut ObjectMeta, changed: &mut bool) -> bool {
    let said = meta.annotations.as_ref().and_then(|own| own.get(AUTOUPDATE)).map(String::as_str);
    let own = match said {
        _ if is_mandatory(meta) => true,
        Some(said) => said == "true",
        None => meta.generation.is_none_or(|generation| generation <= 1),
    };
    let text = if own { "true" } else { "false" };
    if said.is_none() || (own && said != Some(text)) {
        meta.annotations.get_or_insert_default().insert(AUTOUPDATE.to_owned(), text.to_owned());
        *changed = true;
    }
    own
}

impl Kept for FlowSchema {
    fn take(&mut self, wanted: &Self) -> bool {
        let mut changed = false;
        if claim(&mut self.metadata, &mut changed) && self.spec != wanted.spec {
            self.spec = wanted.spec.clone();
            changed = true;
        }
        changed
    }
}

impl Kept for PriorityLevelConfiguration {
    fn take(&mut self, wanted: &Self) -> bool {
        let mut changed = false;
        // What the exempt level lends is its administrator's in any case.
        let kept = self.spec.type_ == "Exempt" && wanted.spec.type_ == "Exempt";
        if claim(&mut self.metadata, &mut changed) && !kept && self.spec != wanted.spec {
            self.spec = wanted.spec.clone();
            changed = true;
        }
        changed
    }
}

/// Creates what is missing, and brings back what is the server's own to say.
pub(crate) async fn keep(client: &Client) -> Result<(), Status> {
    apply::keep(client, levels()).await?;
    apply::keep(client, schemas()).await
}

/// Whether `keep` has anything to do.
pub(crate) fn astray(present_levels: &[Arc<PriorityLevelConfiguration>], present_schemas: &[Arc<FlowSchema>]) -> bool {
    apply::astray(present_levels, levels()) || apply::astray(present_schemas, schemas())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::memory;
    use api::Kind;

    #[test]
    fn every_object_is_valid_and_defaults_change_nothing() {
        fn check<K: Kind + PartialEq + std::fmt::Debug>(objects: Vec<K>) {
            for object in objects {
                assert_eq!(object.validate(), [], "{object:?}");
            }
        }
        check(levels());
        check(schemas());
    }

    #[tokio::test]
    async fn what_is_the_servers_is_brought_back_and_what_is_an_administrators_stays() {
        let (client, _memory) = memory::client();
        keep(&client).await.unwrap();
        let change = async |name: &str, said: Option<&str>| {
            let mut level: PriorityLevelConfiguration = client.get("", name).await.unwrap();
            // Nobody can change what is in this one.
            if name != CATCH_ALL {
                level.spec.limited.as_mut().unwrap().nominal_concurrency_shares = Some(1);
            }
            let annotation = said.map(|said| BTreeMap::from([(AUTOUPDATE.to_owned(), said.to_owned())]));
            level.metadata.annotations = annotation;
            level.metadata.generation = Some(2);
            client.update(&level).await.unwrap();
        };
        change("system", Some("false")).await;
        change("node-high", Some("true")).await;
        change("workload-low", None).await;
        change(CATCH_ALL, Some("false")).await;
        keep(&client).await.unwrap();
        for (name, shares, said) in
            [("system", 1, "false"), ("node-high", 40, "true"), ("workload-low", 1, "false"), (CATCH_ALL, 5, "true")]
        {
            let level: PriorityLevelConfiguration = client.get("", name).await.unwrap();
            assert_eq!(level.spec.limited.unwrap().nominal_concurrency_shares, Some(shares), "{name}");
            assert_eq!(level.metadata.annotations.unwrap()[AUTOUPDATE], said, "{name}");
        }
    }
}

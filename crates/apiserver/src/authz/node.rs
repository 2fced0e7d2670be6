//! What a node may: its own objects, and what the pods that are bound to it refer to.
//!
//! The authorizer decides by names; what a node may write into its objects is for `NodeRestriction` to judge.

use super::attributes::Attributes;
use super::chain::Opinion;
use super::node_graph::NodeGraph;
use super::node_links::Holding;
use api::user::User;
use client::pods::Target;

const PREFIX: &str = "system:node:";
const LEASES: &str = "kube-node-lease";

/// The name of the node that the user is.
pub(crate) fn identity(user: &User) -> Option<&str> {
    let name = user.name.strip_prefix(PREFIX)?;
    user.in_group(User::NODES).then_some(name)
}

/// What every node may regardless of names: group, resource (`/` subresource), verbs.
const UNIFORM: &[(&str, &str, &[&str])] = &[
    ("authentication.k8s.io", "tokenreviews", &["create"]),
    ("authorization.k8s.io", "subjectaccessreviews", &["create"]),
    ("authorization.k8s.io", "localsubjectaccessreviews", &["create"]),
    ("", "services", READ),
    ("", "events", &["create", "update", "patch"]),
    ("events.k8s.io", "events", &["create", "update", "patch"]),
    ("certificates.k8s.io", "certificatesigningrequests", &["create", "get", "list", "watch"]),
    ("certificates.k8s.io", "clustertrustbundles", READ),
    ("", "endpoints", &["get"]),
    ("node.k8s.io", "runtimeclasses", READ),
    ("storage.k8s.io", "csidrivers", READ),
];
const READ: &[&str] = &["get", "list", "watch"];

fn uniform(asked: &Attributes<'_>) -> Opinion {
    let named = |resource: &str| match resource.split_once('/') {
        None => resource == asked.resource && asked.subresource.is_empty(),
        Some((resource, subresource)) => resource == asked.resource && subresource == asked.subresource,
    };
    let allowed = asked.is_resource
        && UNIFORM
            .iter()
            .any(|(group, resource, verbs)| *group == asked.group && named(resource) && verbs.contains(&asked.verb));
    if allowed { Opinion::Allow(None) } else { Opinion::None(None) }
}

fn because(why: &str) -> Opinion {
    Opinion::because(why)
}

/// The node's name and what is known of its pods.
struct Judge<'a> {
    graph: &'a NodeGraph,
    node: &'a str,
    asked: &'a Attributes<'a>,
}

pub(crate) fn decide(graph: &NodeGraph, node: &str, asked: &Attributes<'_>) -> Opinion {
    if node.is_empty() {
        return because("unknown node for user \"system:node:\"");
    }
    if !asked.is_resource {
        return Opinion::None(None);
    }
    let judge = Judge { graph, node, asked };
    match (asked.group, asked.resource) {
        ("", "secrets") => judge.read(Target::Secret),
        ("", "configmaps") => judge.read(Target::ConfigMap),
        ("", "persistentvolumeclaims") => judge.claim(),
        ("", "persistentvolumes") => judge.volume(),
        ("resource.k8s.io", "resourceclaims") => judge.get(Target::ResourceClaim),
        ("resource.k8s.io", "resourceslices") => judge.slice(),
        ("storage.k8s.io", "volumeattachments") => judge.attachment(),
        ("certificates.k8s.io", "podcertificaterequests") => judge.certificate_request(),
        ("", "serviceaccounts") => judge.token(),
        ("", "nodes") => judge.node(),
        ("", "pods") => judge.pod(),
        ("coordination.k8s.io", "leases") => judge.lease(),
        ("storage.k8s.io", "csinodes") => judge.csi_node(),
        _ => uniform(asked),
    }
}

impl Judge<'_> {
    fn related(&self, target: Target) -> Opinion {
        let asked = self.asked;
        self.reached(|| self.graph.refers(self.node, target, asked.namespace, asked.name))
    }

    fn held(&self, holding: Holding) -> Opinion {
        let asked = self.asked;
        self.reached(|| self.graph.holds(self.node, holding, asked.namespace, asked.name))
    }

    fn reached(&self, is_reached: impl FnOnce() -> bool) -> Opinion {
        if self.asked.name.is_empty() {
            return because("No Object name found");
        }
        if is_reached() {
            return Opinion::Allow(None);
        }
        Opinion::because(format!("no relationship found between node '{}' and this object", self.node))
    }

    fn read(&self, target: Target) -> Opinion {
        if !READ.contains(&self.asked.verb) {
            return because("can only read resources of this type");
        }
        if !self.asked.subresource.is_empty() {
            return because("cannot read subresource");
        }
        if self.asked.namespace.is_empty() {
            return because("can only read namespaced object of this type");
        }
        self.related(target)
    }

    fn get(&self, target: Target) -> Opinion {
        self.only_gets().unwrap_or_else(|| self.related(target))
    }

    /// What is said to anything but a get of the object itself.
    fn only_gets(&self) -> Option<Opinion> {
        if self.asked.verb != "get" {
            return Some(because("can only get individual resources of this type"));
        }
        (!self.asked.subresource.is_empty()).then(|| because("cannot get subresource"))
    }

    fn volume(&self) -> Opinion {
        self.only_gets().unwrap_or_else(|| self.reached(|| self.graph.mounts(self.node, self.asked.name)))
    }

    fn attachment(&self) -> Opinion {
        self.only_gets().unwrap_or_else(|| self.held(Holding::Attachment))
    }

    /// Whether it asks for nothing but what names the node.
    fn selects_own(&self) -> bool {
        self.asked.selected("spec.nodeName").as_deref() == Some(self.node)
    }

    fn slice(&self) -> Opinion {
        if !self.asked.subresource.is_empty() {
            return because("cannot authorize ResourceSlice subresources");
        }
        match self.asked.verb {
            // `NodeRestriction` looks at what is in it.
            "create" => Opinion::Allow(None),
            "get" | "update" | "patch" | "delete" => self.held(Holding::Slice),
            "watch" | "list" | "deletecollection" if self.selects_own() => Opinion::Allow(None),
            "watch" | "list" | "deletecollection" => {
                because("can only list/watch/deletecollection resourceslices with nodeName field selector")
            }
            _ => because(
                "only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, \
                 delete, deletecollection",
            ),
        }
    }

    fn certificate_request(&self) -> Opinion {
        if !self.asked.subresource.is_empty() {
            return because("nodes may not access the status subresource of PodCertificateRequests");
        }
        match self.asked.verb {
            // `NodeRestriction` looks at what is in it.
            "create" => Opinion::Allow(None),
            "get" => self.held(Holding::CertificateRequest),
            "list" | "watch" if self.selects_own() => Opinion::Allow(None),
            "list" | "watch" => because("can only list/watch podcertificaterequests with nodeName field selector"),
            _ => Opinion::None(None),
        }
    }

    fn claim(&self) -> Opinion {
        if self.asked.subresource != "status" {
            return self.get(Target::Claim);
        }
        match self.asked.verb {
            "get" | "update" | "patch" => self.related(Target::Claim),
            _ => because("can only get/update/patch this type"),
        }
    }

    fn token(&self) -> Opinion {
        if self.asked.verb == "get" && self.asked.subresource.is_empty() {
            return self.related(Target::ServiceAccount);
        }
        if self.asked.verb != "create" || self.asked.name.is_empty() {
            return because("can only create tokens for individual service accounts");
        }
        if self.asked.subresource != "token" {
            return because("can only create token subresource of serviceaccount");
        }
        self.related(Target::ServiceAccount)
    }

    fn node(&self) -> Opinion {
        match (self.asked.subresource, self.asked.verb) {
            ("", "create" | "update" | "patch") | ("status", "update" | "patch") => Opinion::Allow(None),
            ("", "get" | "list" | "watch") if self.asked.name == self.node => Opinion::Allow(None),
            ("", "get" | "list" | "watch") => {
                let read = if self.asked.name.is_empty() {
                    "read all nodes".to_owned()
                } else {
                    format!("read '{}'", self.asked.name)
                };
                Opinion::because(format!("node '{}' cannot {read}, only its own Node object", self.node))
            }
            _ => Opinion::None(None),
        }
    }

    fn pod(&self) -> Opinion {
        match (self.asked.subresource, self.asked.verb) {
            ("", "get") => self.get(Target::Pod),
            ("", "list" | "watch") if self.selects_own() => Opinion::Allow(None),
            ("", "list" | "watch") if !self.asked.name.is_empty() => self.related(Target::Pod),
            ("", "list" | "watch") => because("can only list/watch pods with spec.nodeName field selector"),
            ("", "create" | "delete") | ("status", "update" | "patch") | ("eviction", "create") => Opinion::Allow(None),
            _ => Opinion::None(None),
        }
    }

    fn lease(&self) -> Opinion {
        match self.asked.verb {
            "get" | "create" | "update" | "patch" | "delete" => {}
            _ => return because("can only get, create, update, patch, or delete a node lease"),
        }
        if self.asked.namespace != LEASES {
            return Opinion::because(format!("can only access leases in the {LEASES:?} system namespace"));
        }
        // The name is not known on create; `NodeRestriction` compares it then.
        if self.asked.verb != "create" && self.asked.name != self.node {
            return because("can only access node lease with the same name as the requesting node");
        }
        Opinion::Allow(None)
    }

    fn csi_node(&self) -> Opinion {
        match self.asked.verb {
            "get" | "create" | "update" | "patch" | "delete" => {}
            _ => return because("can only get, create, update, patch, or delete a CSINode"),
        }
        if !self.asked.subresource.is_empty() {
            return because("cannot authorize CSINode subresources");
        }
        if self.asked.verb != "create" && self.asked.name != self.node {
            return because("can only access CSINode with the same name as the requesting node");
        }
        Opinion::Allow(None)
    }
}

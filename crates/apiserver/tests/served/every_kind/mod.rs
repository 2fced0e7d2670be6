//! Both kubectls through every verb they have against every kind that discovery lists, a kind that is new included.
//!
//! Starting the program is what takes time: a walk takes the kinds of one part together, as one file. It goes on after
//! a complaint, and ends with all of them.

mod batch;
mod shows;
mod writes;

use crate::cluster::Cluster;
use crate::programs::{Client, Program};
use crate::samples::{prepare, sample};
use api::resource::Verbs;
use batch::Batch;
pub(crate) use batch::Subject;
use std::collections::BTreeSet;

const PARTS: &[(&str, &[&str])] = &[
    ("core", &[""]),
    ("work", &["apps", "batch", "autoscaling", "policy", "scheduling.k8s.io", "coordination.k8s.io", "node.k8s.io"]),
    ("network", &["networking.k8s.io", "discovery.k8s.io", "events.k8s.io", "flowcontrol.apiserver.k8s.io"]),
    ("data", &["storage.k8s.io", "resource.k8s.io", "storagemigration.k8s.io"]),
];
/// Every group that no other part has.
const REST: &str = "rest";

fn part_of(group: &str) -> &'static str {
    PARTS.iter().find(|(_, groups)| groups.contains(&group)).map_or(REST, |(part, _)| *part)
}

/// What discovery says may be created and listed: group, version, plural.
async fn discovered(cluster: &Cluster) -> BTreeSet<(String, String, String)> {
    let accept = [("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let mut found = BTreeSet::new();
    for root in ["/api", "/apis"] {
        let groups = cluster.send("GET", root, &accept, "").await.expect(200).json();
        for group in groups["items"].as_array().unwrap() {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in group["versions"].as_array().unwrap() {
                for resource in version["resources"].as_array().unwrap() {
                    let verbs = resource["verbs"].as_array().unwrap();
                    if ["create", "list"].iter().all(|verb| verbs.iter().any(|own| own == verb)) {
                        let [version, plural] = [&version["version"], &resource["resource"]];
                        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                        found.insert((name.to_owned(), text(version), text(plural)));
                    }
                }
            }
        }
    }
    found
}

/// An object of each kind of a part.
async fn subjects(cluster: &Cluster, part: &str) -> Vec<Subject> {
    let known: Vec<_> = api::object::builtin().iter().filter(|row| row.def().verbs == Verbs::Full).collect();
    let subjects = discovered(cluster).await.into_iter().filter(|(group, ..)| part_of(group) == part);
    subjects
        .map(|(group, version, plural)| {
            let is_own = |def: &api::ResourceDef| (def.group, def.version, def.plural) == (&group, &version, &plural);
            let row = known.iter().find(|row| is_own(row.def()));
            let row = row.unwrap_or_else(|| panic!("{plural}.{version}.{group} is served and has no sample"));
            Subject::new(row.def(), sample(**row))
        })
        .collect()
}

async fn walk(client: Client, part: &str) {
    let cluster = Cluster::start().await;
    let Some(kubectl) = Program::of(&cluster, client) else { return };
    prepare(&cluster).await;
    let subjects = subjects(&cluster, part).await;
    assert!(!subjects.is_empty(), "no kind is in {part}");
    through_every_verb(cluster, kubectl, subjects).await;
}

/// Of two kinds at least: a single one's objects kubectl shows otherwise.
pub(crate) async fn through_every_verb(cluster: Cluster, kubectl: Program, subjects: Vec<Subject>) {
    let mut batch = Batch::new(cluster, kubectl, subjects);
    batch.creates().await;
    batch.shows().await;
    batch.explains().await;
    batch.replaces().await;
    batch.patches().await;
    batch.labels().await;
    batch.watches().await;
    batch.applies().await;
    batch.applies_on_the_server().await;
    batch.describes().await;
    batch.deletes().await;
    batch.finish().await;
}

macro_rules! walks {
    ($($part:ident)*) => {$(
        mod $part {
            use super::*;

            #[tokio::test(flavor = "multi_thread")]
            async fn with_the_machines_kubectl() {
                walk(Client::Kubectl132, stringify!($part)).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn with_the_newest_kubectl() {
                walk(Client::Kubectl137, stringify!($part)).await;
            }
        }
    )*};
}

walks! { core work network data rest }

//! The kinds of one part in the hands of one kubectl, and what it should not have said.

use crate::cluster::Cluster;
use crate::programs::{Program, Said};
use crate::samples::NAMESPACE;
use api::ResourceDef;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One object of one kind.
pub(crate) struct Subject {
    pub(super) def: &'static ResourceDef,
    pub(super) object: Value,
    pub(super) name: String,
    /// As kubectl speaks of its kind: `deployment.apps`.
    pub(super) resource: String,
}

impl Subject {
    pub(crate) fn new(def: &'static ResourceDef, mut object: Value) -> Subject {
        // A client that sends a status sees "configured" for ever: the server drops it.
        object.as_object_mut().unwrap().remove("status");
        let kind = def.kind.to_lowercase();
        let resource = if def.group.is_empty() { kind } else { format!("{kind}.{}", def.group) };
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        Subject { def, object, name, resource }
    }

    /// `deployment.apps/web`
    pub(super) fn called(&self) -> String {
        format!("{}/{}", self.resource, self.name)
    }

    /// `deployments.v1.apps`
    pub(super) fn full_resource(&self) -> String {
        format!("{}.{}.{}", self.def.plural, self.def.version, self.def.group)
    }

    pub(super) fn path(&self) -> String {
        self.def.path(Some(NAMESPACE), Some(&self.name), None)
    }
}

pub(super) struct Batch {
    pub(super) cluster: Cluster,
    pub(super) kubectl: Program,
    pub(super) subjects: Vec<Subject>,
    complaints: Vec<String>,
}

/// Kinds of which the server says something in the status as soon as they are there.
const ANSWERED: &[&str] = &["CustomResourceDefinition", "APIService", "FlowSchema", "ValidatingAdmissionPolicy"];
/// The objects of the samples as kubectl is given them.
pub(super) const SAMPLES: &str = "samples.json";

impl Batch {
    pub(super) fn new(cluster: Cluster, kubectl: Program, subjects: Vec<Subject>) -> Batch {
        let batch = Batch { cluster, kubectl, subjects, complaints: Vec::new() };
        batch.write(SAMPLES, |_| true, |_| ());
        batch
    }

    /// Writes a file of these subjects, each changed so.
    pub(super) fn write(&self, file: &str, these: impl Fn(&Subject) -> bool, change: impl Fn(&mut Value)) {
        let objects = self.subjects.iter().filter(|subject| these(subject)).map(|subject| {
            let mut object = subject.object.clone();
            change(&mut object);
            object
        });
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<_>>()});
        self.kubectl.file(file, list.to_string());
    }

    pub(super) fn complain(&mut self, text: String) {
        self.complaints.push(text);
    }

    /// Runs kubectl, which is to succeed.
    pub(super) async fn run(&mut self, arguments: &[&str]) -> Said {
        let said = self.kubectl.run(arguments).await;
        if !said.ok {
            self.complain(format!("{arguments:?} failed: {}", said.err));
        }
        said
    }

    /// Runs kubectl on all subjects; it is to say `done` of each, and no more.
    pub(super) async fn each(&mut self, arguments: &[&str], done: &str) {
        self.each_or(arguments, done, &[]).await;
    }

    /// As `each`; of these kinds it says that they are configured.
    pub(super) async fn each_or(&mut self, arguments: &[&str], done: &str, configured: &[&str]) {
        let said = self.run(arguments).await;
        let wanted = self.subjects.iter().map(|subject| {
            let done = if configured.contains(&subject.def.kind) { "configured" } else { done };
            format!("{} {done}", subject.called())
        });
        let wanted: BTreeSet<String> = wanted.map(|line| line.trim().to_owned()).collect();
        let lines: BTreeSet<String> = said.out.lines().map(str::to_owned).collect();
        if wanted != lines {
            let missing: Vec<_> = wanted.difference(&lines).collect();
            let surplus: Vec<_> = lines.difference(&wanted).collect();
            self.complain(format!("{arguments:?}: missing {missing:?}; instead {surplus:?}"));
        }
    }

    /// A field of each subject as kubectl prints it, by the subject's name.
    pub(super) async fn field(&mut self, path: &str) -> BTreeMap<String, String> {
        let each = "{range .items[*]}{.apiVersion} {.kind} {.metadata.name}=PATH{\"\\n\"}{end}".replace("PATH", path);
        let said = self.run(&["get", "-f", SAMPLES, "-o", &format!("jsonpath={each}")]).await;
        let fields = said.out.lines().filter_map(|line| line.split_once('='));
        fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The revisions, by which an unchanged object is known. What is behind an APIService is asked again and again, and
    /// its status says how that went.
    pub(super) async fn revisions(&mut self) -> BTreeMap<String, String> {
        let mut revisions = self.field("{.metadata.resourceVersion}").await;
        revisions.retain(|name, _| !name.contains(" APIService "));
        revisions
    }

    /// Every subject has this value in a field.
    pub(super) async fn expect_field(&mut self, path: &str, value: &str) {
        let count = self.subjects.len();
        let fields = self.field(path).await;
        let wrong: Vec<_> = fields.iter().filter(|(_, own)| *own != value).collect();
        if fields.len() != count || !wrong.is_empty() {
            self.complain(format!("{path} is {value} of {} of {count}, not of {wrong:?}", fields.len() - wrong.len()));
        }
    }

    /// What the server itself says of a newcomer is said before others write.
    pub(super) async fn settles(&self) {
        for subject in self.subjects.iter().filter(|subject| ANSWERED.contains(&subject.def.kind)) {
            let is_there = |own: &Value| {
                let status = &own["status"];
                status["conditions"][0].is_object() || status["observedGeneration"].is_number()
            };
            crate::custom::until(&self.cluster, &subject.path(), "a status", |_, own| is_there(own)).await;
        }
    }

    pub(super) async fn finish(self) {
        self.cluster.shutdown().await;
        assert!(self.complaints.is_empty(), "{}", self.complaints.join("\n"));
    }
}

//! What kubectl writes: create, replace, patch, label, annotate, apply on either side, delete.

use super::batch::{Batch, SAMPLES, Subject};
use api::schema::{self, Type};
use serde_json::{Value, json};

/// kubectl replaces a budget's selector as a whole, and so in every patch it makes.
const NEVER_UNCHANGED: &[&str] = &["PodDisruptionBudget"];
const TIMEOUT: &str = "--timeout=20s";

fn label(object: &mut Value, value: &str) {
    let meta = &mut object["metadata"];
    if meta["labels"].is_null() {
        meta["labels"] = json!({});
    }
    meta["labels"]["example.com/step"] = json!(value);
}

/// What a controller of this kind may say in its status: a condition where it has conditions.
fn status_of(subject: &Subject) -> Value {
    let field = |message: &schema::Message, name: &str| match message.field(name.as_bytes())?.kind {
        Type::Message(id) => Some(id.get()),
        _ => None,
    };
    let conditions = schema::message(subject.def.message)
        .and_then(|message| field(message, "status"))
        .and_then(|status| field(status, "conditions"));
    let Some(condition) = conditions else { return json!({}) };
    let full = json!({"type": "example.com/Walked", "status": "True", "reason": "Walked", "message": "seen",
        "lastTransitionTime": "2026-01-01T00:00:00Z", "lastUpdateTime": "2026-01-01T00:00:00Z"});
    let has = |name: &str| condition.field(name.as_bytes()).is_some();
    let own = full.as_object().unwrap().iter().filter(|(name, _)| has(name));
    let own: serde_json::Map<String, Value> = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut own = own;
    // Its conditions are of three types only.
    if subject.def.kind == "PodCertificateRequest" {
        own.insert("type".to_owned(), json!("Failed"));
    }
    json!({"conditions": [own]})
}

impl Batch {
    pub(super) async fn creates(&mut self) {
        self.each(&["create", "--dry-run=server", "-f", SAMPLES], "created (server dry run)").await;
        self.each(&["create", "-f", SAMPLES], "created").await;
        let again = self.kubectl.run(&["create", "-f", SAMPLES]).await;
        let refused = again.err.matches("already exists").count();
        if again.ok || refused != self.subjects.len() {
            self.complain(format!("created twice, {refused} refused: {}", again.err));
        }
        self.settles().await;
    }

    /// What was read as YAML and is written back changes nothing.
    pub(super) async fn replaces(&mut self) {
        let before = self.revisions().await;
        let yaml = self.run(&["get", "-f", SAMPLES, "-o", "yaml", "--show-managed-fields"]).await.out;
        self.kubectl.file("read.yaml", yaml);
        self.each(&["replace", "-f", "read.yaml"], "replaced").await;
        let after = self.revisions().await;
        if before != after {
            let changed = before.iter().filter(|(name, revision)| after.get(*name) != Some(*revision));
            self.complain(format!("replaced by itself changed {:?}", changed.collect::<Vec<_>>()));
        }
    }

    pub(super) async fn patches(&mut self) {
        let merge = r#"{"metadata":{"labels":{"merge":"1"}}}"#;
        self.each(&["patch", "-f", SAMPLES, "--type=merge", "-p", merge], "patched").await;
        let json = r#"[{"op":"test","path":"/metadata/labels/merge","value":"1"},
            {"op":"add","path":"/metadata/labels/json","value":"1"}]"#;
        self.each(&["patch", "-f", SAMPLES, "--type=json", "-p", json], "patched").await;
        let strategic = r#"{"metadata":{"labels":{"strategic":"1","merge":null}}}"#;
        self.each(&["patch", "-f", SAMPLES, "--type=strategic", "-p", strategic], "patched").await;
        self.expect_field("{.metadata.labels.json}{.metadata.labels.strategic}{.metadata.labels.merge}", "11").await;
        self.patches_the_status().await;
    }

    /// Each kind has a status of its own: one at a time.
    async fn patches_the_status(&mut self) {
        let with_status = |subject: &&Subject| subject.def.has(api::Subresource::Status);
        let patches: Vec<_> = self
            .subjects
            .iter()
            .filter(with_status)
            .map(|subject| {
                (
                    subject.full_resource(),
                    subject.name.clone(),
                    subject.called(),
                    json!({"status": status_of(subject)}).to_string(),
                )
            })
            .collect();
        for (resource, name, called, patch) in patches {
            let arguments = [
                "-n",
                crate::samples::NAMESPACE,
                "patch",
                &resource,
                &name,
                "--subresource=status",
                "--type=merge",
                "-p",
                &patch,
            ];
            let said = self.run(&arguments).await;
            let wanted = if patch.contains("Walked") { "patched" } else { "patched (no change)" };
            if said.out.trim_end() != format!("{called} {wanted}") {
                self.complain(format!("{arguments:?} says {}", said.out));
            }
        }
    }

    pub(super) async fn labels(&mut self) {
        self.each(&["label", "-f", SAMPLES, "color=red"], "labeled").await;
        self.each(&["label", "-f", SAMPLES, "color=red"], "not labeled").await;
        self.each(&["annotate", "-f", SAMPLES, "example.com/note=a b"], "annotated").await;
        self.expect_field("{.metadata.labels.color}-{.metadata.annotations.example\\.com/note}", "red-a b").await;
        self.each(&["label", "-f", SAMPLES, "color-"], "unlabeled").await;
        self.expect_field("{.metadata.labels.color}", "").await;
    }

    /// Takes over as a user's own what the server made of each: a file that leaves out defaults inside of a list is
    /// "configured" by every apply, here as upstream.
    pub(super) async fn adopts(&mut self) {
        for subject in &mut self.subjects {
            let mut own = self.cluster.get(&subject.path()).await.json();
            own.as_object_mut().unwrap().remove("status");
            let kept = ["name", "namespace", "labels", "annotations"];
            own["metadata"].as_object_mut().unwrap().retain(|field, _| kept.contains(&field.as_str()));
            subject.object = own;
        }
    }

    /// From a file, the client's own way: what was there before, again, and with a change.
    pub(super) async fn applies(&mut self) {
        self.adopts().await;
        self.write("first.json", |_| true, |object| label(object, "first"));
        self.write("second.json", |_| true, |object| label(object, "second"));
        self.each(&["apply", "-f", "first.json"], "configured").await;
        self.each_or(&["apply", "-f", "first.json"], "unchanged", NEVER_UNCHANGED).await;
        self.each(&["apply", "-f", "second.json"], "configured").await;
        self.expect_field("{.metadata.labels.example\\.com/step}", "second").await;
        let diff = self.run(&["diff", "-f", "second.json"]).await;
        if !diff.out.is_empty() {
            self.complain(format!("a difference to what was applied: {}", diff.out));
        }
        self.write("none.json", |_| true, |_| ());
        self.each(&["apply", "-f", "none.json"], "configured").await;
        self.expect_field("{.metadata.labels.example\\.com/step}", "").await;
    }

    pub(super) async fn applies_on_the_server(&mut self) {
        let applied = "serverside-applied";
        self.each(&["apply", "--server-side", "--force-conflicts", "-f", "first.json"], applied).await;
        let before = self.revisions().await;
        self.each(&["apply", "--server-side", "-f", "first.json"], applied).await;
        let after = self.revisions().await;
        if before != after {
            let changed = before.iter().filter(|(name, revision)| after.get(*name) != Some(*revision));
            self.complain(format!("applied again changed {:?}", changed.collect::<Vec<_>>()));
        }
        let other = ["apply", "--server-side", "--field-manager=other", "-f", "second.json"];
        let refused = self.kubectl.run(&other).await;
        let says = "conflict with \"kubectl\": .metadata.labels.example.com/step";
        let conflicts = refused.err.matches(says).count();
        if refused.ok || conflicts != self.subjects.len() {
            let told = refused.err.lines().filter(|line| line.contains("conflict") || line.starts_with("- "));
            let told: Vec<_> = told.collect();
            self.complain(format!("{conflicts} conflicts: {told:#?}"));
        }
        self.each(&[&other[..], &["--force-conflicts"]].concat(), applied).await;
        self.expect_field("{.metadata.labels.example\\.com/step}", "second").await;
    }

    pub(super) async fn deletes(&mut self) {
        // What has a finalizer goes when a controller says so, and none is here.
        let now = ["--grace-period=0", "--force", TIMEOUT];
        let mut held = Vec::new();
        for subject in &self.subjects {
            let own = self.cluster.get(&subject.path()).await.json();
            let finalizers = [&own["metadata"]["finalizers"], &own["spec"]["finalizers"]];
            held.push(finalizers.into_iter().any(Value::is_array));
        }
        let mut held = held.into_iter();
        let (held, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.subjects).into_iter().partition(|_| held.next() == Some(true));
        self.subjects = gone;
        for subject in held {
            let (resource, namespace) = (subject.full_resource(), crate::samples::NAMESPACE);
            self.run(&["delete", &resource, &subject.name, "-n", namespace, "--wait=false"]).await;
            let left = self.cluster.get(&subject.path()).await.json();
            if !left["metadata"]["deletionTimestamp"].is_string() {
                self.complain(format!("not being deleted: {left}"));
            }
        }
        self.write("rest.json", |_| true, |_| ());
        let said = self.run(&[&["delete", "--wait", "-f", "rest.json"], &now[..]].concat()).await;
        let deleted = |subject: &&Subject| {
            let begins = format!("{} \"{}\" force deleted", subject.resource, subject.name);
            said.out.lines().any(|line| line.starts_with(&begins))
        };
        let missing: Vec<String> = self.subjects.iter().filter(|own| !deleted(own)).map(Subject::called).collect();
        if !missing.is_empty() {
            self.complain(format!("not said to be deleted: {missing:?}: {}", said.out));
        }
        let left = self.kubectl.run(&["get", "-f", "rest.json", "-o", "name", "--ignore-not-found"]).await;
        if !left.out.is_empty() {
            self.complain(format!("left behind: {}", left.out));
        }
    }
}

//! `auth reconcile`: roles and bindings get what manifests say, and keep what they have beyond unless told otherwise.

use super::rules::uncovered;
use crate::calls::At;
use crate::commands::output::Output;
use crate::commands::recreate::{Removal, recreate};
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::manifest::Files;
use crate::target::{self, Target, Wanted};
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    output: Output,
    /// Take away rules that manifests do not have
    #[arg(long)]
    remove_extra_permissions: bool,
    /// Take away subjects that manifests do not have
    #[arg(long)]
    remove_extra_subjects: bool,
}

const GROUP: &str = "rbac.authorization.k8s.io";
/// An object with this annotation, as `false`, is not to be reconciled.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    if arguments.files.is_empty() {
        return Err(Failure::message("no options for --filename, --kustomize were passed"));
    }
    let (wanted, mut failures) = target::of_files(context, &arguments.files).await?;
    for one in wanted {
        let reconciled = match one.target.def.kind {
            "Role" | "ClusterRole" => reconcile(context, arguments, &one, role).await,
            "RoleBinding" | "ClusterRoleBinding" => {
                let mut one = one;
                with_groups(&mut one.document.object);
                reconcile(context, arguments, &one, binding).await
            }
            _ => Ok(()),
        };
        match reconciled {
            Err(failure @ (Failure::Closed | Failure::Unreachable { .. })) => return Err(failure),
            Err(failure) => failures.push(failure),
            Ok(()) => {}
        }
    }
    Failure::of_all(failures)
}

/// The groups that the server fills in, without which nothing would compare.
fn with_groups(binding: &mut Value) {
    let default = |holder: &mut Value, group: &str| {
        if holder.is_object() && holder["apiGroup"].as_str().is_none_or(str::is_empty) && !group.is_empty() {
            holder["apiGroup"] = group.into();
        }
    };
    default(&mut binding["roleRef"], GROUP);
    for subject in binding["subjects"].as_array_mut().into_iter().flatten() {
        let group = if subject["kind"] == "ServiceAccount" { "" } else { GROUP };
        default(subject, group);
    }
}

/// `merge` makes of the object that is there what the manifest wants.
async fn reconcile(
    context: &Context,
    arguments: &Arguments,
    wanted: &Wanted,
    merge: fn(&Arguments, &mut Value, &Value) -> Difference,
) -> Result<()> {
    let (target, object) = (&wanted.target, &wanted.document.object);
    let Some(present) = context.find(target.at()).await? else {
        return make(context, arguments, target, object).await;
    };
    let mut after = present.clone();
    let difference = merge(arguments, &mut after, object);
    for part in ["labels", "annotations"] {
        for (name, value) in object["metadata"][part].as_object().into_iter().flatten() {
            // What somebody set since has more weight than the manifest.
            if after["metadata"][part].get(name).is_none() {
                after["metadata"][part][name] = value.clone();
            }
        }
    }
    let kept = present.pointer("/metadata/annotations").and_then(|all| all.get(AUTOUPDATE)?.as_str()) == Some("false");
    if after == present || kept || arguments.output.is_client_dry_run() {
        arguments.output.tell(context, target, "reconciled", &after)?;
        return if after == present { Ok(()) } else { difference.tell(context, kept) };
    }
    let query = [arguments.output.dry_run_query()];
    let after = if present.get("roleRef") == after.get("roleRef") {
        context.replace(target.at(), &after, &query).await?
    } else {
        // A binding's role cannot be changed: it is another binding.
        let removal = Removal::parse("background", -1, "0s")?;
        let dry_run = arguments.output.dry_run;
        recreate(context, target, &removal, dry_run, (&present, &after), &query, || Ok(())).await?
    };
    arguments.output.tell(context, target, "reconciled", &after)?;
    difference.tell(context, false)
}

async fn make(context: &Context, arguments: &Arguments, target: &Target, object: &Value) -> Result<()> {
    let difference = Difference {
        operation: "create",
        rules: [list(object, "/rules").to_vec(), Vec::new()],
        subjects: [list(object, "/subjects").to_vec(), Vec::new()],
    };
    let collection = At::collection(target.def, &target.namespace);
    let made = if arguments.output.is_client_dry_run() {
        object.clone()
    } else {
        context.create(collection, object, &[arguments.output.dry_run_query()]).await?
    };
    arguments.output.tell(context, target, "reconciled", &made)?;
    difference.tell(context, false)
}

/// What a manifest wants that was not there, and what was taken away.
#[derive(Default)]
struct Difference {
    operation: &'static str,
    rules: [Vec<Value>; 2],
    subjects: [Vec<Value>; 2],
}

impl Difference {
    /// On standard error, as upstream does.
    fn tell(&self, context: &Context, kept: bool) -> Result<()> {
        let caveat =
            if kept { ", but object opted out (rbac.authorization.kubernetes.io/autoupdate: false)" } else { "" };
        context.remark(format_args!("\treconciliation required {}{caveat}", self.operation))?;
        let parts =
            [("rules", &self.rules, rule_words as fn(&Value) -> String), ("subjects", &self.subjects, subject_words)];
        for (what, lists, words) in parts {
            for (done, list) in ["missing", "extra"].iter().zip(lists).filter(|(_, list)| !list.is_empty()) {
                let end = if *done == "missing" { "added" } else { "removed" };
                context.remark(format_args!("\t{done} {what} {end}:"))?;
                list.iter().try_for_each(|one| context.remark(format_args!("\t\t{}", words(one))))?;
            }
        }
        Ok(())
    }
}

fn rule_words(rule: &Value) -> String {
    let list = |key: &str| {
        let texts: Vec<&str> = list(rule, &format!("/{key}")).iter().filter_map(Value::as_str).collect();
        texts.join(" ")
    };
    format!(
        "{{Verbs:[{}] APIGroups:[{}] Resources:[{}] ResourceNames:[{}] NonResourceURLs:[{}]}}",
        list("verbs"),
        list("apiGroups"),
        list("resources"),
        list("resourceNames"),
        list("nonResourceURLs")
    )
}

fn subject_words(subject: &Value) -> String {
    let word = |key: &str| subject[key].as_str().unwrap_or_default();
    let (kind, group, name, namespace) = (word("kind"), word("apiGroup"), word("name"), word("namespace"));
    format!("{{Kind:{kind} APIGroup:{group} Name:{name} Namespace:{namespace}}}")
}

fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What is wanted, with what is there beyond unless `exact`; `missing` and `extra` say how the two differ.
fn merged(present: &[Value], wanted: &[Value], missing: &[Value], extra: &[Value], exact: bool) -> Option<Vec<Value>> {
    match exact {
        true if !missing.is_empty() || !extra.is_empty() => Some(wanted.to_vec()),
        false if !missing.is_empty() => Some(present.iter().chain(missing).cloned().collect()),
        _ => None,
    }
}

fn without(present: &[Value], wanted: &[Value]) -> Vec<Value> {
    wanted.iter().filter(|one| !present.contains(one)).cloned().collect()
}

/// Extra ones are worth a word only where they go.
fn told(missing: Vec<Value>, extra: Vec<Value>, exact: bool) -> [Vec<Value>; 2] {
    [missing, if exact { extra } else { Vec::new() }]
}

fn role(arguments: &Arguments, after: &mut Value, wanted: &Value) -> Difference {
    const SELECTORS: &str = "/aggregationRule/clusterRoleSelectors";
    let exact = arguments.remove_extra_permissions;
    let (own, other) = (list(after, "/rules"), list(wanted, "/rules"));
    let (missing, extra) = (uncovered(own, other), uncovered(other, own));
    if let Some(rules) = merged(own, other, &missing, &extra, exact) {
        after["rules"] = rules.into();
    }
    let (own, other) = (list(after, SELECTORS), list(wanted, SELECTORS));
    let selectors = merged(own, other, &without(own, other), &without(other, own), exact);
    if wanted.get("aggregationRule").is_none_or(Value::is_null) {
        // A role that is not to be put together from others says its rules itself.
        if let Some(members) = after.as_object_mut() {
            members.shift_remove("aggregationRule");
        }
    } else if let Some(selectors) = selectors {
        after["aggregationRule"] = json!({"clusterRoleSelectors": selectors});
    }
    Difference { operation: "update", rules: told(missing, extra, exact), ..Difference::default() }
}

fn binding(arguments: &Arguments, after: &mut Value, wanted: &Value) -> Difference {
    let exact = arguments.remove_extra_subjects;
    let (own, other) = (list(after, "/subjects"), list(wanted, "/subjects"));
    if after.get("roleRef") != wanted.get("roleRef") {
        // Another role is another binding: nothing of the old one holds.
        after["roleRef"] = wanted["roleRef"].clone();
        after["subjects"] = wanted["subjects"].clone();
        return Difference { operation: "recreate", ..Difference::default() };
    }
    let (missing, extra) = (without(own, other), without(other, own));
    if let Some(subjects) = merged(own, other, &missing, &extra, exact) {
        after["subjects"] = subjects.into();
    }
    Difference { operation: "update", subjects: told(missing, extra, exact), ..Difference::default() }
}

//! What kubectl shows: names, tables, JSON and YAML, chosen columns, descriptions, explanations, changes.

use super::batch::{Batch, SAMPLES, Subject};
use crate::programs::Client;
use crate::samples::NAMESPACE;
use futures::{StreamExt, stream};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

/// Programs at once.
const AT_ONCE: usize = 6;
/// Kinds that kubectl 1.32 describes in a beta version, which nobody serves any more.
const GONE_FROM_DESCRIBERS: &[&str] = &["IPAddress", "ServiceCIDR", "VolumeAttributesClass"];
/// Kinds whose sample carries what kubectl would have to parse: no real request of a certificate.
const UNREADABLE_SAMPLES: &[&str] = &["CertificateSigningRequest"];
const PATIENCE: Duration = Duration::from_secs(60);

/// Cells stand three spaces apart.
fn cells(line: &str) -> Vec<&str> {
    line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

/// The columns that kubectl shows of a kind.
fn columns(subject: &Subject, wide: bool) -> Vec<String> {
    let shown = subject.def.columns.iter().filter(|column| wide || column.priority == 0);
    shown.map(|column| column.name.to_uppercase()).collect()
}

impl Batch {
    pub(super) async fn shows(&mut self) {
        self.each(&["get", "-f", SAMPLES, "-o", "name"], "").await;
        self.lists().await;
        self.tables(&["get", "-f", SAMPLES], false).await;
        self.tables(&["get", "-f", SAMPLES, "-o", "wide"], true).await;
        self.prints_json().await;
        self.prints_chosen_columns().await;
        self.resources_are_listed().await;
    }

    /// Every kind's collection in one command.
    async fn lists(&mut self) {
        let all: Vec<String> = self.subjects.iter().map(Subject::full_resource).collect();
        let said = self.run(&["get", &all.join(","), "-n", NAMESPACE, "-o", "name", "--chunk-size=2"]).await;
        let listed: Vec<&str> = said.out.lines().collect();
        let missing = self.subjects.iter().map(Subject::called).filter(|called| !listed.contains(&called.as_str()));
        let missing: Vec<String> = missing.collect();
        if !missing.is_empty() {
            self.complain(format!("not listed: {missing:?}"));
        }
    }

    /// A table of each kind, under its own columns.
    async fn tables(&mut self, arguments: &[&str], wide: bool) {
        let said = self.run(arguments).await;
        let tables: Vec<Vec<&str>> = said.out.split("\n\n").map(|table| table.lines().collect()).collect();
        let mut wrong = Vec::new();
        for subject in &self.subjects {
            let columns = columns(subject, wide);
            // An event's name is told with the wide columns only; a name that the server does not call one stands alone.
            let shown = subject.def.columns.iter().filter(|column| wide || column.priority == 0);
            let mut name = shown.filter(|column| column.name == "Name").map(|column| match column.format {
                "name" => subject.called(),
                _ => subject.name.clone(),
            });
            let name = name.next().unwrap_or_default();
            let names = |row: &&str| name.is_empty() || row.split_whitespace().any(|word| word == name);
            let is_own = |table: &Vec<&str>| cells(table[0]) == columns && table[1..].iter().any(names);
            if !tables.iter().any(is_own) {
                wrong.push(format!("{}: not below {columns:?}", subject.called()));
            }
        }
        if !wrong.is_empty() {
            self.complain(format!("{arguments:?}: {wrong:#?} in {}", said.out));
        }
    }

    /// What it prints as JSON is what the server has.
    async fn prints_json(&mut self) {
        let said = self.run(&["get", "-f", SAMPLES, "-o", "json", "--show-managed-fields"]).await;
        let list: serde_json::Value = serde_json::from_str(&said.out).unwrap_or_default();
        let printed =
            if self.subjects.len() == 1 { vec![list] } else { list["items"].as_array().cloned().unwrap_or_default() };
        let mut wrong = Vec::new();
        for subject in &self.subjects {
            let own = self.cluster.get(&subject.path()).await.json();
            if !printed.contains(&own) {
                wrong.push(own);
            }
        }
        if !wrong.is_empty() {
            self.complain(format!("printed otherwise: {wrong:?} in {printed:?}"));
        }
    }

    async fn prints_chosen_columns(&mut self) {
        let chosen = "custom-columns=KIND:.kind,NAME:.metadata.name,NOTHING:.nothing.at.all";
        let said = self.run(&["get", "-f", SAMPLES, "-o", chosen]).await;
        let mut rows = said.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let headers = rows.next();
        let rows: Vec<_> = rows.collect();
        let is_shown = |own: &Subject| rows.contains(&vec![own.def.kind, own.name.as_str(), "<none>"]);
        if headers != Some(vec!["KIND", "NAME", "NOTHING"]) || !self.subjects.iter().all(is_shown) {
            self.complain(format!("{chosen}: {}", said.out));
        }
    }

    /// `api-resources` has a line for each kind that says what its row says.
    async fn resources_are_listed(&mut self) {
        let said = self.run(&["api-resources", "-o", "wide", "--no-headers"]).await;
        let lines: Vec<Vec<&str>> = said.out.lines().map(|line| line.split_whitespace().collect()).collect();
        let line = |own: &Subject| {
            let verbs = own.def.verbs.names().join(",");
            let (short, categories) = (own.def.short_names.join(","), own.def.categories.join(","));
            let namespaced = if own.def.namespaced() { "true" } else { "false" };
            let version = own.def.api_version();
            let words = [own.def.plural, &short, &version, namespaced, own.def.kind, &verbs, &categories];
            words.into_iter().filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        // A kind in several versions is listed in the preferred one.
        let wrong: Vec<_> =
            self.subjects.iter().map(line).filter(|line| !lines.iter().any(|own| own == line)).collect();
        let wrong: Vec<_> = wrong.into_iter().filter(|line| !line.contains(&"autoscaling/v1".to_owned())).collect();
        if !wrong.is_empty() {
            self.complain(format!("api-resources lacks {wrong:?}: {}", said.out));
        }
    }

    pub(super) async fn describes(&mut self) {
        // The old client asks for these in versions that have gone.
        let old = self.kubectl.client == Client::Kubectl132;
        let described = |own: &Subject| {
            let gone = old && GONE_FROM_DESCRIBERS.contains(&own.def.kind);
            !(gone || UNREADABLE_SAMPLES.contains(&own.def.kind))
        };
        self.write("described.json", described, |_| ());
        let said = self.run(&["describe", "-f", "described.json"]).await;
        let names: Vec<&str> = said.out.lines().filter_map(|line| line.strip_prefix("Name:")).map(str::trim).collect();
        let missing: Vec<String> = self
            .subjects
            .iter()
            .filter(|own| described(own) && !names.contains(&own.name.as_str()))
            .map(Subject::called)
            .collect();
        // Some kinds are deprecated, and it says so.
        let wrong: Vec<&str> = said.err.lines().filter(|line| !line.starts_with("Warning: ")).collect();
        if !missing.is_empty() || !wrong.is_empty() {
            self.complain(format!("not described: {missing:?}; {wrong:?}"));
        }
    }

    pub(super) async fn explains(&mut self) {
        let kubectl = &self.kubectl;
        let explained = stream::iter(&self.subjects).map(|subject| async move {
            let version = format!("--api-version={}", subject.def.api_version());
            let said = kubectl.run(&["explain", subject.def.plural, &version]).await;
            (subject, said)
        });
        let explained: Vec<_> = explained.buffer_unordered(AT_ONCE).collect().await;
        let mut wrong = Vec::new();
        for (subject, said) in explained {
            let says = |name: &str, value: &str| {
                said.out.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.trim() == value))
            };
            let described =
                said.out.split_once("DESCRIPTION:").is_some_and(|(_, text)| !text.trim_start().starts_with('<'));
            let fields = said.out.contains("metadata\t<ObjectMeta>");
            if !(says("KIND:", subject.def.kind) && says("VERSION:", subject.def.version) && described && fields) {
                wrong.push(format!("{}: {}{}", subject.called(), said.out, said.err));
            }
        }
        for complaint in wrong {
            self.complain(complaint);
        }
        let first = self.subjects[0].def;
        let said = self.run(&["explain", "--recursive", first.plural, "--api-version", &first.api_version()]).await;
        if !said.out.contains("    ownerReferences\t<[]OwnerReference>\n      apiVersion\t<string> -required-") {
            self.complain(format!("explain --recursive: {}", said.out));
        }
    }

    /// `get --watch` shows what is there, and then a change.
    pub(super) async fn watches(&mut self) {
        let mut watches = Vec::new();
        for subject in &self.subjects {
            watches.push(Watch::start(&self.kubectl, subject).await);
        }
        self.each(&["label", "-f", SAMPLES, "watched=yes"], "labeled").await;
        let mut missed = Vec::new();
        for (watch, subject) in watches.into_iter().zip(&self.subjects) {
            if let Err(seen) = watch.changes().await {
                missed.push(format!("{}: {seen:?}", subject.called()));
            }
        }
        if !missed.is_empty() {
            self.complain(format!("changes not seen: {missed:#?}"));
        }
    }
}

/// A kubectl that watches one object.
struct Watch {
    // Ends with the watch.
    _program: Child,
    lines: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Watch {
    /// Returns when it has shown what is there.
    async fn start(kubectl: &crate::programs::Program, subject: &Subject) -> Watch {
        let resource = subject.full_resource();
        let mut program = kubectl.start(&[
            "get",
            &resource,
            &subject.name,
            "-n",
            NAMESPACE,
            "--watch",
            "--no-headers",
            "--output-watch-events",
            "-L",
            "watched",
        ]);
        let lines = BufReader::new(program.stdout.take().unwrap()).lines();
        let mut watch = Watch { _program: program, lines, seen: Vec::new() };
        watch.line().await;
        watch
    }

    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.ok()?.unwrap()?;
        self.seen.push(line.clone());
        Some(line)
    }

    /// # Errors
    /// What it showed instead.
    async fn changes(mut self) -> Result<(), Vec<String>> {
        while let Some(line) = self.line().await {
            if line.starts_with("MODIFIED") && line.trim_end().ends_with(" yes") {
                return Ok(());
            }
        }
        Err(self.seen)
    }
}

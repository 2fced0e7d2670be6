//! `auth can-i`: whether the user may do something, or all that they may.

use crate::calls::At;
use crate::commands::create::typed;
use crate::context::Context;
use crate::failure::{Failure, Result};
use crate::print::{Widths, grid};
use api::Kind;
use k8s_openapi::api::authorization::v1::{SelfSubjectAccessReview, SelfSubjectRulesReview};
use serde_json::{Value, json};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// VERB, and TYPE, TYPE/NAME, TYPE NAME or a path
    words: Vec<String>,
    /// In every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// All that may be done in the namespace
    #[arg(long)]
    list: bool,
    #[arg(long)]
    no_headers: bool,
    /// Only an exit code
    #[arg(short = 'q', long)]
    quiet: bool,
    /// The subresource: log, scale, …
    #[arg(long, default_value = "", hide_default_value = true)]
    subresource: String,
}

const USAGE: &str = "you must specify two arguments: verb resource or verb resource/resourceName.\nSee 'kubectl auth can-i -h' for help and examples.";

pub(super) async fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    let namespace = if arguments.all_namespaces { "" } else { &context.namespace };
    if arguments.list {
        if !arguments.words.is_empty() {
            return Err(Failure::message("list option must be specified with no arguments"));
        }
        return rules(context, arguments, namespace).await;
    }
    let (verb, what) = match arguments.words.as_slice() {
        [verb, what] => (verb, what.as_str()),
        _ => return Err(Failure::message(USAGE)),
    };
    let spec = if what.starts_with('/') {
        json!({"nonResourceAttributes": {"verb": verb, "path": what}})
    } else {
        resource(context, arguments, namespace, verb, what).await?
    };
    let review = typed(&SelfSubjectAccessReview::DEF, json!({"spec": spec}));
    let review = context.create(At::collection(&SelfSubjectAccessReview::DEF, ""), &review, &[]).await?;
    answer(context, arguments, &review["status"])
}

async fn resource(context: &Context, arguments: &Arguments, namespace: &str, verb: &str, what: &str) -> Result<Value> {
    const VERBS: [&str; 16] = [
        "get",
        "list",
        "watch",
        "create",
        "update",
        "patch",
        "delete",
        "deletecollection",
        "use",
        "bind",
        "impersonate",
        "*",
        "approve",
        "sign",
        "escalate",
        "attest",
    ];
    let (kind, name) = what.split_once('/').unwrap_or((what, ""));
    if !VERBS.contains(&verb) && !arguments.quiet {
        context.remark(format_args!("Warning: verb '{verb}' is not a known verb\n"))?;
    }
    let (group, version, plural) = if kind == "*" {
        ("*", "", "*")
    } else {
        match context.resources.named(kind).await {
            Ok(def) => {
                if !def.namespaced() && !namespace.is_empty() && !arguments.quiet {
                    let group = if def.group.is_empty() { String::new() } else { format!(" in group '{}'", def.group) };
                    context
                        .remark(format_args!("Warning: resource '{}' is not namespace scoped{group}\n", def.plural))?;
                }
                (def.group, "", def.plural)
            }
            // What the server has not may be allowed all the same.
            Err(Failure::Message(_)) => {
                if !arguments.quiet {
                    context.remark(format_args!("Warning: the server doesn't have a resource type '{kind}'\n"))?;
                }
                let (plural, group) = kind.split_once('.').unwrap_or((kind, ""));
                (group, "", plural)
            }
            Err(failure) => return Err(failure),
        }
    };
    Ok(json!({"resourceAttributes": {
        "namespace": namespace, "verb": verb, "group": group, "version": version, "resource": plural,
        "subresource": arguments.subresource, "name": name,
    }}))
}

fn answer(context: &Context, arguments: &Arguments, status: &Value) -> Result<()> {
    let allowed = status["allowed"] == true;
    if !arguments.quiet {
        let mut text = if allowed { "yes" } else { "no" }.to_owned();
        for (key, before) in [("reason", " - "), ("evaluationError", " - ")] {
            if let Some(words) = status[key].as_str().filter(|words| !words.is_empty() && !allowed) {
                text = format!("{text}{before}{words}");
            }
        }
        context.line(text)?;
    }
    if allowed { Ok(()) } else { Err(Failure::Code { code: 1, text: String::new() }) }
}

async fn rules(context: &Context, arguments: &Arguments, namespace: &str) -> Result<()> {
    let review = typed(&SelfSubjectRulesReview::DEF, json!({"spec": {"namespace": namespace}}));
    let review = context.create(At::collection(&SelfSubjectRulesReview::DEF, ""), &review, &[]).await?;
    let status = &review["status"];
    if status["incomplete"] == true {
        let why = status["evaluationError"].as_str().unwrap_or_default();
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        context.remark(format_args!("Warning: the list may be incomplete{why}"))?;
    }
    let mut rules: Vec<Rule> = Vec::new();
    for rule in status["resourceRules"].as_array().into_iter().flatten() {
        let (verbs, names) = (texts(rule, "verbs"), texts(rule, "resourceNames"));
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                let one = Rule {
                    verbs: verbs.clone(),
                    group: group.clone(),
                    resource,
                    names: names.clone(),
                    url: String::new(),
                };
                one.join(&mut rules);
            }
        }
    }
    for rule in status["nonResourceRules"].as_array().into_iter().flatten() {
        for url in texts(rule, "nonResourceURLs") {
            rules.extend(texts(rule, "verbs").into_iter().map(|verb| Rule {
                verbs: vec![verb],
                url: url.clone(),
                ..Rule::default()
            }));
        }
    }
    rules.sort_by_key(Rule::key);
    let mut lines: Vec<Vec<String>> = rules.iter().map(Rule::line).collect();
    if !arguments.no_headers {
        lines.insert(0, ["Resources", "Non-Resource URLs", "Resource Names", "Verbs"].map(str::to_owned).to_vec());
    }
    context.print(grid(&lines, &mut Widths::default()))
}

fn texts(rule: &Value, key: &str) -> Vec<String> {
    rule[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// One line of what may be done.
#[derive(Clone, Debug, Default)]
struct Rule {
    verbs: Vec<String>,
    group: String,
    resource: String,
    names: Vec<String>,
    url: String,
}

impl Rule {
    /// Verbs for the same objects stand on one line.
    fn join(self, rules: &mut Vec<Rule>) {
        let same = |other: &&mut Rule| {
            other.group == self.group && other.resource == self.resource && other.names == self.names
        };
        match rules.iter_mut().find(same) {
            Some(known) => {
                let new = self.verbs.into_iter().filter(|verb| !known.verbs.contains(verb)).collect::<Vec<_>>();
                known.verbs.extend(new);
            }
            None => rules.push(self),
        }
    }

    /// Upstream compares rules as texts, whose brackets sort behind other characters.
    fn key(&self) -> String {
        let Rule { verbs, group, resource, names, url } = self;
        let url = if url.is_empty() { String::new() } else { format!("[{url}]") };
        let group = if url.is_empty() { format!("[{group}]") } else { String::new() };
        format!("[{}] {group} [{resource}] [{}] {url}", verbs.join(" "), names.join(" "))
    }

    fn line(&self) -> Vec<String> {
        let list = |texts: &[String]| format!("[{}]", texts.join(" "));
        let named =
            if self.group.is_empty() { self.resource.clone() } else { format!("{}.{}", self.resource, self.group) };
        let url = if self.url.is_empty() { "[]".to_owned() } else { format!("[{}]", self.url) };
        vec![named, url, list(&self.names), list(&self.verbs)]
    }
}

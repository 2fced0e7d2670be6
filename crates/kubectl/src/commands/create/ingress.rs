//! `create ingress`: rules of `HOST/PATH=SERVICE:PORT[,tls[=SECRET]]`.

use super::make;
use crate::commands::output::{Creation, exactly_one};
use crate::context::Context;
use crate::failure::{Failure, Result};
use k8s_openapi::api::networking::v1 as networking;
use serde_json::{Map, Value, json};

#[derive(clap::Args)]
pub(super) struct Ingress {
    name: Vec<String>,
    /// HOST/PATH=SERVICE:PORT[,tls[=SECRET]]; a path that ends in * is a prefix; may be repeated
    #[arg(long)]
    rule: Vec<String>,
    /// SERVICE:PORT for what no rule takes
    #[arg(long, default_value = "", hide_default_value = true)]
    default_backend: String,
    /// The ingress class
    #[arg(long, default_value = "", hide_default_value = true)]
    class: String,
    /// NAME=VALUE; may be repeated
    #[arg(long)]
    annotation: Vec<String>,
    #[command(flatten)]
    creation: Creation,
}

/// One rule, taken apart.
#[derive(Debug, PartialEq)]
struct Rule {
    host: String,
    path: String,
    prefix: bool,
    backend: Value,
    /// The secret's name, which may be empty; absent without TLS.
    tls: Option<String>,
}

impl Rule {
    fn parse(text: &str) -> Result<Rule> {
        let invalid = || {
            Failure::message(format!(
                "rule {text} is invalid and should be in format host/path=svcname:svcport[,tls[=secret]]"
            ))
        };
        let (target, tls) = match text.split_once(',') {
            None => (text, None),
            Some((target, "tls")) => (target, Some(String::new())),
            Some((target, tls)) => (target, Some(tls.strip_prefix("tls=").ok_or_else(invalid)?.to_owned())),
        };
        let (place, service) = target.split_once('=').ok_or_else(invalid)?;
        let slash = place.find('/').ok_or_else(invalid)?;
        let (host, path) = place.split_at(slash);
        let (prefix, path) = match path.strip_suffix('*') {
            Some(path) => (true, path),
            None => (false, path),
        };
        let backend = backend(service).ok_or_else(invalid)?;
        Ok(Rule { host: host.to_owned(), path: path.to_owned(), prefix, backend, tls })
    }

    fn path(&self) -> Value {
        let kind = if self.prefix { "Prefix" } else { "Exact" };
        json!({"backend": self.backend, "path": self.path, "pathType": kind})
    }
}

fn backend(text: &str) -> Option<Value> {
    let (service, port) = text.split_once(':').filter(|(service, port)| !service.is_empty() && !port.is_empty())?;
    let port = match port.parse::<u16>() {
        Ok(number) => json!({"number": number}),
        Err(_) => json!({"name": port}),
    };
    Some(json!({"service": {"name": service, "port": port}}))
}

impl Ingress {
    pub(super) async fn run(&self, context: &Context) -> Result<()> {
        let name = exactly_one(&self.name, "create ingress")?;
        if self.rule.is_empty() && self.default_backend.is_empty() {
            return Err(Failure::message(
                "not enough information provided: every ingress has to either specify a default-backend (which catches all traffic) or a list of rules (which catch specific paths)",
            ));
        }
        let rules = self.rule.iter().map(|rule| Rule::parse(rule)).collect::<Result<Vec<_>>>()?;
        let mut spec = json!({});
        if !self.class.is_empty() {
            spec["ingressClassName"] = self.class.clone().into();
        }
        if !self.default_backend.is_empty() {
            let text = "default-backend should be in format servicename:serviceport";
            spec["defaultBackend"] = backend(&self.default_backend).ok_or_else(|| Failure::message(text))?;
        }
        if !rules.is_empty() {
            spec["rules"] = by_host(&rules);
        }
        let tls = tls(&rules);
        if !tls.is_empty() {
            spec["tls"] = tls.into();
        }
        let mut metadata = json!({"name": name});
        if !self.annotation.is_empty() {
            metadata["annotations"] = annotations(&self.annotation)?.into();
        }
        let object = json!({"metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}});
        make::<networking::Ingress>(context, &self.creation, "ingress", object).await
    }
}

fn annotations(pairs: &[String]) -> Result<Map<String, Value>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), Value::from(value))),
        None => Err(Failure::message(format!("annotation {text} is invalid and should be in format key=[value]"))),
    };
    pairs.iter().map(pair).collect()
}

/// Paths of one host stand together.
fn by_host(rules: &[Rule]) -> Value {
    let mut hosts: Vec<(&str, Vec<Value>)> = Vec::new();
    for rule in rules {
        match hosts.iter_mut().find(|(host, _)| *host == rule.host) {
            Some((_, paths)) => paths.push(rule.path()),
            None => hosts.push((&rule.host, vec![rule.path()])),
        }
    }
    let rule = |(host, paths): (&str, Vec<Value>)| {
        let mut rule = json!({"http": {"paths": paths}});
        if !host.is_empty() {
            rule["host"] = host.into();
        }
        rule
    };
    hosts.into_iter().map(rule).collect()
}

/// Hosts of one secret stand together.
fn tls(rules: &[Rule]) -> Vec<Value> {
    let mut secrets: Vec<(&str, Vec<&str>)> = Vec::new();
    for rule in rules {
        let Some(secret) = &rule.tls else { continue };
        // The first rule of a host decides.
        if secrets.iter().any(|(_, hosts)| hosts.contains(&rule.host.as_str())) {
            continue;
        }
        let index = secrets.iter().position(|(known, _)| known == secret).unwrap_or_else(|| {
            secrets.push((secret, Vec::new()));
            secrets.len() - 1
        });
        let hosts = &mut secrets[index].1;
        if !rule.host.is_empty() && !hosts.contains(&rule.host.as_str()) {
            hosts.push(&rule.host);
        }
    }
    let entry = |(secret, hosts): (&str, Vec<&str>)| {
        let mut entry = json!({});
        if !hosts.is_empty() {
            entry["hosts"] = hosts.into();
        }
        if !secret.is_empty() {
            entry["secretName"] = secret.into();
        }
        entry
    };
    secrets.into_iter().map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_taken_apart() {
        let rule = Rule::parse("a.b/c/*=svc:http,tls=s").unwrap();
        assert_eq!((rule.host.as_str(), rule.path.as_str(), rule.prefix), ("a.b", "/c/", true));
        assert_eq!(rule.backend, json!({"service": {"name": "svc", "port": {"name": "http"}}}));
        assert_eq!(rule.tls.as_deref(), Some("s"));
        for wrong in ["a", "a/b", "a/b=c", "a/b=c:1,x", "a=c:1"] {
            assert!(Rule::parse(wrong).is_err(), "{wrong}");
        }
    }
}

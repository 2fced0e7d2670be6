//! What an administrator says to all namespaces: what holds where labels say nothing, and who is exempt.

use super::policy::{Level, Policy, Standard, Version, level_of, version_of};
use crate::admission::options::decoded;
use crate::configuration_file::ConfigurationError;
use api::labels::{dns1123_label, dns1123_subdomain};
use api::{FieldError, FieldPath};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

const KIND: &str = "PodSecurityConfiguration";
const GROUP: &str = "pod-security.admission.config.k8s.io";

#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::admission) struct Configuration {
    pub(super) defaults: Policy,
    pub(super) exemptions: Exemptions,
}

/// Who is not judged at all.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub(super) struct Exemptions {
    usernames: Vec<String>,
    namespaces: Vec<String>,
    runtime_classes: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Content {
    defaults: Defaults,
    exemptions: Exemptions,
}

/// Empty for what is not said.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
struct Defaults {
    enforce: String,
    enforce_version: String,
    audit: String,
    audit_version: String,
    warn: String,
    warn_version: String,
}

impl Configuration {
    pub(in crate::admission) fn read(path: &Path, content: Option<Value>) -> Result<Configuration, ConfigurationError> {
        let versions = ["v1", "v1beta1", "v1alpha1"].map(|version| format!("{GROUP}/{version}"));
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        let Content { defaults, exemptions } = decoded(path, content, KIND, &versions)?;
        let mut errors = Vec::new();
        let mut mode = |name: &str, level: &str, version: &str| standard(name, level, version, &mut errors);
        let policy = Policy {
            enforce: mode("enforce", &defaults.enforce, &defaults.enforce_version),
            warn: mode("warn", &defaults.warn, &defaults.warn_version),
            audit: mode("audit", &defaults.audit, &defaults.audit_version),
        };
        exemptions.check(&mut errors);
        match errors.is_empty() {
            true => Ok(Configuration { defaults: policy, exemptions }),
            false => Err(ConfigurationError::Invalid { path: path.to_owned(), errors }),
        }
    }
}

fn standard(mode: &str, level: &str, version: &str, errors: &mut Vec<FieldError>) -> Standard {
    let path = FieldPath::new("defaults");
    let mut refuse = |field: String, value: &str, why: &str| {
        errors.push(FieldError::invalid(path.child(&field), value, why));
    };
    let level = match level {
        "" => Level::Privileged,
        text => level_of(text).unwrap_or_else(|why| {
            refuse(mode.to_owned(), text, why);
            Level::Restricted
        }),
    };
    let version = match version {
        "" => Version::LATEST,
        text => version_of(text).unwrap_or_else(|why| {
            refuse(format!("{mode}-version"), text, why);
            Version::LATEST
        }),
    };
    Standard { level, version }
}

impl Exemptions {
    pub(super) fn has_user(&self, name: &str) -> bool {
        self.usernames.iter().any(|own| own == name)
    }

    pub(super) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.iter().any(|own| own == name)
    }

    pub(super) fn has_runtime_class(&self, name: Option<&str>) -> bool {
        name.is_some_and(|name| self.runtime_classes.iter().any(|own| own == name))
    }

    fn check(&self, errors: &mut Vec<FieldError>) {
        let named = |rule: fn(&str, bool) -> Vec<String>| move |name: &str| rule(name, false);
        let path = FieldPath::new("exemptions");
        each(&path.child("namespaces"), &self.namespaces, named(dns1123_label), errors);
        each(&path.child("runtimeClasses"), &self.runtime_classes, named(dns1123_subdomain), errors);
        each(&path.child("usernames"), &self.usernames, |_| Vec::new(), errors);
    }
}

fn each(path: &FieldPath, names: &[String], rule: impl Fn(&str) -> Vec<String>, errors: &mut Vec<FieldError>) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let path = path.index(index);
        let complaints = rule(name);
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else if !complaints.is_empty() {
            errors.push(FieldError::invalid(path, name, complaints.join(", ")));
        } else if !seen.insert(name) {
            errors.push(FieldError::duplicate(path, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(mut content: Value) -> Result<Configuration, String> {
        content["apiVersion"] = json!("pod-security.admission.config.k8s.io/v1");
        content["kind"] = json!(KIND);
        Configuration::read(Path::new("f"), Some(content)).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_and_exemptions_are_checked() {
        let own = read(json!({"defaults": {"enforce": "baseline", "warn": "restricted", "warn-version": "v1.30"},
            "exemptions": {"usernames": ["admin"], "namespaces": ["kube-system"], "runtimeClasses": ["vm"]}}))
        .unwrap();
        let texts = [own.defaults.enforce, own.defaults.warn, own.defaults.audit].map(|own| own.to_string());
        assert_eq!(texts, ["baseline:latest", "restricted:v1.30", "privileged:latest"]);
        assert!(own.exemptions.has_user("admin") && !own.exemptions.has_user("other"));
        assert!(own.exemptions.has_runtime_class(Some("vm")) && !own.exemptions.has_runtime_class(None));
        for (content, says) in [
            (
                json!({"defaults": {"audit": "hard"}}),
                "f: defaults.audit: Invalid value: \"hard\": must be one of privileged, baseline, restricted",
            ),
            (
                json!({"defaults": {"audit-version": "1.2"}}),
                "f: defaults.audit-version: Invalid value: \"1.2\": must be \"latest\" or \"v1.x\"",
            ),
            (json!({"exemptions": {"usernames": ["a", "a"]}}), "f: exemptions.usernames[1]: Duplicate value: \"a\""),
            (json!({"exemptions": {"usernames": [""]}}), "f: exemptions.usernames[0]: Required value"),
        ] {
            assert_eq!(read(content).unwrap_err(), says);
        }
    }
}

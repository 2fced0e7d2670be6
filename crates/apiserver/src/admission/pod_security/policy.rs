//! What a namespace asks of its pods: a level and a version for each of three modes, read from its labels.

use api::field::{FieldError, FieldPath};
use std::collections::BTreeMap;
use std::fmt;

const PREFIX: &str = "pod-security.kubernetes.io/";

/// The Pod Security Standards, the laxest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

/// The minor version of Kubernetes whose rules hold; `latest` is the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32);

impl Version {
    pub(super) const LATEST: Version = Version(u32::MAX);
}

/// A level as of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standard {
    pub(super) level: Level,
    pub(super) version: Version,
}

impl Default for Standard {
    fn default() -> Standard {
        Standard { level: Level::Privileged, version: Version::LATEST }
    }
}

impl fmt::Display for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.version {
            Version::LATEST => write!(f, "{level}:latest"),
            Version(minor) => write!(f, "{level}:v1.{minor}"),
        }
    }
}

/// What refuses, and what only warns. The third mode, `audit`, is read so that a wrong label is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: Standard,
    pub(super) warn: Standard,
    pub(super) audit: Standard,
}

impl Policy {
    /// What cannot be read counts as the strictest, so that a slip of the pen opens nothing.
    pub(super) fn of(labels: Option<&BTreeMap<String, String>>) -> (Policy, Vec<FieldError>) {
        let mut errors = Vec::new();
        let mut mode = |name: &str| Standard {
            level: level(labels, name, &mut errors),
            version: version(labels, name, &mut errors),
        };
        (Policy { enforce: mode("enforce"), audit: mode("audit"), warn: mode("warn") }, errors)
    }
}

fn label<'a>(labels: Option<&'a BTreeMap<String, String>>, key: &str) -> Option<&'a str> {
    labels?.get(key).map(String::as_str)
}

fn path(key: &str) -> FieldPath {
    FieldPath::new("metadata").child("labels").key(key)
}

fn level(labels: Option<&BTreeMap<String, String>>, mode: &str, errors: &mut Vec<FieldError>) -> Level {
    let key = format!("{PREFIX}{mode}");
    match label(labels, &key) {
        None | Some("privileged") => Level::Privileged,
        Some("baseline") => Level::Baseline,
        Some("restricted") => Level::Restricted,
        Some(other) => {
            let detail = "must be one of privileged, baseline, restricted";
            errors.push(FieldError::invalid(path(&key), other, detail));
            Level::Restricted
        }
    }
}

fn version(labels: Option<&BTreeMap<String, String>>, mode: &str, errors: &mut Vec<FieldError>) -> Version {
    let key = format!("{PREFIX}{mode}-version");
    let Some(text) = label(labels, &key).filter(|text| *text != "latest") else { return Version::LATEST };
    let minor = text.strip_prefix("v1.").filter(|minor| *minor == "0" || !minor.starts_with('0'));
    match minor.and_then(|minor| minor.parse().ok()) {
        Some(minor) => Version(minor),
        None => {
            let detail = "must be \"latest\" or \"v1.x\"";
            errors.push(FieldError::invalid(path(&key), text, detail));
            Version::LATEST
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[(&str, &str)], enforce: &str, wrong: &[&str]) {
        let labels = labels.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned())).collect();
        let (policy, errors) = Policy::of(Some(&labels));
        assert_eq!(policy.enforce.to_string(), enforce, "{labels:?}");
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), wrong, "{labels:?}");
    }

    #[test]
    fn labels_name_a_standard_and_what_is_misspelt_opens_nothing() {
        check(&[], "privileged:latest", &[]);
        check(&[("enforce", "baseline"), ("enforce-version", "v1.24")], "baseline:v1.24", &[]);
        check(&[("warn", "restricted")], "privileged:latest", &[]);
        check(
            &[("enforce", "strict")],
            "restricted:latest",
            &["metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": \
               must be one of privileged, baseline, restricted"],
        );
        check(
            &[("enforce", "baseline"), ("enforce-version", "1.24")],
            "baseline:latest",
            &["metadata.labels[pod-security.kubernetes.io/enforce-version]: Invalid value: \"1.24\": \
               must be \"latest\" or \"v1.x\""],
        );
    }
}

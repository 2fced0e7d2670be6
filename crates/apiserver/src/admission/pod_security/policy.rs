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

/// What refuses, what warns, and what is only noted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) enforce: Standard,
    pub(super) warn: Standard,
    pub(super) audit: Standard,
}

impl Policy {
    /// What labels say, and the defaults where they say nothing. What cannot be read counts as the strictest where
    /// pods are refused, so that a slip of the pen opens nothing, and as nothing where they are only spoken of.
    pub(super) fn of(labels: Option<&BTreeMap<String, String>>, defaults: Policy) -> (Policy, Vec<FieldError>) {
        let mut errors = Vec::new();
        let mut mode = |name: &str, default: Standard, misspelt: Level| {
            let level = said(labels, &format!("{PREFIX}{name}"), level_of, misspelt, &mut errors);
            let version = said(labels, &format!("{PREFIX}{name}-version"), version_of, Version::LATEST, &mut errors);
            (level, version, default)
        };
        let (enforce, audit, warn) = (
            mode("enforce", defaults.enforce, Level::Restricted),
            mode("audit", defaults.audit, Level::Privileged),
            mode("warn", defaults.warn, Level::Privileged),
        );
        let standard = |(level, version, default): (Option<Level>, Option<Version>, Standard)| Standard {
            level: level.unwrap_or(default.level),
            version: version.unwrap_or(default.version),
        };
        let mut policy = Policy { enforce: standard(enforce), audit: standard(audit), warn: standard(warn) };
        // What is refused is also warned of, in what makes pods, unless somebody says otherwise.
        if enforce.0.is_some() && warn.0.is_none() && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            policy.warn.version = warn.1.unwrap_or(policy.enforce.version);
        }
        (policy, errors)
    }

    pub(super) fn modes(&self) -> [(&'static str, Standard); 3] {
        [("enforce", self.enforce), ("audit", self.audit), ("warn", self.warn)]
    }
}

/// Whether a label speaks of a mode.
pub(super) fn is_said(labels: Option<&BTreeMap<String, String>>, mode: &str) -> bool {
    let has = |key: String| labels.is_some_and(|labels| labels.contains_key(&key));
    has(format!("{PREFIX}{mode}")) || has(format!("{PREFIX}{mode}-version"))
}

fn said<T>(
    labels: Option<&BTreeMap<String, String>>,
    key: &str,
    read: fn(&str) -> Result<T, &'static str>,
    misspelt: T,
    errors: &mut Vec<FieldError>,
) -> Option<T> {
    let text = labels?.get(key)?;
    Some(read(text).unwrap_or_else(|why| {
        errors.push(FieldError::invalid(FieldPath::new("metadata").child("labels").key(key), text, why));
        misspelt
    }))
}

/// # Errors
/// What it must be.
pub(super) fn level_of(text: &str) -> Result<Level, &'static str> {
    match text {
        "privileged" => Ok(Level::Privileged),
        "baseline" => Ok(Level::Baseline),
        "restricted" => Ok(Level::Restricted),
        _ => Err("must be one of privileged, baseline, restricted"),
    }
}

/// # Errors
/// What it must be.
pub(super) fn version_of(text: &str) -> Result<Version, &'static str> {
    if text == "latest" {
        return Ok(Version::LATEST);
    }
    let minor = text.strip_prefix("v1.").filter(|minor| *minor == "0" || !minor.starts_with('0'));
    let minor = minor.filter(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()));
    minor.and_then(|minor| minor.parse().ok()).map(Version).ok_or("must be \"latest\" or \"v1.x\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(labels: &[(&str, &str)], enforce: &str, wrong: &[&str]) {
        let labels = labels.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned())).collect();
        let (policy, errors) = Policy::of(Some(&labels), Policy::default());
        assert_eq!(policy.enforce.to_string(), enforce, "{labels:?}");
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), wrong, "{labels:?}");
    }

    #[test]
    fn what_labels_do_not_say_the_defaults_do() {
        let standard = |level, version| Standard { level, version };
        let defaults = Policy {
            enforce: standard(Level::Baseline, Version(24)),
            warn: standard(Level::Baseline, Version::LATEST),
            audit: standard(Level::Restricted, Version::LATEST),
        };
        let check = |labels: &[(&str, &str)], wanted: [&str; 3]| {
            let owned = labels.iter().map(|(key, value)| (format!("{PREFIX}{key}"), (*value).to_owned())).collect();
            let modes = Policy::of(Some(&owned), defaults).0.modes().map(|(_, standard)| standard.to_string());
            assert_eq!(modes, wanted, "{labels:?}");
        };
        check(&[], ["baseline:v1.24", "restricted:latest", "baseline:latest"]);
        check(&[("enforce", "privileged")], ["privileged:v1.24", "restricted:latest", "baseline:latest"]);
        // A stricter enforcement is warned of.
        check(&[("enforce", "restricted")], ["restricted:v1.24", "restricted:latest", "restricted:v1.24"]);
        check(
            &[("enforce", "restricted"), ("warn", "privileged")],
            ["restricted:v1.24", "restricted:latest", "privileged:latest"],
        );
        check(&[("warn", "wrong"), ("audit", "wrong")], ["baseline:v1.24", "privileged:latest", "privileged:latest"]);
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

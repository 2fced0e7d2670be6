//! Which rules of RBAC say what others say: rules taken apart to one verb on one thing each, and compared.

use serde_json::{Value, json};

const ALL: &str = "*";

/// One rule of a role, as lists of texts.
#[derive(Clone, Debug, Default)]
struct Rule {
    verbs: Vec<String>,
    groups: Vec<String>,
    resources: Vec<String>,
    names: Vec<String>,
    urls: Vec<String>,
}

/// The parts of `wanted` that no single rule of `present` allows.
pub(super) fn uncovered(present: &[Value], wanted: &[Value]) -> Vec<Value> {
    let owners: Vec<Rule> = present.iter().map(Rule::of).collect();
    let parts = wanted.iter().flat_map(|rule| Rule::of(rule).parts());
    parts.filter(|part| !owners.iter().any(|owner| owner.covers(part))).map(Rule::json).collect()
}

impl Rule {
    fn of(rule: &Value) -> Rule {
        let texts = |key: &str| {
            let list = rule[key].as_array().into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        Rule {
            verbs: texts("verbs"),
            groups: texts("apiGroups"),
            resources: texts("resources"),
            names: texts("resourceNames"),
            urls: texts("nonResourceURLs"),
        }
    }

    /// One verb on one resource or URL each.
    fn parts(&self) -> Vec<Rule> {
        let one = |text: &String| vec![text.clone()];
        // Without names a rule is of every name.
        let names: Vec<Vec<String>> =
            if self.names.is_empty() { vec![Vec::new()] } else { self.names.iter().map(one).collect() };
        let mut parts = Vec::new();
        for group in &self.groups {
            for resource in &self.resources {
                for verb in &self.verbs {
                    parts.extend(names.iter().map(|names| Rule {
                        verbs: one(verb),
                        groups: one(group),
                        resources: one(resource),
                        names: names.clone(),
                        urls: Vec::new(),
                    }));
                }
            }
        }
        for url in &self.urls {
            parts.extend(self.verbs.iter().map(|verb| Rule { verbs: one(verb), urls: one(url), ..Rule::default() }));
        }
        parts
    }

    fn covers(&self, part: &Rule) -> bool {
        let all = |own: &[String], other: &[String]| other.iter().all(|text| own.contains(text));
        let any_or_all = |own: &[String], other: &[String]| own.iter().any(|text| text == ALL) || all(own, other);
        // A rule of some names says nothing of the others.
        let names = if part.names.is_empty() {
            self.names.is_empty()
        } else {
            self.names.is_empty() || all(&self.names, &part.names)
        };
        any_or_all(&self.verbs, &part.verbs)
            && any_or_all(&self.groups, &part.groups)
            && part.resources.iter().all(|resource| self.has_resource(resource))
            && part.urls.iter().all(|url| self.has_url(url))
            && names
    }

    /// `*/scale` is the subresource of everything.
    fn has_resource(&self, wanted: &str) -> bool {
        let of_all = wanted.split_once('/').map(|(_, subresource)| format!("*/{subresource}"));
        self.resources.iter().any(|own| own == ALL || own == wanted || Some(own) == of_all.as_ref())
    }

    fn has_url(&self, wanted: &str) -> bool {
        self.urls.iter().any(|own| match own.strip_suffix('*') {
            Some(begin) => wanted.starts_with(begin.trim_end_matches('*')),
            None => own == wanted,
        })
    }

    fn json(self) -> Value {
        let mut rule = json!({});
        for (key, list) in [
            ("apiGroups", self.groups),
            ("nonResourceURLs", self.urls),
            ("resourceNames", self.names),
            ("resources", self.resources),
            ("verbs", self.verbs),
        ] {
            if !list.is_empty() {
                rule[key] = list.into();
            }
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(resources: &[&str], names: &[&str], verbs: &[&str]) -> Value {
        let mut rule = json!({"apiGroups": [""], "resources": resources, "verbs": verbs});
        if !names.is_empty() {
            rule["resourceNames"] = json!(names);
        }
        rule
    }

    #[test]
    fn what_no_rule_allows_is_uncovered() {
        let check = |present: &[Value], wanted: Value, expected: &[Value]| {
            assert_eq!(uncovered(present, std::slice::from_ref(&wanted)), expected, "{present:?} {wanted}");
        };
        let pods = |names: &[&str], verbs: &[&str]| rule(&["pods"], names, verbs);
        check(&[pods(&[], &["get"])], pods(&["a"], &["get"]), &[]);
        check(&[pods(&["a"], &["get"])], pods(&[], &["get"]), &[pods(&[], &["get"])]);
        check(&[pods(&["a"], &["get"])], pods(&["a", "b"], &["get"]), &[pods(&["b"], &["get"])]);
        check(&[pods(&[], &["get"])], pods(&[], &["get", "list"]), &[pods(&[], &["list"])]);
        check(&[pods(&[], &["get"]), pods(&[], &["list"])], pods(&[], &["get", "list"]), &[]);
        check(&[pods(&[], &["*"])], pods(&[], &["get", "list"]), &[]);
        check(&[rule(&["*/scale"], &[], &["get"])], rule(&["x/scale"], &[], &["get"]), &[]);
        check(
            &[rule(&["*/scale"], &[], &["get"])],
            rule(&["x/log"], &[], &["get"]),
            &[rule(&["x/log"], &[], &["get"])],
        );
        let url = |url: &str| json!({"nonResourceURLs": [url], "verbs": ["get"]});
        check(&[url("/logs/*")], url("/logs/a"), &[]);
        check(&[url("/logs/a")], url("/logs/*"), &[url("/logs/*")]);
    }
}

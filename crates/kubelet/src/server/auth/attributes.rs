//! What a request to the node asks for, in the API server's terms: a verb on a subresource of `nodes`.

use http::Method;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::server) struct Attributes {
    pub(super) verb: &'static str,
    /// Each of which is enough.
    pub(super) subresources: &'static [&'static str],
}

/// First parts of paths, and what they need. All else is `proxy`, which stands for the node's whole API.
const SUBRESOURCES: &[(&str, &[&str])] = &[
    ("stats", &["stats"]),
    ("metrics", &["metrics"]),
    ("logs", &["log"]),
    ("spec", &["spec"]),
    ("checkpoint", &["checkpoint"]),
    ("healthz", &["healthz", "proxy"]),
    ("configz", &["configz", "proxy"]),
    ("pods", &["pods", "proxy"]),
    ("runningpods", &["pods", "proxy"]),
];

impl Attributes {
    pub(super) fn of(method: &Method, path: &str) -> Attributes {
        let verb = match method.as_str() {
            "POST" => "create",
            "GET" | "HEAD" => "get",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        };
        let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        let found = SUBRESOURCES.iter().find(|(part, _)| *part == first);
        Attributes { verb, subresources: found.map_or(&["proxy"], |(_, subresources)| subresources) }
    }
}

impl fmt::Display for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verb={}, resource=nodes, subresource(s)=[{}]", self.verb, self.subresources.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_subresources() {
        let check = |method: Method, path: &str| Attributes::of(&method, path).to_string();
        for (path, subresources) in [
            ("/metrics", "[metrics]"),
            ("/metrics/cadvisor", "[metrics]"),
            ("/metricsx", "[proxy]"),
            ("/stats/summary", "[stats]"),
            ("/pods", "[pods proxy]"),
            ("/healthz", "[healthz proxy]"),
            ("/containerLogs/a/b/c", "[proxy]"),
        ] {
            assert_eq!(check(Method::GET, path), format!("verb=get, resource=nodes, subresource(s)={subresources}"));
        }
        assert!(check(Method::DELETE, "/").starts_with("verb=delete, "));
    }
}

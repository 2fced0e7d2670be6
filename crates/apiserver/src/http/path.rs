//! What a request is about, read from its method and path as upstream reads them.

use std::borrow::Cow;

/// A request's subject and verb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestInfo<'a> {
    /// `get`, `list`, `watch`, …; for other paths the HTTP method in lower case.
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) version: &'a str,
    /// Plural; empty where `is_resource` is false.
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// What follows the subresource, for `proxy`.
    pub(crate) rest: &'a str,
    pub(crate) path: &'a str,
    pub(crate) is_resource: bool,
}

impl<'a> RequestInfo<'a> {
    /// `watches` tells whether the query asks to watch.
    pub(crate) fn parse(method: &http::Method, path: &'a str, watches: bool) -> RequestInfo<'a> {
        let other = RequestInfo { verb: lower(method), path, ..RequestInfo::default() };
        let mut parts = path.trim_matches('/').splitn(9, '/');
        let group = match parts.next() {
            Some("api") => "",
            Some("apis") => match parts.next() {
                Some(group) => group,
                None => return other,
            },
            _ => return other,
        };
        let (Some(version), Some(first)) = (parts.next(), parts.next()) else { return other };
        let mut rest: Vec<&str> = std::iter::once(first).chain(parts).collect();
        let mut info = RequestInfo { group, version, path, is_resource: true, ..RequestInfo::default() };
        let old_watch = rest.len() > 1 && rest[0] == "watch";
        if old_watch {
            rest.remove(0);
        }
        if rest[0] == "namespaces" && rest.len() > 1 {
            info.namespace = rest[1];
            if rest.len() > 2 && !matches!(rest[2], "status" | "finalize") {
                rest.drain(..2);
            }
        }
        let at = |index: usize| rest.get(index).copied().unwrap_or_default();
        (info.resource, info.name, info.subresource) = (at(0), at(1), at(2));
        info.rest = rest_of(path, at(3));
        info.verb = verb(method, info.name.is_empty(), watches || old_watch);
        if info.subresource == "proxy" && info.verb == "head" {
            // What is behind the proxy decides what HEAD means; who may ask is who may GET.
            info.verb = "get";
        }
        info
    }
}

/// The path from the segment `from` on; both are parts of the same text.
fn rest_of<'a>(path: &'a str, from: &'a str) -> &'a str {
    if from.is_empty() {
        return "";
    }
    let start = from.as_ptr() as usize - path.as_ptr() as usize;
    path.get(start..).unwrap_or_default()
}

fn lower(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "get",
        "POST" => "post",
        "PUT" => "put",
        "PATCH" => "patch",
        "DELETE" => "delete",
        "HEAD" => "head",
        "OPTIONS" => "options",
        _ => "",
    }
}

fn verb(method: &http::Method, collection: bool, watches: bool) -> &'static str {
    match (method.as_str(), collection) {
        ("GET", _) if watches => "watch",
        ("GET", true) => "list",
        ("GET", false) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        ("HEAD", _) => "head",
        ("OPTIONS", _) => "options",
        _ => "",
    }
}

/// A path or query text without its percent escapes; what is no valid escape or no UTF-8 stays as it is.
pub(crate) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escape = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8(plain).map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, path: &str) -> String {
        let method = http::Method::from_bytes(method.as_bytes()).unwrap();
        let info = RequestInfo::parse(&method, path, false);
        if !info.is_resource {
            return format!("{} {}", info.verb, info.path);
        }
        let RequestInfo { verb, group, version, resource, subresource, namespace, name, rest, .. } = info;
        format!("{verb} {group}/{version} {resource}/{subresource} {namespace}/{name} {rest}")
    }

    #[test]
    fn paths_read_as_upstream_reads_them() {
        for (method, path, read) in [
            ("GET", "/version", "get /version"),
            ("GET", "/api/v1", "get /api/v1"),
            ("GET", "/apis/apps/v1", "get /apis/apps/v1"),
            ("GET", "/apis", "get /apis"),
            ("GET", "/api/v1/pods", "list /v1 pods/ / "),
            ("GET", "/api/v1/watch/pods", "watch /v1 pods/ / "),
            ("GET", "/api/v1/namespaces", "list /v1 namespaces/ / "),
            ("GET", "/api/v1/namespaces/a", "get /v1 namespaces/ a/a "),
            ("PUT", "/api/v1/namespaces/a/finalize", "update /v1 namespaces/finalize a/a "),
            ("PUT", "/api/v1/namespaces/a/status", "update /v1 namespaces/status a/a "),
            ("DELETE", "/api/v1/namespaces/a/pods", "deletecollection /v1 pods/ a/ "),
            ("POST", "/api/v1/namespaces/a/pods/p/exec", "create /v1 pods/exec a/p "),
            ("PATCH", "/apis/apps/v1/namespaces/a/deployments/d/scale", "patch apps/v1 deployments/scale a/d "),
            (
                "GET",
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/x",
                "get rbac.authorization.k8s.io/v1 clusterroles/ /x ",
            ),
            ("GET", "/api/v1/nodes/n/proxy/a/b/c/d/e/f", "get /v1 nodes/proxy /n a/b/c/d/e/f"),
            ("GET", "/api/v1/namespaces/a/services/s/proxy/x/y", "get /v1 services/proxy a/s x/y"),
        ] {
            assert_eq!(check(method, path), read, "{method} {path}");
        }
    }

    #[test]
    fn escapes_are_undone_where_they_are_valid() {
        for (text, plain) in [("a%3Ab", "a:b"), ("a%zz", "a%zz"), ("100%", "100%"), ("%ff", "%ff"), ("%C3%A9", "é")] {
            assert_eq!(unescape(text), plain);
        }
    }
}

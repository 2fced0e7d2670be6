//! The server's paths, as upstream's kubelet has them.

use crate::running::UsagePage;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Healthz,
    Pods,
    Metrics,
    Probes,
    Usage(UsagePage),
    /// Not upstream's: lines of all containers' logs. Below `/logs`, which is read with `nodes/log`, as that has always
    /// let read the files of all containers' logs.
    Search,
    Logs {
        namespace: String,
        pod: String,
        container: String,
    },
    Exec {
        namespace: String,
        pod: String,
        container: String,
    },
    Attach {
        namespace: String,
        pod: String,
        container: String,
    },
    PortForward {
        namespace: String,
        pod: String,
    },
}

impl Route {
    /// The uid that some callers put between pod and container is passed over: a name means the pod that has it now.
    pub(super) fn parse(path: &str) -> Option<Route> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let own = |text: &str| text.to_owned();
        Some(match *parts.as_slice() {
            ["healthz"] => Route::Healthz,
            ["pods"] => Route::Pods,
            ["metrics"] => Route::Metrics,
            ["metrics", "probes"] => Route::Probes,
            ["stats", "summary"] => Route::Usage(UsagePage::Summary),
            ["metrics", "resource"] => Route::Usage(UsagePage::Resource),
            ["logs", "search"] => Route::Search,
            ["metrics", "cadvisor"] => Route::Usage(UsagePage::Cadvisor),
            ["containerLogs", namespace, pod, container] => {
                Route::Logs { namespace: own(namespace), pod: own(pod), container: own(container) }
            }
            ["exec", namespace, pod, container] | ["exec", namespace, pod, _, container] => {
                Route::Exec { namespace: own(namespace), pod: own(pod), container: own(container) }
            }
            ["attach", namespace, pod, container] | ["attach", namespace, pod, _, container] => {
                Route::Attach { namespace: own(namespace), pod: own(pod), container: own(container) }
            }
            ["portForward", namespace, pod] | ["portForward", namespace, pod, _] => {
                Route::PortForward { namespace: own(namespace), pod: own(pod) }
            }
            _ => return None,
        })
    }
}

/// All parameters of a query, decoded, in order.
pub(super) fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// Values of a query's parameter, decoded, in order.
pub(super) fn values(query: &str, name: &str) -> Vec<String> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(key, _)| decoded(key) == name).map(|(_, value)| decoded(value)).collect()
}

pub(super) fn value(query: &str, name: &str) -> Option<String> {
    values(query, name).into_iter().next().filter(|value| !value.is_empty())
}

/// Go's idea of a true parameter.
pub(super) fn flag(query: &str, name: &str) -> bool {
    matches!(value(query, name).as_deref(), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = (*first == b'%').then(|| tail.get(..2)).flatten().and_then(|hex| std::str::from_utf8(hex).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(if *first == b'+' { b' ' } else { *first });
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_what_is_asked() {
        let exec = Route::Exec { namespace: "a".into(), pod: "b".into(), container: "c".into() };
        assert_eq!(Route::parse("/exec/a/b/c"), Some(exec.clone()));
        assert_eq!(Route::parse("/exec/a/b/uid/c"), Some(exec));
        assert_eq!(
            Route::parse("/portForward/a/b"),
            Some(Route::PortForward { namespace: "a".into(), pod: "b".into() })
        );
        assert_eq!(Route::parse("/healthz/"), Some(Route::Healthz));
        assert_eq!(Route::parse("/metrics"), Some(Route::Metrics));
        assert_eq!(Route::parse("/metrics/probes"), Some(Route::Probes));
        assert_eq!(Route::parse("/logs/search"), Some(Route::Search));
        assert_eq!(Route::parse("/metrics/cadvisor"), Some(Route::Usage(UsagePage::Cadvisor)));
        for path in ["/", "/run/a/b/c", "/containerLogs/a/b", "/exec/a/b"] {
            assert_eq!(Route::parse(path), None, "{path}");
        }
    }

    #[test]
    fn queries_are_decoded() {
        let query = "command=sh&command=-c&command=echo+%22a%26b%22&tty=true&tailLines=";
        assert_eq!(values(query, "command"), ["sh", "-c", "echo \"a&b\""]);
        assert!(flag(query, "tty") && !flag(query, "stdin"));
        assert_eq!(value(query, "tailLines"), None);
    }
}

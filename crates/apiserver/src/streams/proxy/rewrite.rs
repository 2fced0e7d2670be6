//! Addresses of a backend, as they read from outside: below the proxy's path.

/// How to.
#[derive(Clone, Debug)]
pub(super) struct Rewrite {
    /// The proxy's path, without a slash at its end.
    pub(super) prefix: String,
    /// `HOST:PORT` as the backend is reached.
    pub(super) backend: String,
}

impl Rewrite {
    /// An address on another host, a relative one, and one that is below the proxy already stay as they are.
    pub(super) fn url(&self, url: &str) -> String {
        let rest = match url.split_once("://") {
            Some(("http" | "https", rest)) => rest,
            Some(_) => return url.to_owned(),
            None => match url.strip_prefix("//") {
                Some(rest) => rest,
                None if url.starts_with('/') => return self.path(url),
                None => return url.to_owned(),
            },
        };
        let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if host == self.backend && path.starts_with('/') { self.path(path) } else { url.to_owned() }
    }

    fn path(&self, path: &str) -> String {
        if path.starts_with(&self.prefix) { path.to_owned() } else { format!("{}{path}", self.prefix) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_backends_own_addresses_change() {
        let rewrite = Rewrite { prefix: "/api/v1/x/proxy".into(), backend: "10.42.0.5:80".into() };
        for (url, wanted) in [
            ("/a?b=c#d", "/api/v1/x/proxy/a?b=c#d"),
            ("/", "/api/v1/x/proxy/"),
            ("http://10.42.0.5:80/a", "/api/v1/x/proxy/a"),
            ("//10.42.0.5:80/a", "/api/v1/x/proxy/a"),
            ("http://elsewhere/a", "http://elsewhere/a"),
            ("/api/v1/x/proxy/a", "/api/v1/x/proxy/a"),
            ("a/b", "a/b"),
            ("mailto://x", "mailto://x"),
            ("#top", "#top"),
        ] {
            assert_eq!(rewrite.url(url), wanted, "{url}");
        }
    }
}

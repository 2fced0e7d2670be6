//! Which headers pass the proxy.

use http::{HeaderMap, HeaderName, header};

/// About one connection, not about the request.
const HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Between the client and this server. `expect` was answered here.
const OURS: &[&str] = &["authorization", "expect", "host"];

/// Who asks, and as whom, is for this server alone.
fn tells_on(name: &str) -> bool {
    name.starts_with("impersonate-") || name.starts_with("x-remote-")
}

/// A backend must not open this server's origin to pages from elsewhere.
const CROSS_ORIGIN: &[&str] = &[
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
];

/// Headers that `connection` names are about the connection too.
fn named(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect()
}

pub(crate) fn asks_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(header::UPGRADE) && named(headers).iter().any(|name| name == "upgrade")
}

fn copy(from: &HeaderMap, to: &mut HeaderMap, upgrade: bool, wanted: impl Fn(&HeaderName) -> bool) {
    let named = named(from);
    for (name, value) in from {
        let hop = HOP.contains(&name.as_str()) || named.iter().any(|own| own == name.as_str());
        let upgrades = upgrade && matches!(*name, header::CONNECTION | header::UPGRADE);
        if (!hop || upgrades) && wanted(name) {
            to.append(name.clone(), value.clone());
        }
    }
}

pub(crate) fn hand_on(from: &HeaderMap, to: &mut HeaderMap, upgrade: bool) {
    copy(from, to, upgrade, |name| !OURS.contains(&name.as_str()) && !tells_on(name.as_str()));
}

pub(crate) fn hand_back(from: &HeaderMap, to: &mut HeaderMap, upgrade: bool) {
    copy(from, to, upgrade, |name| !CROSS_ORIGIN.contains(&name.as_str()));
}

/// A page whose links can be read.
pub(super) fn is_plain_html(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().trim();
    let kind = text(header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/html") && text(header::CONTENT_ENCODING).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_the_backends_passes() {
        let mut from = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("impersonate-user", "root"),
            ("x-remote-group", "system:masters"),
            ("connection", "upgrade, x-hop"),
            ("upgrade", "websocket"),
            ("x-hop", "1"),
            ("cookie", "a=b"),
            ("x-own", "kept"),
        ] {
            from.insert(name, value.parse().unwrap());
        }
        let check = |upgrade: bool| {
            let mut to = HeaderMap::new();
            hand_on(&from, &mut to, upgrade);
            let mut names: Vec<_> = to.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(check(false), "cookie x-own");
        assert_eq!(check(true), "connection cookie upgrade x-own");
    }
}

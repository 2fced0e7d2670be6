//! Where a request comes from: what proxies say, and who is connected.

use http::HeaderMap;
use std::net::IpAddr;

/// `X-Forwarded-For`, `X-Real-Ip`, and the peer, who alone cannot be made up.
pub(super) fn addresses(headers: &HeaderMap, peer: Option<IpAddr>) -> Vec<String> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut all: Vec<IpAddr> = text("x-forwarded-for").split(',').filter_map(|part| part.trim().parse().ok()).collect();
    let real = text("x-real-ip").trim().parse().ok();
    all.extend(real.filter(|real| !all.contains(real)));
    let peer = peer.map(|peer| peer.to_canonical());
    all.extend(peer.filter(|peer| all.last() != Some(peer)));
    all.iter().map(ToString::to_string).collect()
}

/// What was tried by a request that did not prove who sent it.
pub(super) fn attempts(headers: &HeaderMap, query: &str, has_certificate: bool) -> String {
    let credentials =
        headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scheme = credentials.trim().split_once(' ').map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default();
    let in_query = query.split('&').any(|pair| pair.starts_with("access_token=") && pair.len() > "access_token=".len());
    let tried = [
        (scheme == "basic", "basic"),
        (scheme == "bearer", "bearer"),
        (in_query, "access_token"),
        (has_certificate, "x509"),
    ];
    let tried: Vec<&str> = tried.into_iter().filter_map(|(was, name)| was.then_some(name)).collect();
    if tried.is_empty() {
        return "Authentication failed, no credentials provided".to_owned();
    }
    format!("Authentication failed, attempted: {}", tried.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse::<http::HeaderName>().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_peer_is_last_and_said_once() {
        let peer = Some("192.0.2.9".parse().unwrap());
        for (pairs, wanted) in [
            (&[][..], &["192.0.2.9"][..]),
            (&[("x-forwarded-for", "192.0.2.1, nonsense,::1")], &["192.0.2.1", "::1", "192.0.2.9"]),
            (&[("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "192.0.2.2")], &["192.0.2.1", "192.0.2.2", "192.0.2.9"]),
            (&[("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "192.0.2.1")], &["192.0.2.1", "192.0.2.9"]),
            (&[("x-real-ip", "192.0.2.9")], &["192.0.2.9"]),
        ] {
            assert_eq!(addresses(&headers(pairs), peer), wanted, "{pairs:?}");
        }
        assert_eq!(addresses(&headers(&[]), Some("::ffff:192.0.2.9".parse().unwrap())), ["192.0.2.9"]);
    }

    #[test]
    fn what_was_tried_is_told_without_the_credentials() {
        let check = |authorization: &str, query: &str, certificate| {
            let headers =
                if authorization.is_empty() { HeaderMap::new() } else { headers(&[("authorization", authorization)]) };
            attempts(&headers, query, certificate)
        };
        assert_eq!(check("", "", false), "Authentication failed, no credentials provided");
        assert_eq!(check("Bearer secret", "", false), "Authentication failed, attempted: bearer");
        assert_eq!(
            check("Basic eDp5", "access_token=t", true),
            "Authentication failed, attempted: basic, access_token, x509"
        );
    }
}

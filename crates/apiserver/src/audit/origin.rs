//! Where a request comes from, as events say it: a connection, or a component of this process.

use super::source;
use crate::stack::Peer;
use http::{HeaderMap, HeaderValue, header, request};
use std::net::{IpAddr, Ipv4Addr};

const AGENT_BYTES_MAX: usize = 1024;

pub(crate) enum Origin<'a> {
    Connection {
        parts: &'a request::Parts,
        peer: &'a Peer,
    },
    /// Its path and query are made only where somebody is told them.
    Inside {
        agent: &'a str,
        uri: &'a (dyn Fn() -> String + Sync),
    },
}

impl Origin<'_> {
    pub(super) fn uri(&self) -> String {
        match self {
            Origin::Connection { parts, .. } => {
                parts.uri.path_and_query().map_or_else(String::new, |path| path.as_str().to_owned())
            }
            Origin::Inside { uri, .. } => uri(),
        }
    }

    pub(super) fn agent(&self) -> String {
        match self {
            Origin::Connection { parts, .. } => cut(text(&parts.headers, header::USER_AGENT)),
            Origin::Inside { agent, .. } => cut(agent),
        }
    }

    pub(super) fn addresses(&self) -> Vec<String> {
        match self {
            Origin::Connection { parts, peer } => source::addresses(&parts.headers, Some(peer.address)),
            Origin::Inside { .. } => vec![IpAddr::V4(Ipv4Addr::LOCALHOST).to_string()],
        }
    }

    /// What was tried by somebody who is not known.
    pub(super) fn attempts(&self) -> String {
        match self {
            Origin::Connection { parts, peer } => {
                let query = parts.uri.query().unwrap_or_default();
                source::attempts(&parts.headers, query, !peer.certificates.is_empty())
            }
            Origin::Inside { .. } => String::new(),
        }
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default()
}

fn cut(agent: &str) -> String {
    match agent.get(..AGENT_BYTES_MAX) {
        Some(begin) if agent.len() > AGENT_BYTES_MAX => format!("{begin}...TRUNCATED"),
        _ => agent.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_agents_are_cut() {
        assert_eq!(cut("kubectl"), "kubectl");
        let long = "a".repeat(AGENT_BYTES_MAX + 1);
        assert_eq!(cut(&long), format!("{}...TRUNCATED", &long[1..]));
    }
}

//! What a client wants its connection to become.

use super::Refused;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderValue};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A protocol inside a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    /// Empty for who names none.
    pub(super) name: &'static str,
    pub(super) framing: Framing,
}

/// How messages are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Every message begins with its channel's number.
    Channels(Coding),
    /// A SPDY connection's bytes, cut anyhow.
    Tunnel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    /// In base64, for clients that have only text.
    pub(super) text: bool,
    /// The client can end a channel.
    pub(super) closes: bool,
    /// The end is told as a `metav1.Status`; before, in words.
    pub(super) status: bool,
}

const fn protocol(name: &'static str, text: bool, closes: bool, status: bool) -> Protocol {
    Protocol { name, framing: Framing::Channels(Coding { text, closes, status }) }
}

/// Of exec and attach, by preference; the last is for who names none.
pub(super) const COMMAND_PROTOCOLS: &[Protocol] = &[
    protocol("v5.channel.k8s.io", false, true, true),
    protocol("v4.channel.k8s.io", false, false, true),
    protocol("v4.base64.channel.k8s.io", true, false, true),
    protocol("channel.k8s.io", false, false, false),
    protocol("base64.channel.k8s.io", true, false, false),
    protocol("", false, false, false),
];

/// Of port-forward.
pub(super) const PORT_PROTOCOLS: &[Protocol] = &[
    Protocol { name: "SPDY/3.1+portforward.k8s.io", framing: Framing::Tunnel },
    protocol("v4.channel.k8s.io", false, false, false),
    protocol("v4.base64.channel.k8s.io", true, false, false),
    protocol("portforward.k8s.io", false, false, false),
    protocol("", false, false, false),
];

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// What is inside is between the client and the runtime.
    Spdy,
    WebSocket {
        key: String,
        protocol: Protocol,
    },
}

impl Upgrade {
    pub(super) fn of(headers: &HeaderMap, known: &'static [Protocol]) -> Result<Upgrade, Refused> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let upgrade = text(UPGRADE);
        if upgrade.eq_ignore_ascii_case("SPDY/3.1") {
            return Ok(Upgrade::Spdy);
        }
        let key = text(SEC_WEBSOCKET_KEY);
        if !upgrade.eq_ignore_ascii_case("websocket") || key.is_empty() {
            return Err((400, "Upgrade request required".to_owned()));
        }
        let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
        let mut offered: Vec<&str> = values.flat_map(|value| value.split(',').map(str::trim)).collect();
        if offered.is_empty() {
            offered.push("");
        }
        let chosen = known.iter().find(|protocol| offered.contains(&protocol.name));
        let protocol = *chosen.ok_or_else(|| {
            let names: Vec<&str> = known.iter().map(|protocol| protocol.name).filter(|name| !name.is_empty()).collect();
            (403, format!("unable to negotiate protocol: client supports {offered:?}, server accepts {names:?}"))
        })?;
        Ok(Upgrade::WebSocket { key: key.to_owned(), protocol })
    }
}

/// The headers that accept a WebSocket.
pub(super) fn accepted(key: &str, protocol: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept.expect("base64 is printable"));
    if !protocol.is_empty() {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(known: &'static [Protocol], pairs: &[(&'static str, &str)]) -> Result<&'static str, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        match Upgrade::of(&headers, known) {
            Ok(Upgrade::Spdy) => Ok("SPDY"),
            Ok(Upgrade::WebSocket { protocol, .. }) => Ok(protocol.name),
            Err((code, _)) => Err(code),
        }
    }

    #[test]
    fn protocols_are_chosen_or_refused() {
        let socket = [("upgrade", "WebSocket"), ("sec-websocket-key", "x")];
        let with = |known, protocols| check(known, &[socket[0], socket[1], ("sec-websocket-protocol", protocols)]);
        assert_eq!(with(COMMAND_PROTOCOLS, "v4.channel.k8s.io, v5.channel.k8s.io"), Ok("v5.channel.k8s.io"));
        assert_eq!(with(COMMAND_PROTOCOLS, "base64.channel.k8s.io"), Ok("base64.channel.k8s.io"));
        assert_eq!(with(COMMAND_PROTOCOLS, "SPDY/3.1+portforward.k8s.io"), Err(403));
        assert_eq!(with(PORT_PROTOCOLS, "SPDY/3.1+portforward.k8s.io"), Ok("SPDY/3.1+portforward.k8s.io"));
        assert_eq!(check(COMMAND_PROTOCOLS, &socket), Ok(""));
        assert_eq!(check(PORT_PROTOCOLS, &[("upgrade", "SPDY/3.1")]), Ok("SPDY"));
        assert_eq!(check(PORT_PROTOCOLS, &socket[..1]), Err(400));
        assert_eq!(check(PORT_PROTOCOLS, &[]), Err(400));
    }
}

//! Where a request carries a bearer token: the Authorization header, or a WebSocket's protocols (browsers cannot set
//! headers there).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};

const PROTOCOL_PREFIX: &str = "base64url.bearer.authorization.k8s.io.";

/// What a request shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presented {
    Nothing,
    /// Credentials of a scheme that is not accepted, or that cannot be read.
    Unknown,
    Token(String),
}

pub(crate) fn token(headers: &HeaderMap) -> Presented {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let Ok(value) = value.to_str() else { return Presented::Unknown };
        return match value.trim().split_once(' ') {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => {
                Presented::Token(token.trim().to_owned())
            }
            _ => Presented::Unknown,
        };
    }
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|line| line.to_str().ok());
    let mut tokens = lines.flat_map(|line| line.split(',')).filter_map(|one| one.trim().strip_prefix(PROTOCOL_PREFIX));
    let Some(encoded) = tokens.next() else { return Presented::Nothing };
    let decoded = URL_SAFE_NO_PAD.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.filter(|token| !token.is_empty()).map_or(Presented::Unknown, Presented::Token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_tokens_and_tells_garbage_from_nothing() {
        let token = |text: &str| Presented::Token(text.to_owned());
        let table = [
            (None, Presented::Nothing),
            (Some(("authorization", "Bearer abc")), token("abc")),
            (Some(("authorization", "bearer  abc ")), token("abc")),
            (Some(("authorization", "Bearer ")), Presented::Unknown),
            (Some(("authorization", "Basic YTpi")), Presented::Unknown),
            (Some(("authorization", "")), Presented::Unknown),
            (Some(("sec-websocket-protocol", "v5.channel.k8s.io")), Presented::Nothing),
            (
                Some(("sec-websocket-protocol", "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj")),
                token("abc"),
            ),
            (Some(("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.%%")), Presented::Unknown),
        ];
        for (header, wanted) in table {
            let mut headers = HeaderMap::new();
            if let Some((name, value)) = header {
                headers.insert(name, value.parse().unwrap());
            }
            assert_eq!(super::token(&headers), wanted, "{header:?}");
        }
    }
}

//! Who asks: the answer to a registry's `WWW-Authenticate`.
//!
//! Pure: what to send where is decided here, sending is the transport's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue};
use serde::Deserialize;

use crate::image::Credentials;

/// One challenge of a `WWW-Authenticate` header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case: `bearer`, `basic`.
    pub(super) scheme: String,
    parameters: Vec<(String, String)>,
}

/// A request for a token, as the challenge and the credentials want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TokenRequest {
    pub(super) url: String,
    /// Sent as a form by POST if there is one, else by GET.
    pub(super) form: Option<String>,
    pub(super) authorization: Option<HeaderValue>,
}

/// What a token server answers; older ones say `token`, OAuth 2 says `access_token`.
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl TokenAnswer {
    /// The header that shows the token.
    pub(super) fn authorization(self) -> Option<HeaderValue> {
        let token = self.token.filter(|token| !token.is_empty()).or(self.access_token)?;
        bearer(&token)
    }
}

impl Challenge {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// How to get a token that pulls from `repository`; `None` without a realm.
    pub(super) fn token_request(&self, repository: &str, credentials: Option<&Credentials>) -> Option<TokenRequest> {
        let realm = self.parameter("realm")?;
        let default_scope = format!("repository:{repository}:pull");
        let scope = self.parameter("scope").unwrap_or(&default_scope);
        let mut query: Vec<(&str, &str)> = Vec::new();
        if let Some(service) = self.parameter("service") {
            query.push(("service", service));
        }
        query.push(("scope", scope));
        let refresh = credentials.map(|known| known.identity_token.as_str()).filter(|token| !token.is_empty());
        if let Some(refresh) = refresh {
            query.extend([("grant_type", "refresh_token"), ("client_id", "sampan"), ("refresh_token", refresh)]);
            return Some(TokenRequest { url: realm.to_owned(), form: Some(encode(&query)), authorization: None });
        }
        let separator = if realm.contains('?') { '&' } else { '?' };
        Some(TokenRequest {
            url: format!("{realm}{separator}{}", encode(&query)),
            form: None,
            authorization: credentials.and_then(basic),
        })
    }
}

/// The header for name and password, if there are any.
pub(super) fn basic(credentials: &Credentials) -> Option<HeaderValue> {
    if credentials.username.is_empty() {
        return None;
    }
    let pair = STANDARD.encode(format!("{}:{}", credentials.username, credentials.password));
    sensitive(&format!("Basic {pair}"))
}

/// The header for a token.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    if token.is_empty() { None } else { sensitive(&format!("Bearer {token}")) }
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// All challenges, in order; what cannot be read is left out.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut all = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE) {
        if let Ok(text) = value.to_str() {
            parse(text, &mut all);
        }
    }
    all
}

/// RFC 9110's list: `Scheme key="value", key=value, Scheme …`.
fn parse(mut text: &str, all: &mut Vec<Challenge>) {
    loop {
        text = text.trim_start_matches([' ', ',', '\t']);
        let word_end = text.find([' ', '=', ',', '\t']).unwrap_or(text.len());
        let (word, rest) = text.split_at(word_end);
        if word.is_empty() {
            return;
        }
        let after = rest.trim_start();
        if let Some(value_text) = after.strip_prefix('=') {
            let (value, rest) = parameter_value(value_text.trim_start());
            if let Some(challenge) = all.last_mut() {
                challenge.parameters.push((word.to_ascii_lowercase(), value));
            }
            text = rest;
        } else {
            all.push(Challenge { scheme: word.to_ascii_lowercase(), parameters: Vec::new() });
            text = rest;
        }
    }
}

fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[index + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

fn encode(pairs: &[(&str, &str)]) -> String {
    let encoded: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={}", percent(value))).collect();
    encoded.join("&")
}

fn percent(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Challenge {
        let mut all = Vec::new();
        parse(text, &mut all);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn reads_challenges() {
        let mut all = Vec::new();
        parse(
            r#"Basic realm="a \"b\", c", Bearer realm="https://t/x",service=reg , scope="repository:a/b:pull,push""#,
            &mut all,
        );
        assert_eq!(all.iter().map(|c| c.scheme.as_str()).collect::<Vec<_>>(), ["basic", "bearer"]);
        assert_eq!(all[0].parameter("realm"), Some(r#"a "b", c"#));
        assert_eq!(all[1].parameter("service"), Some("reg"));
        assert_eq!(all[1].parameter("scope"), Some("repository:a/b:pull,push"));
        parse(r#"Bearer realm="unterminated"#, &mut all);
        assert_eq!(all[2].parameter("realm"), Some("unterminated"));
    }

    #[test]
    fn asks_for_a_token_as_the_challenge_says() {
        let challenge = one(r#"Bearer realm="https://auth.example/token",service="my registry""#);
        let anonymous = challenge.token_request("a/b", None).unwrap();
        assert_eq!(anonymous.url, "https://auth.example/token?service=my%20registry&scope=repository%3Aa%2Fb%3Apull");
        assert_eq!((anonymous.form, anonymous.authorization), (None, None));
        let user = Credentials { username: "u".into(), password: "p".into(), ..Credentials::default() };
        let named = challenge.token_request("a/b", Some(&user)).unwrap();
        assert_eq!(named.authorization.unwrap(), "Basic dTpw");
        let refresh = Credentials { identity_token: "r+t".into(), ..Credentials::default() };
        let form = challenge.token_request("a/b", Some(&refresh)).unwrap().form.unwrap();
        assert!(form.contains("grant_type=refresh_token") && form.contains("refresh_token=r%2Bt"), "{form}");
        assert_eq!(one("Bearer service=x").token_request("a", None), None);
    }
}

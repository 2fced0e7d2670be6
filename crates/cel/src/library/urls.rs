//! URLs, read as upstream's standard library reads them: escapes are checked, hosts are kept as written.

use super::{NO_OVERLOAD, Result, bool, text};
use crate::error::EvalError;
use crate::functions::Row;
use crate::value::{Key, Map, Opaque, Text, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const ROWS: &[Row] = &[
    ("url", "string_to_url", "(string) URL", to_url),
    ("isURL", "is_url_string", "(string) bool", is_url),
    ("getScheme", "url_get_scheme", "URL.() string", scheme),
    ("getHost", "url_get_host", "URL.() string", host),
    ("getHostname", "url_get_hostname", "URL.() string", hostname),
    ("getPort", "url_get_port", "URL.() string", port),
    ("getEscapedPath", "url_get_escaped_path", "URL.() string", escaped_path),
    ("getQuery", "url_get_query", "URL.() map(string, list(string))", query),
];

/// The parts of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    scheme: String,
    user: String,
    host: String,
    path: String,
    query: String,
    fragment: String,
}

impl Url {
    /// An absolute URL, or an absolute path.
    pub(crate) fn parse(source: &str) -> std::result::Result<Url, String> {
        let wrong = |why: &str| format!("parse {source:?}: {why}");
        if source.is_empty() {
            return Err(wrong("empty url"));
        }
        if source.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(wrong("net/url: invalid control character in URL"));
        }
        let (whole, fragment) = source.split_once('#').unwrap_or((source, ""));
        let (scheme, rest) = split_scheme(whole).map_err(wrong)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !rest.starts_with('/') {
            if scheme.is_empty() {
                return Err(wrong("invalid URI for request"));
            }
            // `mailto:someone`: no path.
            let (user, host) = (String::new(), String::new());
            return Ok(Url { scheme, user, host, path: String::new(), query: query.into(), fragment: fragment.into() });
        }
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) if !scheme.is_empty() || !rest.starts_with('/') => {
                rest.split_at(rest.find('/').unwrap_or(rest.len()))
            }
            _ => ("", rest),
        };
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        check_host(host).map_err(|why| wrong(&why))?;
        check_escapes(path).and_then(|()| check_escapes(user)).map_err(|why| wrong(&why))?;
        Ok(Url {
            scheme,
            user: user.to_owned(),
            host: host.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            fragment: fragment.to_owned(),
        })
    }

    fn hostname(&self) -> &str {
        let without_port = match self.port() {
            "" => self.host.strip_suffix(':').unwrap_or(&self.host),
            port => &self.host[..self.host.len() - port.len() - 1],
        };
        without_port.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(without_port)
    }

    fn port(&self) -> &str {
        let after_brackets = self.host.rfind(']').map_or(0, |at| at + 1);
        match self.host[after_brackets..].rsplit_once(':') {
            Some((_, port)) => port,
            None => "",
        }
    }

    /// The path with what a path may not hold escaped.
    fn escaped_path(&self) -> String {
        let mut out = String::with_capacity(self.path.len());
        for byte in self.path.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@%!'()*[]".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
        out
    }

    /// The parameters; what is no proper pair is left out.
    fn parameters(&self) -> BTreeMap<String, Vec<String>> {
        let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if let (Some(key), Some(value)) = (unescaped(key), unescaped(value)) {
                parameters.entry(key).or_default().push(value);
            }
        }
        parameters
    }
}

fn split_scheme(whole: &str) -> std::result::Result<(String, &str), &'static str> {
    for (index, byte) in whole.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return Err("missing protocol scheme"),
            b':' => return Ok((whole[..index].to_ascii_lowercase(), &whole[index + 1..])),
            _ => return Ok((String::new(), whole)),
        }
    }
    Ok((String::new(), whole))
}

fn check_host(host: &str) -> std::result::Result<(), String> {
    let after = if host.starts_with('[') {
        let end = host.rfind(']').ok_or("missing ']' in host")?;
        &host[end + 1..]
    } else {
        if let Some(colon) = host.find(':')
            && host[colon + 1..].contains(':')
        {
            return Err(format!("invalid port {:?} after host", &host[host.rfind(':').unwrap_or(colon)..]));
        }
        host.find(':').map_or("", |colon| &host[colon..])
    };
    let valid =
        after.is_empty() || after.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    if !valid {
        return Err(format!("invalid port {after:?} after host"));
    }
    let name = &host[..host.len() - after.len()];
    match name.chars().find(|c| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_.~!$&'()*+,;=:[]<>\"%".contains(*c)) {
        Some(character) => Err(format!("invalid character {:?} in host name", character.to_string())),
        None => check_escapes(name),
    }
}

fn check_escapes(part: &str) -> std::result::Result<(), String> {
    let bytes = part.as_bytes();
    for (index, _) in part.match_indices('%') {
        let digits = bytes.get(index + 1..index + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            let end = part[index..].char_indices().nth(3).map_or(part.len(), |(at, _)| index + at);
            return Err(format!("invalid URL escape {:?}", &part[index..end]));
        }
    }
    Ok(())
}

fn unescaped(part: &str) -> Option<String> {
    check_escapes(part).ok()?;
    let mut out = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

fn to_url<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(text)] => match Url::parse(text) {
            Ok(url) => Ok(Value::Opaque(Opaque::Url(Arc::new(url)))),
            Err(why) => Err(EvalError::failed(format!("URL parse error during conversion from string: {why}"))),
        },
        _ => Err(NO_OVERLOAD),
    }
}

fn is_url<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    match arguments {
        [Value::String(text)] => bool(Url::parse(text).is_ok()),
        _ => Err(NO_OVERLOAD),
    }
}

fn part<'v>(arguments: &[Value<'v>], of: fn(&Url) -> String) -> Result<'v> {
    match arguments {
        [Value::Opaque(Opaque::Url(url))] => text(of(url)),
        _ => Err(NO_OVERLOAD),
    }
}

fn scheme<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |url| url.scheme.clone())
}

fn host<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |url| url.host.clone())
}

fn hostname<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |url| url.hostname().to_owned())
}

fn port<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, |url| url.port().to_owned())
}

fn escaped_path<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    part(arguments, Url::escaped_path)
}

fn query<'v>(arguments: &[Value<'v>]) -> Result<'v> {
    let [Value::Opaque(Opaque::Url(url))] = arguments else { return Err(NO_OVERLOAD) };
    let list = |values: Vec<String>| Value::list(values.into_iter().map(|value| Value::String(value.into())).collect());
    let entries = url.parameters().into_iter().map(|(key, values)| (Key::String(Text::from(key)), list(values)));
    Ok(Value::Map(Map::Made(Arc::new(entries.collect()))))
}

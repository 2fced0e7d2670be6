//! The headers that say whom a request acts as.

use api::Status;
use api::user::User;
use http::HeaderMap;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA_PREFIX: &str = "impersonate-extra-";

pub(super) fn any(headers: &HeaderMap) -> bool {
    let asks = |name: &str| [USER, GROUP, UID].contains(&name) || name.starts_with(EXTRA_PREFIX);
    headers.keys().any(|name| asks(name.as_str()))
}

fn text<'a>(name: &str, value: &'a http::HeaderValue) -> Result<&'a str, Status> {
    value.to_str().map_err(|_| Status::bad_request(format!("the header {name} is no text")))
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Status> {
    headers.get(name).map_or(Ok(""), |value| text(name, value))
}

/// The user as the headers spell him, with nothing added; `None` where they name nobody and ask for nothing.
pub(super) fn wanted(headers: &HeaderMap) -> Result<Option<User>, Status> {
    let mut user =
        User { name: value(headers, USER)?.to_owned(), uid: value(headers, UID)?.to_owned(), ..User::default() };
    for group in headers.get_all(GROUP) {
        user.groups.push(text(GROUP, group)?.to_owned());
    }
    for (name, value) in headers {
        let Some(key) = name.as_str().strip_prefix(EXTRA_PREFIX) else { continue };
        let key = unescaped(key).unwrap_or_else(|| key.to_owned());
        user.extra.entry(key).or_default().push(text(name.as_str(), value)?.to_owned());
    }
    if !user.name.is_empty() {
        return Ok(Some(user));
    }
    if user == User::default() {
        return Ok(None);
    }
    Err(Status::bad_request(format!("requested {} without impersonating a user name", as_go(&user))))
}

/// As Go's `%#v` prints upstream's structure: the message has it.
fn as_go(user: &User) -> String {
    let list = |texts: &[String]| texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ");
    let groups = match user.groups.as_slice() {
        [] => "[]string(nil)".to_owned(),
        some => format!("[]string{{{}}}", list(some)),
    };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let entries = user.extra.iter().map(|(key, values)| format!("{key:?}:[]string{{{}}}", list(values)));
        format!("map[string][]string{{{}}}", entries.collect::<Vec<_>>().join(", "))
    };
    format!("&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{groups}, Extra:{extra}}}", user.name, user.uid)
}

/// A header name's percent escapes undone: extras are often named by domains and paths.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_spell_a_user_or_are_refused() {
        let parse = |pairs: &[(&'static str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
            wanted(&pairs.collect())
        };
        assert_eq!(parse(&[("accept", "x")]), Ok(None));
        assert_eq!(parse(&[("impersonate-user", "")]), Ok(None));
        let user = parse(&[
            ("impersonate-user", "ann"),
            ("impersonate-group", "a"),
            ("impersonate-group", "b"),
            ("impersonate-extra-acme.io%2fteam", "red"),
            ("impersonate-extra-acme.io%2fteam", "blue"),
            ("impersonate-uid", "7"),
        ]);
        let user = user.unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.uid.as_str(), user.groups.join(" ").as_str()), ("ann", "7", "a b"));
        assert_eq!(user.extra["acme.io/team"], ["red", "blue"]);
        let refused = parse(&[("impersonate-group", "a"), ("impersonate-extra-x", "1")]).unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (
                400,
                "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"a\"}, \
                 Extra:map[string][]string{\"x\":[]string{\"1\"}}} without impersonating a user name"
            )
        );
    }
}

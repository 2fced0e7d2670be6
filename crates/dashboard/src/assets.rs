//! The UI's files as the build found them, compressed once; a build without them serves a page that says so.

use crate::protection::{answer, page_policy, refusal};
use crate::secret;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::io::Read;

/// A file of `ui/dist`.
struct File {
    /// Relative, with slashes.
    path: &'static str,
    gzip: &'static [u8],
    etag: &'static str,
}

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// What the page has in the nonce's place.
const NONCE: &str = "__NONCE__";

const WITHOUT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Sampan</title>\
    <h1>This build has no web UI</h1>\
    <p>It was built where npm was not installed. Everything else works; \
    <code>make build</code> with npm makes a binary with the UI.";

/// Files with their content's hash in their name may be kept for ever.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
const ASK_AGAIN: &str = "no-cache";

#[cfg(test)]
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|file| file.path)
}

#[cfg(test)]
pub(crate) fn built_in() -> bool {
    paths().any(|path| path == "index.html")
}

/// The file of a path below `/dashboard/`, if there is one.
pub(crate) fn file(path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
    let file = FILES.iter().find(|file| file.path == path && path != "index.html")?;
    let mut response = answer(StatusCode::OK, content_type(path), Bytes::new());
    let answered = response.headers_mut();
    let life = if path.starts_with("assets/") { FOR_EVER } else { ASK_AGAIN };
    answered.insert(header::CACHE_CONTROL, HeaderValue::from_static(life));
    answered.insert(header::ETAG, HeaderValue::from_static(file.etag));
    answered.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == file.etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Some(response);
    }
    let takes_gzip = headers.get_all(header::ACCEPT_ENCODING).into_iter().any(names_gzip);
    if takes_gzip {
        answered.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        *response.body_mut() = Bytes::from_static(file.gzip);
        return Some(response);
    }
    match unpacked(file.gzip) {
        Ok(plain) => *response.body_mut() = plain.into(),
        Err(error) => return Some(refusal(StatusCode::INTERNAL_SERVER_ERROR, &format!("unpacking a file: {error}"))),
    }
    Some(response)
}

fn names_gzip(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    text.split(',').any(|one| {
        let mut parts = one.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip")) && parts.all(|weight| weight != "q=0")
    })
}

fn unpacked(gzip: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut plain)?;
    Ok(plain)
}

/// The one page of the UI, whatever its path: it finds out itself what it shows.
pub(crate) fn page() -> Response<Bytes> {
    let Some(index) = FILES.iter().find(|file| file.path == "index.html") else {
        return answer(StatusCode::OK, "text/html; charset=utf-8", WITHOUT);
    };
    let failed = |why: String| refusal(StatusCode::INTERNAL_SERVER_ERROR, &why);
    let text = match unpacked(index.gzip).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => return failed(error.to_string()),
        Err(error) => return failed(error.to_string()),
    };
    let nonce = match secret::fresh() {
        Ok(nonce) => nonce,
        Err(error) => return failed(error.to_string()),
    };
    let mut response = answer(StatusCode::OK, "text/html; charset=utf-8", text.replace(NONCE, &nonce));
    match HeaderValue::from_str(&page_policy(&nonce)) {
        Ok(policy) => response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy),
        Err(error) => return failed(error.to_string()),
    };
    response
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "woff2" => "font/woff2",
        "webmanifest" => "application/manifest+json",
        "png" => "image/png",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}

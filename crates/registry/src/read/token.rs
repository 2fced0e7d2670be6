//! The opaque continue token: at which revision a list goes on, and after which key.

use api::Status;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use store::Revision;

const VERSION: &str = "meta.k8s.io/v1";

#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    rv: u64,
    /// The last path of the page before, and a NUL: the next possible path.
    start: String,
}

pub(super) fn write(revision: Revision, last_path: &str) -> Result<String, Status> {
    let token = Token { v: VERSION.to_owned(), rv: revision.0, start: format!("{last_path}\0") };
    let json = serde_json::to_vec(&token).map_err(Status::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// The revision and the last path of the page before.
pub(super) fn read(text: &str) -> Result<(Revision, String), Status> {
    let refuse = |why: String| Status::bad_request(format!("continue key is not valid: {why}"));
    let json = URL_SAFE_NO_PAD.decode(text).map_err(|error| refuse(error.to_string()))?;
    let token: Token = serde_json::from_slice(&json).map_err(|error| refuse(error.to_string()))?;
    if token.v != VERSION {
        return Err(refuse(format!("server does not recognize this encoded version {:?}", token.v)));
    }
    match token.start.strip_suffix('\0') {
        Some(path) if token.rv > 0 && !path.starts_with('/') => Ok((Revision(token.rv), path.to_owned())),
        _ => Err(refuse("incorrect encoded start or resource version".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_leads_back_to_its_place() {
        let text = write(Revision(7), "ns/name").unwrap();
        assert_eq!(read(&text).unwrap(), (Revision(7), "ns/name".to_owned()));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let forged = |json: &str| URL_SAFE_NO_PAD.encode(json);
        for text in [
            "?".to_owned(),
            forged("{}"),
            forged(r#"{"v":"v0","rv":1,"start":"a\u0000"}"#),
            forged(r#"{"v":"meta.k8s.io/v1","rv":0,"start":"a\u0000"}"#),
            forged(r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../a"}"#),
        ] {
            let status = read(&text).unwrap_err();
            assert_eq!(status.code, 400, "{text}");
            assert!(status.message.starts_with("continue key is not valid"), "{}", status.message);
        }
    }
}

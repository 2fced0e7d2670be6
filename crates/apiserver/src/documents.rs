//! OpenAPI documents, made when first asked for and kept.
//!
//! Bound: one document per served group version and one of everything, about 10 MB in all.

use crate::discovery::tagged;
use crate::http::Answer;
use api::{ResourceDef, Status, openapi};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

struct Document {
    body: Bytes,
    hash: String,
}

/// The documents by path; `v2` for the one of everything.
#[derive(Default)]
pub(crate) struct Documents {
    by_path: Mutex<BTreeMap<String, Arc<Document>>>,
}

const V2: &str = "v2";
const V2_PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
];

impl Documents {
    /// The answer to a path below `/openapi/`, if it is one of the documents'.
    pub(crate) fn answer(
        &self,
        defs: &[&ResourceDef],
        path: &str,
        asked_hash: &str,
        accept: &str,
        if_none_match: &str,
    ) -> Option<Result<Answer, Status>> {
        let rest = path.strip_prefix("/openapi/")?.trim_end_matches('/');
        match rest {
            "v2" => Some(self.v2(defs, accept, if_none_match)),
            "v3" => Some(Ok(self.index(defs))),
            _ => {
                let path = rest.strip_prefix("v3/")?;
                let known = defs.iter().any(|def| openapi::document_path(def) == path);
                known.then(|| Ok(self.v3(defs, path, asked_hash, if_none_match)))
            }
        }
    }

    fn document(&self, path: &str, make: impl FnOnce() -> Vec<u8>) -> Arc<Document> {
        if let Some(document) = self.by_path.lock().get(path) {
            return document.clone();
        }
        // Made outside the lock: two may make it at once, and the documents are equal.
        let body = Bytes::from(make());
        let document = Arc::new(Document { hash: openapi::hash(&body), body });
        self.by_path.lock().entry(path.to_owned()).or_insert(document).clone()
    }

    fn v2(&self, defs: &[&ResourceDef], accept: &str, if_none_match: &str) -> Result<Answer, Status> {
        let ranges = || accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
        // The first that the client names and we have; both spellings of the protobuf form are in use.
        let protobuf = ranges().find_map(|range| match range {
            "" | "application/json" | "*/*" | "application/*" => Some(false),
            _ if V2_PROTOBUF.contains(&range) => Some(true),
            _ => None,
        });
        match protobuf {
            Some(false) => {
                let document = self.document(V2, || openapi::v2(defs));
                Ok(tagged(document.body.clone(), "application/json", &document.hash, if_none_match))
            }
            Some(true) => {
                let document = self.document("v2 as protobuf", || openapi::v2_protobuf(defs));
                Ok(tagged(document.body.clone(), V2_PROTOBUF[0], &document.hash, if_none_match))
            }
            None => Err(Status::not_acceptable(&["application/json", V2_PROTOBUF[0]])),
        }
    }

    fn index(&self, defs: &[&ResourceDef]) -> Answer {
        let mut paths: Vec<String> = defs.iter().map(|def| openapi::document_path(def)).collect();
        paths.sort();
        paths.dedup();
        let documents: Vec<(String, Arc<Document>)> = paths
            .into_iter()
            .map(|path| {
                let document = self.document(&path, || openapi::v3(&path, defs));
                (path, document)
            })
            .collect();
        let pairs = documents.iter().map(|(path, document)| (path.as_str(), document.hash.as_str()));
        Answer::json(openapi::v3_index(pairs))
    }

    fn v3(&self, defs: &[&ResourceDef], path: &str, asked_hash: &str, if_none_match: &str) -> Answer {
        let document = self.document(path, || openapi::v3(path, defs));
        if !asked_hash.is_empty() && asked_hash != document.hash {
            let location = format!("/openapi/v3/{path}?hash={}", document.hash);
            let mut answer = Answer::text("").code(StatusCode::MOVED_PERMANENTLY);
            if let Ok(location) = HeaderValue::from_str(&location) {
                answer = answer.header(header::LOCATION, location);
            }
            return answer;
        }
        let answer = tagged(document.body.clone(), "application/json", &document.hash, if_none_match);
        if asked_hash.is_empty() {
            return answer;
        }
        // The URL names the content: it never changes.
        answer.header(header::CACHE_CONTROL, HeaderValue::from_static("public, immutable, max-age=31536000"))
    }
}

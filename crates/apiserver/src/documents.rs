//! OpenAPI documents, made when first asked for and kept; the one of everything with the parts of other servers.
//!
//! Invariant: no document outlives the kinds it was made of: when kinds change, what names them is forgotten, and what
//! was being made of the kinds before is not kept. Bound: one document per served group version and per path that is no
//! resource, and two of everything, about 10 MB in all, and what custom kinds' schemas take.

use crate::aggregation::{Table, merged_openapi};
use crate::catalog::Catalog;
use crate::discovery::tagged;
use crate::http::Answer;
use api::{Status, openapi};
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
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Counts the changes of what is served.
    edition: u64,
    by_path: BTreeMap<String, Arc<Document>>,
}

const V2: &str = "v2";
const V2_AS_PROTOBUF: &str = "v2 as protobuf";
const V2_PROTOBUF: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
];

impl Documents {
    pub(crate) fn edition(&self) -> u64 {
        self.kept.lock().edition
    }

    /// Forgets the documents of these group versions (`apis/apps/v1`), and those of everything.
    pub(crate) fn forget(&self, paths: &[String]) {
        let mut kept = self.kept.lock();
        kept.edition += 1;
        for path in paths.iter().map(String::as_str).chain([V2, V2_AS_PROTOBUF]) {
            kept.by_path.remove(path);
        }
    }

    /// The answer to a path below `/openapi/`, if it is one of the documents'.
    pub(crate) fn answer(
        &self,
        catalog: &Catalog,
        table: &Table,
        path: &str,
        asked_hash: &str,
        accept: &str,
        if_none_match: &str,
    ) -> Option<Result<Answer, Status>> {
        let rest = path.strip_prefix("/openapi/")?.trim_end_matches('/');
        match rest {
            "v2" => Some(self.v2(catalog, table, accept, if_none_match)),
            "v3" => Some(Ok(self.index(catalog, table))),
            _ => {
                let path = rest.strip_prefix("v3/")?;
                let known = openapi::v3_paths(&catalog.defs).iter().any(|known| known == path);
                known.then(|| Ok(self.v3(catalog, path, asked_hash, if_none_match)))
            }
        }
    }

    fn document(&self, catalog: &Catalog, path: &str, make: impl FnOnce() -> Vec<u8>) -> Arc<Document> {
        if let Some(document) = self.kept.lock().by_path.get(path) {
            return document.clone();
        }
        // Made outside the lock: two may make it at once, and the documents are equal.
        let body = Bytes::from(make());
        let document = Arc::new(Document { hash: openapi::hash(&body), body });
        let mut kept = self.kept.lock();
        if kept.edition != catalog.edition {
            return document;
        }
        kept.by_path.entry(path.to_owned()).or_insert(document).clone()
    }

    fn v2(&self, catalog: &Catalog, table: &Table, accept: &str, if_none_match: &str) -> Result<Answer, Status> {
        let ranges = || accept.split(',').map(|range| range.split(';').next().unwrap_or_default().trim());
        // The first that the client names and we have; both spellings of the protobuf form are in use.
        let protobuf = ranges().find_map(|range| match range {
            "" | "application/json" | "*/*" | "application/*" => Some(false),
            _ if V2_PROTOBUF.contains(&range) => Some(true),
            _ => None,
        });
        let whole = || {
            let own = openapi::v2_document(&catalog.defs, &|def| catalog.schema(def));
            merged_openapi(own, &table.openapi_v2())
        };
        match protobuf {
            Some(false) => {
                let document = self.document(catalog, V2, || whole().to_string().into_bytes());
                Ok(tagged(document.body.clone(), "application/json", &document.hash, if_none_match))
            }
            Some(true) => {
                let document = self.document(catalog, V2_AS_PROTOBUF, || openapi::v2_protobuf(&whole()));
                Ok(tagged(document.body.clone(), V2_PROTOBUF[0], &document.hash, if_none_match))
            }
            None => Err(Status::not_acceptable(&["application/json", V2_PROTOBUF[0]])),
        }
    }

    fn index(&self, catalog: &Catalog, table: &Table) -> Answer {
        let own = catalog.defs.iter().copied().filter(|def| !table.is_remote(def.group, def.version));
        let paths = openapi::v3_paths(&own.collect::<Vec<_>>());
        let documents: Vec<(String, Arc<Document>)> = paths
            .into_iter()
            .map(|path| {
                let document = self.v3_document(catalog, &path);
                (path, document)
            })
            .collect();
        let own = documents.iter().map(|(path, document)| (path.as_str(), document.hash.as_str()));
        let remotes: Vec<(String, Arc<str>)> = table
            .remotes()
            .filter_map(|(group, version, remote)| {
                Some((format!("apis/{group}/{version}"), remote.state().openapi_hash.clone()?))
            })
            .collect();
        let others = remotes.iter().map(|(path, hash)| (path.as_str(), &**hash));
        Answer::json(openapi::v3_index(own.chain(others)))
    }

    fn v3_document(&self, catalog: &Catalog, path: &str) -> Arc<Document> {
        self.document(catalog, path, || openapi::v3(path, &catalog.defs, &|def| catalog.schema(def)))
    }

    fn v3(&self, catalog: &Catalog, path: &str, asked_hash: &str, if_none_match: &str) -> Answer {
        let document = self.v3_document(catalog, path);
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

//! What a request asked beside its object, as `CreateOptions` and the like: for those outside this server who judge it.

use crate::call::Call;
use registry::{Operation, RequestOptions};
use serde_json::{Map, Value};

/// Names of the query's texts, and the operations whose options have them.
const TEXTS: [&str; 2] = ["fieldManager", "fieldValidation"];

impl RequestOptions for Call<'_> {
    /// A patch or an update that turns out to create has the options of a create, as upstream's have.
    fn value(&self, operation: Operation) -> Value {
        let kind = match (operation, self.info.verb) {
            (Operation::Connect, _) => return Value::Null,
            (Operation::Create, _) => "CreateOptions",
            (Operation::Update, "patch") => "PatchOptions",
            (Operation::Update, _) => "UpdateOptions",
            (Operation::Delete, _) => "DeleteOptions",
        };
        let mut options = Map::new();
        if operation == Operation::Delete {
            options = self.delete_options();
        } else {
            for name in TEXTS {
                options.extend(self.query.find(name).map(|value| (name.to_owned(), value.into())));
            }
            if kind == "PatchOptions" && self.query.find("force").is_some() {
                options.insert("force".to_owned(), self.query.flag("force").into());
            }
        }
        if !self.query.get("dryRun").is_empty() {
            options.insert("dryRun".to_owned(), vec![self.query.get("dryRun")].into());
        }
        options.insert("apiVersion".to_owned(), "meta.k8s.io/v1".into());
        options.insert("kind".to_owned(), kind.into());
        Value::Object(options)
    }
}

impl Call<'_> {
    /// The body of a delete, or what its query says in the body's place. Whether it decodes was judged before.
    fn delete_options(&self) -> Map<String, Value> {
        if !self.body.is_empty() {
            let body = self.json_body("k8s.io.apimachinery.pkg.apis.meta.v1.DeleteOptions");
            return body.ok().and_then(|body| serde_json::from_slice(&body).ok()).unwrap_or_default();
        }
        let mut options = Map::new();
        if let Ok(Some(seconds)) = self.query.integer("gracePeriodSeconds") {
            options.insert("gracePeriodSeconds".to_owned(), seconds.into());
        }
        let policy = self.query.find("propagationPolicy");
        options.extend(policy.map(|policy| ("propagationPolicy".to_owned(), policy.into())));
        let orphan = self.query.optional_flag("orphanDependents");
        options.extend(orphan.map(|orphan| ("orphanDependents".to_owned(), orphan.into())));
        options
    }
}

//! One request for a resource, from wherever it came: the network, or a component in this process.

use crate::backend::Backend;
use crate::http::{Form, Query, RequestInfo};
use crate::render::protobuf;
use api::selector::{FieldSelector, Selector};
use api::user::User;
use api::{FieldError, FieldPath, Reason, ResourceDef, Status, Subresource};
use bytes::Bytes;
use registry::{Fence, FieldValidation, Notes, Resource, Selection, Write};
use std::sync::Arc;

/// The longest name of a manager.
const MANAGER_BYTES_MAX: usize = 128;

pub(crate) struct Call<'a> {
    pub(crate) backend: &'a Arc<Backend>,
    pub(crate) info: RequestInfo<'a>,
    pub(crate) query: &'a Query,
    pub(crate) resource: Arc<Resource>,
    pub(crate) subresource: Option<Subresource>,
    pub(crate) user: &'a User,
    /// The form of the answer.
    pub(crate) form: Form,
    /// Of the body, without parameters.
    pub(crate) content_type: &'a str,
    /// The program that asks, as `User-Agent` names it: it manages what it writes unless the query names a manager.
    pub(crate) agent: &'a str,
    pub(crate) body: Bytes,
    /// What is said of the request beside its answer.
    pub(crate) notes: &'a Notes,
    /// Of the leader's own calls.
    pub(crate) fence: Option<&'a Fence>,
}

impl<'a> Call<'a> {
    pub(crate) fn def(&self) -> &'static ResourceDef {
        self.resource.def
    }

    pub(crate) fn registry(&self) -> &registry::Registry {
        &self.backend.registry
    }

    /// The namespace of the object; empty for cluster-scoped kinds, whatever the path has.
    pub(crate) fn namespace(&self) -> &'a str {
        if self.def().namespaced() { self.info.namespace } else { "" }
    }

    /// What accompanies this call's write.
    pub(crate) fn write(&self) -> Result<Write<'_>, Status> {
        let named = self.query.get("fieldManager");
        check_manager(self.info.verb, named)?;
        Ok(Write {
            user: self.user,
            admission: self.backend.parts()?.admission.as_ref(),
            dry_run: self.query.dry_run()?,
            subresource: self.subresource,
            manager: Some(if named.is_empty() { agent_name(self.agent) } else { named }),
            options: Some(self),
            notes: self.notes,
            fence: self.fence,
        })
    }

    pub(crate) fn validation(&self) -> Result<FieldValidation, Status> {
        FieldValidation::parse(self.query.get("fieldValidation"))
    }

    /// What the query's selectors select.
    pub(crate) fn selection(&self) -> Result<Selection, Status> {
        let bad = |error: api::selector::SelectorError| Status::bad_request(error.to_string());
        let labels = Selector::parse(self.query.get("labelSelector"))
            .map_err(|error| Status::bad_request(format!("unable to parse requirement: {error}")))?;
        let fields = FieldSelector::parse(self.query.get("fieldSelector")).map_err(bad)?;
        fields.check(self.def()).map_err(bad)?;
        let fields = fields.renamed(|own| self.resource.kind.stored_field(own));
        Ok(Selection::new(self.namespace(), self.info.name, labels, fields))
    }

    /// The body as JSON; `message` is what it is of, should it be protobuf.
    pub(crate) fn json_body(&self, message: &str) -> Result<Bytes, Status> {
        match self.content_type {
            protobuf::MEDIA_TYPE => protobuf::to_json(message, &self.body).map(Bytes::from),
            "" | "application/json" => Ok(self.body.clone()),
            "application/yaml" | "application/x-yaml" | "text/yaml" => yaml_to_json(&self.body),
            _ => Err(Status::unsupported_media_type(&["application/json", "application/yaml", protobuf::MEDIA_TYPE])),
        }
    }
}

/// The refusal of a write's option.
pub(crate) fn bad_option(verb: &str, error: &FieldError) -> Status {
    let options = match verb {
        "create" => "CreateOptions",
        "patch" => "PatchOptions",
        _ => "UpdateOptions",
    };
    Status::new(Reason::Invalid, format!("{options}.meta.k8s.io \"\" is invalid: {error}"))
}

fn check_manager(verb: &str, manager: &str) -> Result<(), Status> {
    let mut errors = Vec::new();
    api::meta::field_manager(&mut errors, &FieldPath::new("fieldManager"), manager);
    errors.first().map_or(Ok(()), |error| Err(bad_option(verb, error)))
}

/// The program's name in a `User-Agent`: what stands before the first slash, cut to a manager's length.
fn agent_name(agent: &str) -> &str {
    let name = agent.split('/').next().unwrap_or_default();
    let printable = name.find(|character: char| character.is_control()).map_or(name, |end| &name[..end]);
    let mut end = printable.len().min(MANAGER_BYTES_MAX);
    while !printable.is_char_boundary(end) {
        end -= 1;
    }
    &printable[..end]
}

pub(crate) fn yaml_to_json(body: &[u8]) -> Result<Bytes, Status> {
    let bad = |error: &dyn std::fmt::Display| Status::bad_request(format!("error parsing YAML: {error}"));
    let text = std::str::from_utf8(body).map_err(|error| bad(&error))?;
    let value: serde_json::Value = serde_saphyr::from_str(text).map_err(|error| bad(&error))?;
    serde_json::to_vec(&value).map(Bytes::from).map_err(Status::internal)
}

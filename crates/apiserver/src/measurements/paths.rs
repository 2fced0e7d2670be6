//! The paths below `/insight/`: where nodes send what they measured, and Prometheus' HTTP API over it.

use super::{Question, Visible};
use crate::authz::{Attributes, Decision, node_identity};
use crate::backend::Backend;
use crate::http::{Answer, AnswerBody, Query, RequestInfo};
use crate::stack::read_body;
use api::metrics::{GROUP, NodeMetrics, PodMetrics};
use api::user::User;
use api::{Kind, Reason, ResourceDef, Status};
use bytes::Bytes;
use http::StatusCode;
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Namespace;
use std::collections::BTreeSet;

pub(crate) const PREFIX: &str = "/insight/";
const NODES: &str = "nodes/";
const PROMETHEUS: &str = "prometheus/api/v1/";

/// Answers a request that has been authorized by its path.
pub(crate) async fn answer(
    backend: &Backend,
    user: &User,
    info: &RequestInfo<'_>,
    query: &Query,
    body: Incoming,
) -> Result<Answer, Status> {
    let measurements = backend.measurements().ok_or_else(|| Status::unavailable("nothing measures this cluster"))?;
    let path = info.path.strip_prefix(PREFIX).unwrap_or_default();
    if let Some(node) = path.strip_prefix(NODES) {
        if info.verb != "put" {
            return Err(Status::method_not_allowed());
        }
        if node_identity(user) != Some(node) {
            return Err(Status::new(Reason::Forbidden, format!("{:?} is not node {node:?}", user.name)));
        }
        let sample = read_body(info, body).await?;
        measurements.take(node, sample).map_err(Status::bad_request)?;
        return Ok(Answer::of("", AnswerBody::empty()).code(StatusCode::NO_CONTENT));
    }
    let Some(asked) = path.strip_prefix(PROMETHEUS) else { return Err(Status::no_such_path()) };
    let mut parameters: Vec<(String, String)> = query.pairs().map(own).collect();
    match info.verb {
        "get" | "head" => {}
        // Long queries come as forms.
        "post" => parameters.extend(form(&read_body(info, body).await?)?),
        _ => return Err(Status::method_not_allowed()),
    }
    let visible = visible(backend, user).await?;
    let (code, body) = measurements.ask(Question { path: asked.to_owned(), parameters, visible }).await;
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(Answer::json(body).code(code))
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn form(body: &Bytes) -> Result<Vec<(String, String)>, Status> {
    let text = std::str::from_utf8(body).map_err(|_| Status::bad_request("the form is no text"))?;
    Ok(Query::parse(text).pairs().map(own).collect())
}

/// What `metrics.k8s.io` would show the user.
async fn visible(backend: &Backend, user: &User) -> Result<Visible, Status> {
    let authz = &backend.parts()?.authz;
    let may = async |def: &ResourceDef, namespace: &str| {
        let (group, version, resource) = (GROUP, def.version, def.plural);
        let asked =
            Attributes { verb: "get", group, version, resource, namespace, is_resource: true, ..Default::default() };
        authz.authorize(user, &asked).await == Decision::Allow
    };
    let nodes = may(&NodeMetrics::DEF, "").await;
    if may(&PodMetrics::DEF, "").await && nodes {
        return Ok(Visible::Everything);
    }
    let mut namespaces = BTreeSet::new();
    for entry in backend.registry().resource(&Namespace::DEF)?.snapshot().objects.values() {
        if may(&PodMetrics::DEF, entry.name()).await {
            namespaces.insert(entry.name().to_owned());
        }
    }
    Ok(Visible::Namespaces { namespaces, nodes })
}

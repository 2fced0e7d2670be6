//! Server-side tables.

use super::partial;
use crate::http::IncludeObject;
use api::{Object, Status};
use k8s_openapi::jiff::Timestamp;
use registry::Resource;

/// Writes a table row by row.
pub(crate) struct TableWriter<'a> {
    resource: &'a Resource,
    include: IncludeObject,
    now: Timestamp,
    columns: bool,
    rows: Vec<u8>,
}

#[derive(serde::Serialize)]
struct ColumnDefinition {
    name: &'static str,
    r#type: &'static str,
    format: &'static str,
    description: &'static str,
    priority: i32,
}

impl<'a> TableWriter<'a> {
    pub(crate) fn new(resource: &'a Resource, include: IncludeObject, now: Timestamp) -> TableWriter<'a> {
        TableWriter { resource, include, now, columns: true, rows: Vec::new() }
    }

    /// A watch's later tables have rows only.
    pub(crate) fn without_columns(self) -> TableWriter<'a> {
        TableWriter { columns: false, ..self }
    }

    /// `json` is the object as clients see it.
    pub(crate) fn row(&mut self, object: &dyn Object, json: &[u8]) -> Result<(), Status> {
        if !self.rows.is_empty() {
            self.rows.push(b',');
        }
        self.rows.extend_from_slice(br#"{"cells":"#);
        serde_json::to_writer(&mut self.rows, &object.row(self.now)).map_err(Status::internal)?;
        match self.include {
            IncludeObject::None => {}
            IncludeObject::Metadata => {
                self.rows.extend_from_slice(br#","object":"#);
                self.rows.extend_from_slice(&partial::of_json(json)?);
            }
            IncludeObject::Object => {
                self.rows.extend_from_slice(br#","object":"#);
                self.rows.extend_from_slice(json);
            }
        }
        self.rows.push(b'}');
        Ok(())
    }

    pub(crate) fn finish(
        self,
        revision: &str,
        continue_token: &str,
        remaining: Option<i64>,
    ) -> Result<Vec<u8>, Status> {
        let mut out = Vec::with_capacity(self.rows.len() + 1024);
        out.extend_from_slice(br#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":"#);
        super::list::write_metadata(revision, continue_token, remaining, &mut out);
        out.extend_from_slice(br#","columnDefinitions":"#);
        if self.columns {
            let columns = self.resource.def.columns.iter().map(|column| ColumnDefinition {
                name: column.name,
                r#type: column.kind,
                format: column.format,
                description: column.description,
                priority: column.priority,
            });
            serde_json::to_writer(&mut out, &columns.collect::<Vec<_>>()).map_err(Status::internal)?;
        } else {
            out.extend_from_slice(b"null");
        }
        out.extend_from_slice(br#","rows":["#);
        out.extend_from_slice(&self.rows);
        out.extend_from_slice(b"]}");
        Ok(out)
    }
}

/// A table that says only how far a watch is.
pub(crate) fn bookmark(metadata: &[u8]) -> Vec<u8> {
    let mut out = br#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","metadata":"#.to_vec();
    out.extend_from_slice(metadata);
    out.extend_from_slice(br#","columnDefinitions":null,"rows":[{"cells":[],"object":"#);
    out.extend_from_slice(br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#);
    out.extend_from_slice(metadata);
    out.extend_from_slice(b"}}]}");
    out
}

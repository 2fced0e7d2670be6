//! In which form a client wants its answer.

use api::Status;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    Metadata,
    Object,
}

/// A form of an object or list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Json,
    Yaml,
    Protobuf,
    Table(IncludeObject),
    /// Metadata only.
    Partial,
    /// Metadata only; of custom kinds too.
    PartialProtobuf,
}

impl Form {
    pub(crate) fn is_protobuf(self) -> bool {
        matches!(self, Form::Protobuf | Form::PartialProtobuf)
    }
}

const ACCEPTED: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

const PARTIAL: [&str; 2] = ["PartialObjectMetadata", "PartialObjectMetadataList"];

/// One media range of an Accept header.
struct Range<'a> {
    media: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Range<'a> {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        Range { media, parameters: parts.filter_map(|part| part.split_once('=')).collect() }
    }

    fn parameter(&self, name: &str) -> &'a str {
        self.parameters.iter().find(|(own, _)| *own == name).map(|(_, value)| *value).unwrap_or_default()
    }
}

/// The first form of the header that is served here.
///
/// # Errors
/// 406 when none is.
pub(crate) fn form(accept: Option<&str>, include: &str) -> Result<Form, Status> {
    let accept = accept.map(str::trim).unwrap_or_default();
    if accept.is_empty() {
        return Ok(Form::Json);
    }
    for text in accept.split(',') {
        let range = Range::parse(text.trim());
        match (range.media, range.parameter("as")) {
            ("application/json" | "application/*" | "*/*", "") => return Ok(Form::Json),
            ("application/yaml", "") => return Ok(Form::Yaml),
            ("application/vnd.kubernetes.protobuf", "") => return Ok(Form::Protobuf),
            ("application/json" | "*/*", of) if range.parameter("g") == "meta.k8s.io" => {
                match (of, range.parameter("v")) {
                    ("Table", "v1" | "v1beta1") => return include_object(include).map(Form::Table),
                    (of, "v1" | "v1beta1") if PARTIAL.contains(&of) => return Ok(Form::Partial),
                    _ => {}
                }
            }
            ("application/vnd.kubernetes.protobuf", of)
                if PARTIAL.contains(&of) && range.parameter("g") == "meta.k8s.io" && range.parameter("v") == "v1" =>
            {
                return Ok(Form::PartialProtobuf);
            }
            _ => {}
        }
    }
    Err(Status::not_acceptable(ACCEPTED))
}

fn include_object(text: &str) -> Result<IncludeObject, Status> {
    match text {
        "" | "Metadata" => Ok(IncludeObject::Metadata),
        "None" => Ok(IncludeObject::None),
        "Object" => Ok(IncludeObject::Object),
        other => Err(Status::bad_request(format!("unrecognized includeObject value: {other:?}"))),
    }
}

/// A media type without its parameters, in lower case.
pub(crate) fn media_type(header: &str) -> String {
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_is_served_wins() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        for (accept, wanted) in [
            ("", Some(Form::Json)),
            ("*/*", Some(Form::Json)),
            ("application/yaml", Some(Form::Yaml)),
            ("application/vnd.kubernetes.protobuf, application/json", Some(Form::Protobuf)),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json", Some(Form::Json)),
            (&format!("{table},application/json"), Some(Form::Table(IncludeObject::Metadata))),
            ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Some(Form::Partial)),
            (
                "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some(Form::PartialProtobuf),
            ),
            ("application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v9", None),
            ("application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1", None),
            ("application/json;as=Table;v=v9;g=meta.k8s.io", None),
            ("text/html", None),
        ] {
            assert_eq!(form(Some(accept), "").ok(), wanted, "{accept}");
        }
        assert_eq!(form(Some("text/html"), "").unwrap_err().code, 406);
    }
}

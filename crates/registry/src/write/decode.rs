//! From a client's JSON to a typed object, with the complaints that field validation asks for.

use crate::resource::Resource;
use api::schema::DecodeError;
use api::{Object, Reason, Status};

/// How much of a body is shown in a complaint about all of it, as upstream shows.
const SUMMARY_BYTES: usize = 30;

/// What happens to unknown and duplicate fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    Ignore,
    #[default]
    Warn,
    Strict,
}

impl FieldValidation {
    /// As clients write it; empty for the default.
    pub fn parse(text: &str) -> Result<FieldValidation, Status> {
        match text {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => Err(Status::new(
                Reason::Invalid,
                format!(
                    "CreateOptions.meta.k8s.io \"\" is invalid: fieldValidation: Unsupported value: {other:?}: \
                     supported values: \"\", \"Ignore\", \"Strict\", \"Warn\""
                ),
            )),
        }
    }
}

#[derive(Debug)]
pub struct Decoded {
    pub object: Box<dyn Object>,
    /// What `Warn` has to say.
    pub warnings: Vec<String>,
}

/// What upstream says of a body that it cannot even read the kind of.
fn unrecognized(kind: &str, why: &str, body: &[u8]) -> Status {
    let begin = &body[..body.len().min(SUMMARY_BYTES)];
    let mut summary = match begin.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(begin).into_owned(),
        Some(_) => begin.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")),
    };
    if begin.len() < body.len() {
        summary += " ...";
    }
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: \
         {why} ({summary})"
    ))
}

/// Checks and decodes one object of the resource's kind.
pub fn decode_body(resource: &Resource, json: &[u8], validation: FieldValidation) -> Result<Decoded, Status> {
    let def = resource.def;
    let cannot = |why: &dyn std::fmt::Display| {
        let (kind, version) = (def.kind, def.version);
        Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    };
    let checked = resource.kind.check(json).map_err(|error| match error {
        DecodeError::Size => Status::too_large(api::schema::decode::SIZE_MAX),
        DecodeError::Syntax(why) => unrecognized(def.kind, &why, json),
        other => cannot(&other),
    })?;
    if validation == FieldValidation::Strict && !checked.strict_errors.is_empty() {
        return Err(cannot(&format_args!("strict decoding error: {}", checked.strict_errors.join(", "))));
    }
    let object = resource.kind.decode(&checked.json).map_err(|error| cannot(&error))?;
    let warnings = match validation {
        FieldValidation::Warn => checked.strict_errors,
        FieldValidation::Ignore | FieldValidation::Strict => Vec::new(),
    };
    Ok(Decoded { object, warnings })
}

//! From a client's JSON to a typed object, with the complaints that field validation asks for.

use crate::resource::Resource;
use api::schema::{DecodeError, check};
use api::{Object, Reason, Status};

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

/// Checks and decodes one object of the resource's kind.
pub fn decode_body(resource: &Resource, json: &[u8], validation: FieldValidation) -> Result<Decoded, Status> {
    let def = resource.def;
    let cannot = |why: &dyn std::fmt::Display| {
        let (kind, version) = (def.kind, def.version);
        Status::bad_request(format!("{kind} in version {version:?} cannot be handled as a {kind}: {why}"))
    };
    let checked = check(def.message, json).map_err(|error| match error {
        DecodeError::Size => Status::too_large(api::schema::decode::SIZE_MAX),
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

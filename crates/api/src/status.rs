//! `metav1.Status`: how every error reaches a client. The one place where an HTTP code is chosen.

use crate::field::FieldError;
use crate::resource::ResourceDef;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

/// Why a request failed, in upstream's vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    Unknown,
    Unauthorized,
    Forbidden,
    NotFound,
    AlreadyExists,
    Conflict,
    Gone,
    Invalid,
    ServerTimeout,
    Timeout,
    TooManyRequests,
    BadRequest,
    MethodNotAllowed,
    NotAcceptable,
    RequestEntityTooLarge,
    UnsupportedMediaType,
    InternalError,
    Expired,
    ServiceUnavailable,
    NotImplemented,
}

impl Reason {
    const TABLE: &'static [(Reason, &'static str, u16)] = &[
        (Reason::Unknown, "", 500),
        (Reason::Unauthorized, "Unauthorized", 401),
        (Reason::Forbidden, "Forbidden", 403),
        (Reason::NotFound, "NotFound", 404),
        (Reason::AlreadyExists, "AlreadyExists", 409),
        (Reason::Conflict, "Conflict", 409),
        (Reason::Gone, "Gone", 410),
        (Reason::Invalid, "Invalid", 422),
        (Reason::ServerTimeout, "ServerTimeout", 500),
        (Reason::Timeout, "Timeout", 504),
        (Reason::TooManyRequests, "TooManyRequests", 429),
        (Reason::BadRequest, "BadRequest", 400),
        (Reason::MethodNotAllowed, "MethodNotAllowed", 405),
        (Reason::NotAcceptable, "NotAcceptable", 406),
        (Reason::RequestEntityTooLarge, "RequestEntityTooLarge", 413),
        (Reason::UnsupportedMediaType, "UnsupportedMediaType", 415),
        (Reason::InternalError, "InternalError", 500),
        (Reason::Expired, "Expired", 410),
        (Reason::ServiceUnavailable, "ServiceUnavailable", 503),
        (Reason::NotImplemented, "NotImplemented", 501),
    ];

    fn row(self) -> (&'static str, u16) {
        let row = Self::TABLE.iter().find(|row| row.0 == self).expect("every reason has its row");
        (row.1, row.2)
    }
    pub fn name(self) -> &'static str {
        self.row().0
    }
    pub fn code(self) -> u16 {
        self.row().1
    }
    pub fn parse(name: &str) -> Reason {
        Self::TABLE.iter().find(|row| row.1 == name).map_or(Reason::Unknown, |row| row.0)
    }
}

/// A failed request.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Status {
    pub reason: Reason,
    pub code: u16,
    pub message: String,
    /// Instead of `reason`'s own: somebody else's word that upstream's vocabulary does not have.
    pub reason_text: Option<Box<str>>,
    /// Boxed: most results are not errors, and should stay small.
    pub details: Option<Box<meta::StatusDetails>>,
}

impl Status {
    pub fn new(reason: Reason, message: impl Into<String>) -> Status {
        Status { reason, code: reason.code(), message: message.into(), reason_text: None, details: None }
    }

    fn about(mut self, def: &ResourceDef, name: &str) -> Status {
        self.details = Some(Box::new(meta::StatusDetails {
            name: Some(name.to_owned()).filter(|name| !name.is_empty()),
            group: Some(def.group.to_string()).filter(|group| !group.is_empty()),
            kind: Some(def.plural.to_string()),
            ..Default::default()
        }));
        self
    }

    pub fn not_found(def: &ResourceDef, name: &str) -> Status {
        Status::new(Reason::NotFound, format!("{} {name:?} not found", def.group_resource())).about(def, name)
    }
    /// A path that names nothing served here.
    pub fn no_such_path() -> Status {
        Status::new(Reason::NotFound, "the server could not find the requested resource")
    }
    pub fn already_exists(def: &ResourceDef, name: &str) -> Status {
        Status::new(Reason::AlreadyExists, format!("{} {name:?} already exists", def.group_resource())).about(def, name)
    }
    pub fn conflict(def: &ResourceDef, name: &str, why: &str) -> Status {
        let message = format!("Operation cannot be fulfilled on {} {name:?}: {why}", def.group_resource());
        Status::new(Reason::Conflict, message).about(def, name)
    }
    /// A write that named a resourceVersion which is no longer the object's.
    pub fn modified(def: &ResourceDef, name: &str) -> Status {
        let why = "the object has been modified; please apply your changes to the latest version and try again";
        Status::conflict(def, name, why)
    }
    pub fn invalid(def: &ResourceDef, name: &str, errors: &[FieldError]) -> Status {
        let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let list = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let kind = if def.group.is_empty() { def.kind.to_string() } else { format!("{}.{}", def.kind, def.group) };
        let mut status = Status::new(Reason::Invalid, format!("{kind} {name:?} is invalid: {list}")).about(def, name);
        if let Some(details) = &mut status.details {
            details.kind = Some(def.kind.to_string());
            details.causes = Some(errors.iter().map(cause).collect());
        }
        status
    }
    /// `who` is the user's name; `verb` and the rest as the authorizer was asked.
    pub fn forbidden(def: &ResourceDef, name: &str, why: &str) -> Status {
        let subject = if name.is_empty() {
            format!("{} is forbidden: {why}", def.group_resource())
        } else {
            format!("{} {name:?} is forbidden: {why}", def.group_resource())
        };
        Status::new(Reason::Forbidden, subject).about(def, name)
    }
    pub fn unauthorized() -> Status {
        Status::new(Reason::Unauthorized, "Unauthorized")
    }
    pub fn bad_request(message: impl Into<String>) -> Status {
        Status::new(Reason::BadRequest, message)
    }
    pub fn internal(message: impl std::fmt::Display) -> Status {
        Status::new(Reason::InternalError, format!("Internal error occurred: {message}"))
    }
    /// A resourceVersion or continue token older than what is kept.
    pub fn expired(message: impl Into<String>) -> Status {
        Status::new(Reason::Expired, message)
    }
    pub fn method_not_allowed() -> Status {
        Status::new(Reason::MethodNotAllowed, "the server does not allow this method on the requested resource")
    }
    pub fn too_large(bytes_max: usize) -> Status {
        Status::new(Reason::RequestEntityTooLarge, format!("Request entity too large: limit is {bytes_max}"))
    }
    pub fn unsupported_media_type(supported: &[&str]) -> Status {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            supported.join(", ")
        );
        Status::new(Reason::UnsupportedMediaType, message)
    }
    pub fn not_acceptable(supported: &[&str]) -> Status {
        let message = format!("only the following media types are accepted: {}", supported.join(", "));
        Status::new(Reason::NotAcceptable, message)
    }
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: i32) -> Status {
        let mut status = Status::new(Reason::TooManyRequests, message);
        status.details = Some(Box::new(meta::StatusDetails {
            retry_after_seconds: Some(retry_after_seconds).filter(|seconds| *seconds > 0),
            ..Default::default()
        }));
        status
    }
    pub fn unavailable(message: impl Into<String>) -> Status {
        Status::new(Reason::ServiceUnavailable, message)
    }
    /// What Sampan knows of but has not built.
    pub fn not_implemented(what: impl std::fmt::Display) -> Status {
        Status::new(Reason::NotImplemented, format!("{what} is not implemented by this server"))
    }

    /// The wire object.
    pub fn object(&self) -> meta::Status {
        meta::Status {
            status: Some("Failure".to_owned()),
            message: Some(self.message.clone()),
            reason: Some(self.reason_text.as_deref().unwrap_or(self.reason.name()).to_owned())
                .filter(|reason| !reason.is_empty()),
            code: Some(self.code.into()),
            details: self.details.as_deref().cloned(),
            ..Default::default()
        }
    }

    /// From the wire object, as a client reads it.
    pub fn from_object(code: u16, object: meta::Status) -> Status {
        Status {
            reason: object.reason.as_deref().map_or(Reason::Unknown, Reason::parse),
            reason_text: object
                .reason
                .filter(|text| !text.is_empty() && Reason::parse(text) == Reason::Unknown)
                .map(String::into_boxed_str),
            code: object.code.and_then(|code| u16::try_from(code).ok()).unwrap_or(code),
            message: object.message.unwrap_or_else(|| format!("the server answered {code} without a message")),
            details: object.details.map(Box::new),
        }
    }
}

fn cause(error: &FieldError) -> meta::StatusCause {
    meta::StatusCause {
        field: Some(error.path.to_string()),
        message: Some(error.message()),
        reason: Some(error.kind.reason().to_owned()),
    }
}

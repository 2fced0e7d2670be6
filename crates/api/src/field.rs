//! Where a field stands and what is wrong with it, in upstream's words.

use std::fmt;

/// A path such as `spec.containers[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldPath(String);

impl FieldPath {
    pub fn new(root: &str) -> FieldPath {
        FieldPath(root.to_owned())
    }
    pub fn child(&self, name: &str) -> FieldPath {
        if self.0.is_empty() { FieldPath::new(name) } else { self.and([".", name, ""]) }
    }
    pub fn index(&self, index: usize) -> FieldPath {
        FieldPath(format!("{}[{index}]", self.0))
    }
    pub fn key(&self, key: &str) -> FieldPath {
        self.and(["[", key, "]"])
    }
    // Paths are made of good objects too: by copying, as formatting takes several times as long.
    fn and(&self, parts: [&str; 3]) -> FieldPath {
        let mut path = String::with_capacity(self.0.len() + parts.iter().map(|part| part.len()).sum::<usize>());
        path.push_str(&self.0);
        parts.iter().for_each(|part| path.push_str(part));
        FieldPath(path)
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kinds of error, with the cause reason that `Status.details.causes` carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

impl FieldErrorKind {
    pub fn reason(self) -> &'static str {
        match self {
            FieldErrorKind::NotFound => "FieldValueNotFound",
            FieldErrorKind::Required => "FieldValueRequired",
            FieldErrorKind::Duplicate => "FieldValueDuplicate",
            FieldErrorKind::Invalid => "FieldValueInvalid",
            FieldErrorKind::NotSupported => "FieldValueNotSupported",
            FieldErrorKind::Forbidden => "FieldValueForbidden",
            FieldErrorKind::TooLong => "FieldValueTooLong",
            FieldErrorKind::TooMany => "FieldValueTooMany",
            FieldErrorKind::Internal => "InternalError",
            FieldErrorKind::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn words(self) -> &'static str {
        match self {
            FieldErrorKind::NotFound => "Not found",
            FieldErrorKind::Required => "Required value",
            FieldErrorKind::Duplicate => "Duplicate value",
            FieldErrorKind::Invalid | FieldErrorKind::TypeInvalid => "Invalid value",
            FieldErrorKind::NotSupported => "Unsupported value",
            FieldErrorKind::Forbidden => "Forbidden",
            FieldErrorKind::TooLong => "Too long",
            FieldErrorKind::TooMany => "Too many",
            FieldErrorKind::Internal => "Internal error",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    pub path: FieldPath,
    pub kind: FieldErrorKind,
    /// The offending value as upstream prints it (strings quoted), for kinds that show one.
    pub value: Option<String>,
    pub detail: String,
}

fn shown(value: &(impl serde::Serialize + ?Sized)) -> Option<String> {
    serde_json::to_string(value).ok()
}

impl FieldError {
    pub fn required(path: FieldPath, detail: &str) -> FieldError {
        FieldError { path, kind: FieldErrorKind::Required, value: None, detail: detail.to_owned() }
    }
    pub fn invalid(path: FieldPath, value: &(impl serde::Serialize + ?Sized), detail: impl Into<String>) -> FieldError {
        FieldError { path, kind: FieldErrorKind::Invalid, value: shown(value), detail: detail.into() }
    }
    /// Of a value that is too large to show, or that is wrong only together with others.
    pub fn invalid_unshown(path: FieldPath, detail: impl Into<String>) -> FieldError {
        FieldError { path, kind: FieldErrorKind::Invalid, value: None, detail: detail.into() }
    }
    pub fn duplicate(path: FieldPath, value: &(impl serde::Serialize + ?Sized)) -> FieldError {
        FieldError { path, kind: FieldErrorKind::Duplicate, value: shown(value), detail: String::new() }
    }
    pub fn not_found(path: FieldPath, value: &(impl serde::Serialize + ?Sized)) -> FieldError {
        FieldError { path, kind: FieldErrorKind::NotFound, value: shown(value), detail: String::new() }
    }
    pub fn not_supported(path: FieldPath, value: &(impl serde::Serialize + ?Sized), supported: &[&str]) -> FieldError {
        let mut quoted: Vec<String> = supported.iter().map(|s| format!("{s:?}")).collect();
        quoted.sort();
        let detail = format!("supported values: {}", quoted.join(", "));
        FieldError { path, kind: FieldErrorKind::NotSupported, value: shown(value), detail }
    }
    pub fn forbidden(path: FieldPath, detail: impl Into<String>) -> FieldError {
        FieldError { path, kind: FieldErrorKind::Forbidden, value: None, detail: detail.into() }
    }
    pub fn too_long(path: FieldPath, bytes_max: usize) -> FieldError {
        let detail = format!("may not be more than {bytes_max} bytes");
        FieldError { path, kind: FieldErrorKind::TooLong, value: None, detail }
    }
    pub fn too_many(path: FieldPath, actual: usize, most: usize) -> FieldError {
        let detail = format!("must have at most {most} items");
        FieldError { path, kind: FieldErrorKind::TooMany, value: Some(actual.to_string()), detail }
    }

    /// Without the path: a cause's message.
    pub fn message(&self) -> String {
        let mut text = self.kind.words().to_owned();
        if let Some(value) = &self.value {
            text.push_str(": ");
            text.push_str(value);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message())
    }
}

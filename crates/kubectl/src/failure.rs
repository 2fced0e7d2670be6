//! Why a command failed: the words on standard error and the exit code, both upstream's.

use api::Status;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::StatusCause;

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// The exit code of what names none of its own.
const CODE: u8 = 1;

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The server answered with an error.
    #[error(transparent)]
    Api(#[from] Status),
    /// No answer came.
    #[error("{cause}")]
    Unreachable { server: String, refused: bool, cause: String },
    /// Printed behind `error: `.
    #[error("{0}")]
    Message(String),
    /// Printed as it is.
    #[error("{0}")]
    Verbatim(String),
    /// Several, a line each.
    #[error("{}", .0.iter().map(Failure::line).collect::<Vec<_>>().join("\n"))]
    Many(Vec<Failure>),
    /// An exit code of its own; the text may be empty.
    #[error("{text}")]
    Code { code: u8, text: String },
    /// Nobody reads standard output any more, as after `kubectl get pods | head`.
    #[error("standard output is closed")]
    Closed,
}

/// A file's error as Go words it.
pub(crate) fn go_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => error.to_string(),
    }
}

impl Failure {
    pub(crate) fn message(text: impl Into<String>) -> Failure {
        Failure::Message(text.into())
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Failure::Api(status) if status.reason == api::Reason::NotFound)
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Code { code, .. } => *code,
            _ => CODE,
        }
    }

    /// All that is printed on standard error, without the last newline.
    pub(crate) fn report(&self) -> String {
        match self {
            Failure::Api(status) if status.reason == api::Reason::Invalid => invalid(status),
            Failure::Message(text) if !text.starts_with("error: ") => format!("error: {text}"),
            Failure::Closed => String::new(),
            Failure::Many(all) => match all.as_slice() {
                [one] => one.report(),
                many => many.iter().map(Failure::line).collect::<Vec<_>>().join("\n"),
            },
            other => other.line(),
        }
    }

    /// One line of several.
    fn line(&self) -> String {
        match self {
            Failure::Api(status) => api_line(status),
            Failure::Unreachable { server, refused: true, .. } => {
                let host = server.trim_start_matches("https://").trim_start_matches("http://");
                format!("The connection to the server {host} was refused - did you specify the right host or port?")
            }
            Failure::Unreachable { cause, .. } => format!("Unable to connect to the server: {cause}"),
            other => other.to_string(),
        }
    }

    /// Says in which file the object was.
    pub(crate) fn while_doing(self, verb: &str, source: &str) -> Failure {
        match self {
            Failure::Api(mut status) => {
                status.message = format!("error when {verb} {source:?}: {}", status.message);
                Failure::Api(status)
            }
            Failure::Message(text) => Failure::Message(format!("error when {verb} {source:?}: {text}")),
            other => other,
        }
    }

    /// The whole of several outcomes: nothing where none failed.
    pub(crate) fn of_all(failures: Vec<Failure>) -> Result<()> {
        if failures.is_empty() { Ok(()) } else { Err(Failure::Many(failures)) }
    }
}

fn api_line(status: &Status) -> String {
    match status.reason {
        api::Reason::Unauthorized => format!("error: You must be logged in to the server ({})", status.message),
        api::Reason::Unknown => format!("Error from server: {}", status.message),
        reason => format!("Error from server ({}): {}", reason.name(), status.message),
    }
}

/// A rejected object reads as its list of complaints.
fn invalid(status: &Status) -> String {
    let Some(details) = &status.details else {
        return format!("The request is invalid: {}", status.message);
    };
    let (kind, name) = (details.kind.as_deref().unwrap_or_default(), details.name.as_deref().unwrap_or_default());
    let causes = details.causes.as_deref().unwrap_or_default();
    let subject = if !kind.is_empty() || !name.is_empty() {
        format!("The {kind} {name:?} is invalid")
    } else if causes.is_empty() {
        format!("The request is invalid: {}", status.message)
    } else {
        "The request is invalid".to_owned()
    };
    match causes {
        [] => subject,
        [one] => format!("{subject}: {}", cause(one)),
        many => {
            let lines: Vec<String> = many.iter().map(|one| format!("* {}", cause(one))).collect();
            format!("{subject}: \n{}", lines.join("\n"))
        }
    }
}

fn cause(cause: &StatusCause) -> String {
    format!("{}: {}", cause.field.as_deref().unwrap_or_default(), cause.message.as_deref().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::{FieldError, FieldPath, Kind};
    use k8s_openapi::api::core::v1::Pod;

    #[test]
    fn an_error_reads_as_upstream_prints_it() {
        let not_found = || Failure::from(Status::not_found(&Pod::DEF, "x"));
        let field = |name: &str| FieldError::required(FieldPath::new(name), "");
        for (failure, text) in [
            (not_found(), "Error from server (NotFound): pods \"x\" not found"),
            (
                Failure::Many(vec![not_found(), Failure::message("b")]),
                "Error from server (NotFound): pods \"x\" not found\nb",
            ),
            (Failure::message("no such flag"), "error: no such flag"),
            (Failure::message("error: once"), "error: once"),
            (Failure::from(Status::unauthorized()), "error: You must be logged in to the server (Unauthorized)"),
            (
                Failure::Unreachable { server: "https://127.0.0.1:1".into(), refused: true, cause: "x".into() },
                "The connection to the server 127.0.0.1:1 was refused - did you specify the right host or port?",
            ),
            (
                Failure::from(Status::invalid(&Pod::DEF, "p", &[field("spec")])),
                "The Pod \"p\" is invalid: spec: Required value",
            ),
            (
                Failure::from(Status::invalid(&Pod::DEF, "p", &[field("spec"), field("kind")])),
                "The Pod \"p\" is invalid: \n* spec: Required value\n* kind: Required value",
            ),
            (
                not_found().while_doing("creating", "a.yaml"),
                "Error from server (NotFound): error when creating \"a.yaml\": pods \"x\" not found",
            ),
        ] {
            assert_eq!(failure.report(), text);
        }
    }
}

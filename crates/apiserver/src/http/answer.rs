//! What a verb answers, and how it reads on the wire.

use super::body::AnswerBody;
use api::Status;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tokio::task::JoinHandle;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    pub(crate) content_type: &'static str,
    pub(crate) headers: HeaderMap,
    /// Shown to the user by their client, one `Warning` header each.
    pub(crate) warnings: Vec<String>,
    pub(crate) body: AnswerBody,
    /// Of an upgraded connection, the task that carries its bytes.
    pub(crate) spliced: Option<JoinHandle<()>>,
}

/// Bytes of warnings in one answer; what goes beyond is cut, as upstream does.
const WARNING_BYTES_MAX: usize = 4096;

impl Answer {
    pub(crate) fn json(body: impl Into<Bytes>) -> Answer {
        Answer::of("application/json", AnswerBody::Bytes(body.into()))
    }

    pub(crate) fn text(body: impl Into<Bytes>) -> Answer {
        Answer::of("text/plain; charset=utf-8", AnswerBody::Bytes(body.into()))
    }

    pub(crate) fn of(content_type: &'static str, body: AnswerBody) -> Answer {
        Answer {
            code: StatusCode::OK,
            content_type,
            headers: HeaderMap::new(),
            warnings: Vec::new(),
            body,
            spliced: None,
        }
    }

    pub(crate) fn code(mut self, code: StatusCode) -> Answer {
        self.code = code;
        self
    }

    pub(crate) fn warn(mut self, warnings: Vec<String>) -> Answer {
        self.warnings.extend(warnings);
        self
    }

    pub(crate) fn header(mut self, name: header::HeaderName, value: HeaderValue) -> Answer {
        self.headers.insert(name, value);
        self
    }

    /// A serializable answer; that it does not serialize is the server's fault.
    pub(crate) fn serialized(value: &impl serde::Serialize) -> Result<Answer, Status> {
        let body =
            serde_json::to_vec(value).map_err(|error| Status::internal(format!("encoding an answer: {error}")))?;
        Ok(Answer::json(body))
    }

    pub(crate) fn error(status: &Status) -> Answer {
        let body = match serde_json::to_vec(&status.object()) {
            Ok(body) => body,
            Err(error) => error.to_string().into_bytes(),
        };
        let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = Answer::json(body).code(code);
        let retry = status.details.as_ref().and_then(|details| details.retry_after_seconds);
        if let Some(seconds) = retry.filter(|seconds| *seconds > 0) {
            answer = answer.header(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if code == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"kubernetes-master\"");
            answer = answer.header(header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }

    pub(crate) fn into_response(self) -> Response<AnswerBody> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.code;
        *response.headers_mut() = self.headers;
        let headers = response.headers_mut();
        if !self.content_type.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
        let mut left = WARNING_BYTES_MAX;
        for text in &self.warnings {
            let Some(value) = warning(text) else { continue };
            if value.len() > left {
                break;
            }
            left -= value.len();
            headers.append(header::WARNING, value);
        }
        response
    }
}

/// The answer to HEAD: it says how long the body is that it leaves out. A body that came all the same would read as a
/// broken stream of HTTP/2, where nobody below takes it out.
pub(crate) fn header_only(response: Response<AnswerBody>) -> Response<AnswerBody> {
    let (mut parts, body) = response.into_parts();
    if let AnswerBody::Bytes(bytes) = &body {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert(HeaderValue::from(bytes.len()));
    }
    Response::from_parts(parts, AnswerBody::empty())
}

/// RFC 7234's form: `299 - "text"`; control characters are left out.
fn warning(text: &str) -> Option<HeaderValue> {
    let mut quoted = String::with_capacity(text.len() + 10);
    quoted.push_str("299 - \"");
    for character in text.chars().filter(|character| !character.is_control()) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    HeaderValue::from_bytes(quoted.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted() {
        let response = Answer::json("{}").warn(vec!["unknown field \"spec.foo\"\n".to_owned()]).into_response();
        assert_eq!(response.headers()[header::WARNING], r#"299 - "unknown field \"spec.foo\"""#);
    }

    #[test]
    fn an_answer_to_head_tells_the_length_alone() {
        let response = header_only(Answer::json("{}").into_response());
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "2");
        assert!(matches!(response.body(), AnswerBody::Bytes(bytes) if bytes.is_empty()));
    }

    #[test]
    fn an_error_says_when_to_try_again() {
        let response = Answer::error(&Status::too_many_requests("slow down", 7)).into_response();
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()[header::RETRY_AFTER], "7");
    }
}

//! How a command ended, as a `metav1.Status`.

use serde_json::{Value, json};

/// As upstream's exec handler writes it.
pub(super) fn exit_status(code: Option<i32>, args: &[String]) -> Value {
    match code {
        None | Some(0) => json!({ "metadata": {}, "status": "Success" }),
        Some(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": format!(
                "command terminated with non-zero exit code: error executing command {args:?}, exit code {code}"
            ),
            "reason": "NonZeroExitCode",
            "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] },
        }),
    }
}

/// That it never began.
pub(super) fn failure(text: &str) -> Value {
    json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("Internal error occurred: {text}"),
        "reason": "InternalError",
        "details": { "causes": [{ "message": text }] },
        "code": 500,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_as_upstream_tells_them() {
        assert_eq!(exit_status(Some(0), &[]).to_string(), r#"{"metadata":{},"status":"Success"}"#);
        let failure = exit_status(Some(3), &["sh".into()]);
        assert_eq!(failure["reason"], "NonZeroExitCode");
        assert_eq!(failure["details"]["causes"][0], json!({ "reason": "ExitCode", "message": "3" }));
    }
}

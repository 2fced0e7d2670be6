//! `pods/NAME/log`: the kubelet's answer, as it comes.

use super::{dial, pod};
use crate::call::Call;
use crate::http::{Answer, Query};
use api::Status;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

/// What a kubelet is told of what the client asked.
const OPTIONS: &[&str] =
    &["follow", "limitBytes", "previous", "sinceSeconds", "sinceTime", "stream", "tailLines", "timestamps"];

pub(crate) async fn logs(call: &Call<'_>) -> Result<Answer, Status> {
    check(call.query)?;
    let pod = pod::find(call).await?;
    let container = pod::container(&pod, call.query.get("container"))?;
    let node = pod::node_name(&pod);
    if node.is_empty() {
        // A pod that no node has, has said nothing yet.
        return Ok(Answer::text(""));
    }
    let access = call.backend.kubelets.as_ref().ok_or_else(no_access)?;
    let (host, port) = pod::kubelet_address(call, node).await?;
    let path = format!(
        "/containerLogs/{}/{}/{container}{}",
        call.namespace(),
        call.info.name,
        query_text(OPTIONS.iter().filter_map(|name| Some((*name, call.query.find(name)?))))
    );
    let request = Request::get(path).body(Full::new(Bytes::new())).map_err(Status::internal)?;
    let response = access.send(&host, port, request).await?;
    if !response.status().is_success() {
        return Err(dial::refusal(response).await);
    }
    Ok(Answer::of("text/plain", dial::body(response)))
}

pub(super) fn no_access() -> Status {
    Status::unavailable("this server was started without access to kubelets")
}

fn check(query: &Query) -> Result<(), Status> {
    for name in ["limitBytes", "sinceSeconds", "tailLines"] {
        let smallest = if name == "tailLines" { 0 } else { 1 };
        if query.integer(name)?.is_some_and(|value| value < smallest) {
            let message = format!(
                "PodLogOptions \"\" is invalid: {name}: Invalid value: must be greater than or equal to {smallest}"
            );
            return Err(Status::new(api::Reason::Invalid, message));
        }
    }
    if query.find("sinceSeconds").is_some() && query.find("sinceTime").is_some() {
        return Err(Status::bad_request("at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    Ok(())
}

/// `?a=b&c=d` with what must be escaped escaped; empty for no pairs.
pub(super) fn query_text<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        text.push(if text.is_empty() { '?' } else { '&' });
        text.push_str(name);
        text.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped() {
        let pairs = [("command", "sh -c"), ("command", "a&b=é")];
        assert_eq!(query_text(pairs.into_iter()), "?command=sh%20-c&command=a%26b%3D%C3%A9");
        assert_eq!(query_text(std::iter::empty()), "");
    }
}

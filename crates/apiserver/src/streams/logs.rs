//! `pods/NAME/log`: the kubelet's answer, as it comes.

use super::{dial, pod};
use crate::call::Call;
use crate::http::{Answer, Query, query_text};
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

//! `/logs/search`: lines of all containers of the node, also of those that are gone, as JSON.

use super::Server;
use super::reply::{self, Body, text};
use super::route::pairs;
use ::logs::{LabelMatch, Refusal, Request};
use api::selector::Selector;
use http::Response;
use jiff::Timestamp;
use std::sync::Arc;

pub(super) fn answer(server: &Server, query: &str) -> Response<Body> {
    let Some(searches) = &server.searches else { return text(501, "this node keeps no logs to search") };
    let pairs = pairs(query);
    let pairs = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let now = i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX);
    let request = match Request::parse(pairs, now, labels) {
        Ok(request) => request,
        Err(error) => return text(400, error),
    };
    match searches.answer(request) {
        Ok(chunks) => reply::answer(200, "application/x-ndjson", reply::chunked(chunks)),
        Err(refusal @ Refusal::Query(_)) => text(400, refusal.to_string()),
        Err(refusal @ (Refusal::Busy | Refusal::TooMany)) => text(429, refusal.to_string()),
    }
}

fn labels(text: &str) -> Result<LabelMatch, String> {
    let selector = Selector::parse(text).map_err(|error| format!("invalid labelSelector: {error}"))?;
    Ok(Arc::new(move |labels| selector.matches(labels)))
}

//! The pages of usage: of whoever measures the node.

use super::Server;
use super::reply::{Body, answer as reply, full, text};
use crate::running::UsagePage;
use http::Response;

pub(super) fn answer(server: &Server, page: UsagePage) -> Response<Body> {
    let Some(usage) = &server.context.usage else {
        return text(501, "nothing measures what this node uses");
    };
    let content_type = match page {
        UsagePage::Summary => "application/json",
        UsagePage::Resource | UsagePage::Cadvisor => "text/plain; version=0.0.4; charset=utf-8",
    };
    reply(200, content_type, full(usage.page(page)))
}

//! Requests and answers as HTTP has them: paths, queries, media types, bodies.

mod answer;
mod body;
mod indent;
mod negotiate;
mod path;
mod query;
mod shape;

pub(crate) use answer::{Answer, header_only};
pub(crate) use body::{AnswerBody, Chunks};
pub(crate) use negotiate::{Form, IncludeObject, form, media_type};
pub(crate) use path::{RequestInfo, unescape};
pub(crate) use query::{Query, escape, query_text};
pub(crate) use shape::{compressed, indented, is_pretty};

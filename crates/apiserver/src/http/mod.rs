//! Requests and answers as HTTP has them: paths, queries, media types, bodies.

mod answer;
mod body;
mod negotiate;
mod path;
mod query;

pub(crate) use answer::Answer;
pub(crate) use body::{AnswerBody, Chunks};
pub(crate) use negotiate::{Form, IncludeObject, form, media_type};
pub(crate) use path::{RequestInfo, unescape};
pub(crate) use query::Query;

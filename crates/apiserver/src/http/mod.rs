//! Requests and answers as HTTP has them: paths, queries, media types, bodies.

mod answer;
mod body;
mod negotiate;
mod path;
mod query;

pub use answer::Answer;
pub use body::{AnswerBody, BodyError, Chunks};
pub use negotiate::{Form, IncludeObject, form, media_type};
pub use path::{RequestInfo, unescape};
pub use query::Query;

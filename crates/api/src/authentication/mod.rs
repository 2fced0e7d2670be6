//! The kinds of the authentication group.

mod self_subject_review;
mod token_request;
mod token_review;

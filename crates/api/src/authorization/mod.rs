//! The kinds of the authorization group.

mod local_subject_access_review;
mod reviews;
mod self_subject_access_review;
mod self_subject_rules_review;
mod subject_access_review;

//! The kinds of the apiregistration group.

mod api_service;

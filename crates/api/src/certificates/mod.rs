//! The kinds of the certificates group.

mod certificate_signing_request;

//! The names of signers: `example.com/signer-name`.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};

/// Longest signer name: a domain, a slash and a path of 571 bytes.
const SIGNER_NAME_BYTES_MAX: usize = 571;

pub(crate) fn signer_name(errors: &mut Errors, path: &FieldPath, name: &str) {
    let Some((domain, rest)) = name.split_once('/') else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        match name {
            "" => errors.push(FieldError::required(path.clone(), "")),
            name => errors.push(FieldError::invalid(path.clone(), name, detail)),
        }
        return;
    };
    if name.len() > SIGNER_NAME_BYTES_MAX {
        errors.push(FieldError::too_long(path.clone(), SIGNER_NAME_BYTES_MAX));
    }
    for part in domain.split('.') {
        let complaints = crate::labels::dns1123_label(part, false);
        let complaints = complaints.into_iter().map(|text| format!("validating label {part:?}: {text}"));
        check::each(errors, path, domain, complaints);
    }
    if !domain.contains('.') {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(path.clone(), domain, detail));
    }
    for part in rest.split('.') {
        let complaints = crate::labels::dns1123_subdomain(part, false);
        let complaints = complaints.into_iter().map(|text| format!("validating label {part:?}: {text}"));
        check::each(errors, path, rest, complaints);
    }
}

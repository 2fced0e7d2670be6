//! How to reach a webhook: what is wrong with its URL or its service, for admission and conversion alike.

use crate::check::{self, Errors};
use crate::field::{FieldError, FieldPath};
use crate::labels;

const FORM: &str = "; desired format: https://host[/path]";
pub(crate) const PORT_DEFAULT: i32 = 443;
const EXACTLY_ONE: &str = "exactly one of url or service is required";
const ACCEPTED_VERSIONS: &[&str] = &["v1", "v1beta1"];

/// A service behind which a webhook listens.
pub(crate) struct Service<'a> {
    pub(crate) name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) path: Option<&'a str>,
    pub(crate) port: Option<i32>,
}

/// Exactly one of a URL and a service, and that it can be one.
pub(crate) fn client(errors: &mut Errors, path: &FieldPath, url: Option<&str>, service: Option<&Service<'_>>) {
    match (url, service) {
        (Some(url), None) => self::url(errors, &path.child("url"), url),
        (None, Some(own)) => self::service(errors, &path.child("service"), own),
        _ => errors.push(FieldError::required(path.clone(), EXACTLY_ONE)),
    }
}

fn url(errors: &mut Errors, path: &FieldPath, url: &str) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    if scheme != "https" {
        let detail = format!("'https' is the only allowed URL scheme{FORM}");
        errors.push(FieldError::invalid(path.clone(), scheme, detail));
    }
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = if scheme.is_empty() { "" } else { rest.split('/').next().unwrap_or_default() };
    let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    if host.is_empty() {
        errors.push(FieldError::invalid(path.clone(), host, format!("host must be specified{FORM}")));
    }
    for (part, detail) in [
        (user, "user information is not permitted in the URL"),
        (fragment, "fragments are not permitted in the URL"),
        (query, "query parameters are not permitted in the URL"),
    ] {
        if !part.is_empty() {
            errors.push(FieldError::invalid(path.clone(), part, detail));
        }
    }
}

fn service(errors: &mut Errors, path: &FieldPath, service: &Service<'_>) {
    if service.name.is_empty() {
        errors.push(FieldError::required(path.child("name"), "service name is required"));
    }
    if service.namespace.is_empty() {
        errors.push(FieldError::required(path.child("namespace"), "service namespace is required"));
    }
    let port = service.port.unwrap_or(PORT_DEFAULT);
    let complaints = labels::port_number(port);
    if !complaints.is_empty() {
        let detail = format!("port is not valid: {}", complaints.join(", "));
        errors.push(FieldError::invalid(path.child("port"), &port, detail));
    }
    url_path(errors, &path.child("path"), service.path.unwrap_or_default());
}

fn url_path(errors: &mut Errors, path: &FieldPath, text: &str) {
    match text {
        "" | "/" => return,
        "//" => {
            errors.push(FieldError::invalid(path.clone(), text, "segment[0] may not be empty"));
            return;
        }
        _ => {}
    }
    let Some(rest) = text.strip_prefix('/') else {
        errors.push(FieldError::invalid(path.clone(), text, "must start with a '/'"));
        return;
    };
    for (index, step) in rest.strip_suffix('/').unwrap_or(rest).split('/').enumerate() {
        if step.is_empty() {
            let detail = format!("segment[{index}] may not be empty");
            errors.push(FieldError::invalid(path.clone(), text, detail));
            continue;
        }
        let complaints = labels::dns1123_subdomain(step, false).into_iter();
        check::each(errors, path, text, complaints.map(|complaint| format!("segment[{index}]: {complaint}")));
    }
}

/// The versions of the review that a webhook speaks: at least one that this server speaks too.
pub(crate) fn review_versions(errors: &mut Errors, path: &FieldPath, versions: &[String], none: &str) {
    if versions.is_empty() {
        errors.push(FieldError::required(path.clone(), none));
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        let path = path.index(index);
        if versions[..index].contains(version) {
            errors.push(FieldError::invalid(path, version, "duplicate version"));
        } else {
            check::each(errors, &path, version, labels::dns1035_label(version, false));
        }
    }
    if !versions.iter().any(|version| ACCEPTED_VERSIONS.contains(&version.as_str())) {
        let detail = format!("must include at least one of {}", ACCEPTED_VERSIONS.join(", "));
        errors.push(FieldError::invalid(path.clone(), versions, detail));
    }
}

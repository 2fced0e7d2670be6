//! Certificate requests: who asks whom for a certificate, and for what names.
//!
//! Invariant: what is asked for is read from the request itself, never from what is said about it.

use super::page::{Page, items, time};
use crate::calls::{name_of, text};
use base64::Engine;
use serde_json::Value;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::der_parser::oid;
use x509_parser::der_parser::oid::Oid;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::x509::X509Name;

const COMMON_NAME: Oid<'static> = oid!(2.5.4.3);
const SERIAL_NUMBER: Oid<'static> = oid!(2.5.4.5);

/// Parts of a subject that are left out where there are none, in upstream's order.
const PARTS: [(&str, Oid<'static>); 7] = [
    ("Organization", oid!(2.5.4.10)),
    ("Organizational Unit", oid!(2.5.4.11)),
    ("Country", oid!(2.5.4.6)),
    ("Locality", oid!(2.5.4.7)),
    ("Province", oid!(2.5.4.8)),
    ("StreetAddress", oid!(2.5.4.9)),
    ("PostalCode", oid!(2.5.4.17)),
];

pub(super) fn request(object: &Value, _: &[Value], page: &mut Page) {
    page.pair(0, "Name", name_of(object));
    page.labels("Labels", object.pointer("/metadata/labels"));
    // Upstream shows them as labels, with what `apply` keeps there.
    page.labels("Annotations", object.pointer("/metadata/annotations"));
    page.pair(0, "CreationTimestamp", time(text(object, "/metadata/creationTimestamp")));
    page.pair(0, "Requesting User", text(object, "/spec/username"));
    page.pair_of(0, "Signer", object, "/spec/signerName");
    if let Some(seconds) = object.pointer("/spec/expirationSeconds").and_then(Value::as_i64) {
        page.pair(0, "Requested Duration", api::table::duration(seconds));
    }
    page.pair(0, "Status", status(object));
    let pem = base64::engine::general_purpose::STANDARD.decode(text(object, "/spec/request")).unwrap_or_default();
    match parse_x509_pem(&pem) {
        Ok((_, pem)) => match X509CertificationRequest::from_der(&pem.contents) {
            Ok((_, asked)) => wanted(&asked, page),
            Err(error) => page.line(0, format_args!("Error parsing CSR: {error}")),
        },
        Err(error) => page.line(0, format_args!("Error parsing CSR: {error}")),
    }
}

fn status(object: &Value) -> String {
    let has = |kind: &str| items(object, "/status/conditions").iter().any(|condition| condition["type"] == kind);
    let mut status = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if has("Failed") {
        status.push_str(",Failed");
    }
    if !text(object, "/status/certificate").is_empty() {
        status.push_str(",Issued");
    }
    status
}

fn wanted(asked: &X509CertificationRequest<'_>, page: &mut Page) {
    let subject = &asked.certification_request_info.subject;
    page.line(0, "Subject:");
    for (label, part) in [("Common Name", &COMMON_NAME), ("Serial Number", &SERIAL_NUMBER)] {
        // Of several the last one counts.
        page.line(0, format_args!("\t{label}:\t{}", texts(subject, part).pop().unwrap_or_default()));
    }
    for (label, part) in &PARTS {
        list(label, &texts(subject, part), page);
    }
    let names = Names::of(asked);
    if names.is_empty() {
        return;
    }
    page.line(0, "Subject Alternative Names:");
    list("DNS Names", &names.dns, page);
    list("Email Addresses", &names.emails, page);
    list("URIs", &names.uris, page);
    list("IP Addresses", &names.addresses, page);
}

fn texts(subject: &X509Name<'_>, part: &Oid<'_>) -> Vec<String> {
    let attributes = subject.iter_attributes().filter(|attribute| attribute.attr_type() == part);
    attributes.map(|attribute| attribute.as_str().unwrap_or_default().to_owned()).collect()
}

fn list(label: &str, values: &[String], page: &mut Page) {
    if !values.is_empty() {
        page.line(0, format_args!("\t{label}:\t{}", values.join("\n\t\t")));
    }
}

/// Other names that are asked for.
#[derive(Default)]
struct Names {
    dns: Vec<String>,
    emails: Vec<String>,
    uris: Vec<String>,
    addresses: Vec<String>,
}

impl Names {
    fn of(asked: &X509CertificationRequest<'_>) -> Names {
        let mut names = Names::default();
        for extension in asked.requested_extensions().into_iter().flatten() {
            let ParsedExtension::SubjectAlternativeName(alternative) = extension else { continue };
            for name in &alternative.general_names {
                match name {
                    GeneralName::DNSName(name) => names.dns.push((*name).to_owned()),
                    GeneralName::RFC822Name(name) => names.emails.push((*name).to_owned()),
                    GeneralName::URI(name) => names.uris.push((*name).to_owned()),
                    GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                    _ => {}
                }
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        [&self.dns, &self.emails, &self.uris, &self.addresses].iter().all(|names| names.is_empty())
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| std::net::IpAddr::from(bytes).to_string());
    four.ok().or_else(|| <[u8; 16]>::try_from(bytes).ok().map(|bytes| std::net::IpAddr::from(bytes).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_request_that_cannot_be_read_is_still_described() {
        let object = json!({"metadata": {"name": "x"}, "spec": {"username": "u", "request": "YQ=="},
            "status": {"conditions": [{"type": "Denied"}, {"type": "Failed"}], "certificate": "YQ=="}});
        let mut page = Page::default();
        request(&object, &[], &mut page);
        let text = page.finish();
        assert!(text.contains("Denied,Failed,Issued") && text.contains("Error parsing CSR: "), "{text}");
    }
}

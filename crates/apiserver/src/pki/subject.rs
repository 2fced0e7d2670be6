//! A certificate under a subject of whatever form, as a request has it.
//!
//! The library that makes certificates writes each attribute of a name once, but a user of several groups has as many
//! organizations. So the certificate is made without a subject, the request's own is put in, and it is signed again.

use super::authority::Authority;
use super::csr::CsrError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::SigningKey;

const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;
/// Lengths from here on are written with a count of bytes before them.
const LONG: u8 = 0x80;
const LINE_LENGTH: usize = 64;

/// A DER value: tag, length, content.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut value = vec![tag];
    match u8::try_from(length) {
        Ok(short) if short < LONG => value.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
            let significant = &bytes[skipped..];
            // At most eight bytes: the count always fits.
            value.push(LONG | significant.len().to_le_bytes()[0]);
            value.extend_from_slice(significant);
        }
    }
    parts.iter().for_each(|part| value.extend_from_slice(part));
    value
}

/// Where a DER value's content begins.
fn content_at(value: &[u8]) -> Option<usize> {
    let length = *value.get(1)?;
    Some(if length < LONG { 2 } else { 2 + usize::from(length & !LONG) })
}

fn pem(certificate: &[u8]) -> String {
    let encoded = STANDARD.encode(certificate);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE_LENGTH));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

/// The certificate (in DER) under another subject (in DER), signed by its authority again; in PEM.
pub(crate) fn with_subject(authority: &Authority, certificate: &[u8], subject: &[u8]) -> Result<String, CsrError> {
    let malformed = || CsrError::Sign("a new certificate is malformed".to_owned());
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|_| malformed())?;
    let body = parsed.tbs_certificate.as_ref();
    let placeholder = parsed.tbs_certificate.subject.as_raw();
    // The parser's slices lie in the certificate's own bytes.
    let begin = (placeholder.as_ptr().addr()).checked_sub(body.as_ptr().addr()).ok_or_else(malformed)?;
    let before = body.get(content_at(body).ok_or_else(malformed)?..begin).ok_or_else(malformed)?;
    let after = body.get(begin + placeholder.len()..).ok_or_else(malformed)?;
    let signed = der(SEQUENCE, &[before, subject, after]);

    let rest = certificate.get(content_at(certificate).ok_or_else(malformed)? + body.len()..).ok_or_else(malformed)?;
    let algorithm_length = 2 + usize::from(*rest.get(1).filter(|length| **length < LONG).ok_or_else(malformed)?);
    let algorithm = rest.get(..algorithm_length).ok_or_else(malformed)?;
    let signature = authority.issuer().key().sign(&signed).map_err(|error| CsrError::Sign(error.to_string()))?;
    let signature = der(BIT_STRING, &[&[0], &signature]);
    Ok(pem(&der(SEQUENCE, &[&signed, algorithm, &signature])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_as_der_has_them() {
        for (length, header) in
            [(0, vec![0x30, 0]), (127, vec![0x30, 127]), (128, vec![0x30, 0x81, 128]), (300, vec![0x30, 0x82, 1, 44])]
        {
            let value = der(SEQUENCE, &[&vec![7; length]]);
            assert_eq!(value[..header.len()], header);
            assert_eq!(content_at(&value), Some(header.len()));
            assert_eq!(value.len(), header.len() + length);
        }
    }
}

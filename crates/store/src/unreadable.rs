//! What stands in place of a value that is there but cannot be read: a NUL, then why.
//!
//! Invariant: no value of the API is mistaken for one: JSON never begins with a NUL.

use bytes::Bytes;

const MARK: u8 = 0;

/// The stand-in for a value that cannot be read for `reason`.
pub fn unreadable(reason: &str) -> Bytes {
    let mut value = Vec::with_capacity(reason.len() + 1);
    value.push(MARK);
    value.extend_from_slice(reason.as_bytes());
    Bytes::from(value)
}

/// Why a value cannot be read, where it is a stand-in.
pub fn unreadable_reason(value: &[u8]) -> Option<&str> {
    let (mark, reason) = value.split_first()?;
    if *mark != MARK { None } else { std::str::from_utf8(reason).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_says_why_and_no_object_is_one() {
        assert_eq!(unreadable_reason(&unreadable("no matching prefix found")), Some("no matching prefix found"));
        for value in [&b""[..], b"{}", b"k8s:enc:aesgcm:v1:key1:\0"] {
            assert_eq!(unreadable_reason(value), None);
        }
    }
}

//! The kernel's texts, read as bytes and without allocation.

/// The number at the beginning; `None` where there is none or it does not fit.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    let mut found = None;
    for digit in digits {
        let so_far = found.unwrap_or(0u64);
        found = Some(so_far.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?);
    }
    found
}

/// Calls `field` with each line's first word (a colon at its end left out) and the number behind it.
pub(super) fn fields(text: &[u8], mut field: impl FnMut(&[u8], u64)) {
    for line in text.split(|byte| *byte == b'\n') {
        let Some(end) = line.iter().position(|byte| *byte == b' ' || *byte == b':') else { continue };
        let value = line[end..].iter().position(u8::is_ascii_digit).and_then(|start| number(&line[end + start..]));
        if let Some(value) = value {
            field(&line[..end], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_end_where_digits_do() {
        assert_eq!(number(b"123\n"), Some(123));
        assert_eq!(number(b"max\n"), None);
        assert_eq!(number(b""), None);
        assert_eq!(number(b"99999999999999999999"), None);
    }

    #[test]
    fn fields_are_lines_with_numbers() {
        let mut seen = Vec::new();
        fields(b"rss 12\nMemTotal:       16 kB\nnothing\nname text\n", |name, value| {
            seen.push((String::from_utf8_lossy(name).into_owned(), value));
        });
        assert_eq!(seen, [("rss".to_owned(), 12), ("MemTotal".to_owned(), 16)]);
    }
}

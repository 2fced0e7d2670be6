//! Texts and bytes in quotes: `'a'`, `"a"`, `'''a'''`, raw `r'a'`, bytes `b'a'`, and their escapes.

use super::ast::Literal;

/// The literal that a text begins with and its length in bytes; none if it begins with no quotes.
pub(crate) fn text(rest: &str) -> Option<Result<(Literal, usize), String>> {
    let prefix = rest.bytes().take(2).take_while(|byte| matches!(byte, b'r' | b'R' | b'b' | b'B')).count();
    let flags = rest[..prefix].to_ascii_lowercase();
    if matches!(flags.as_str(), "rr" | "bb") {
        return None;
    }
    let quoted = &rest[prefix..];
    let quote = ["'''", "\"\"\"", "'", "\""].into_iter().find(|quote| quoted.starts_with(quote))?;
    let (raw, bytes) = (flags.contains('r'), flags.contains('b'));
    let body = &quoted[quote.len()..];
    let Some(end) = end_of(body, quote, raw) else {
        return Some(Err(format!("Syntax error: token recognition error at: '{}'", rest.lines().next().unwrap_or(""))));
    };
    let length = prefix + quote.len() + end + quote.len();
    let content = if quote.len() == 3 { body[..end].replace("\r\n", "\n") } else { body[..end].to_owned() };
    Some(
        match (raw, bytes) {
            (true, true) => Ok(Literal::Bytes(content.into_bytes())),
            (true, false) => Ok(Literal::String(content)),
            (false, true) => unescaped(&content, true).map(Literal::Bytes),
            (false, false) => unescaped(&content, false).and_then(|bytes| {
                String::from_utf8(bytes).map(Literal::String).map_err(|_| "invalid unicode code point".to_owned())
            }),
        }
        .map(|literal| (literal, length)),
    )
}

/// Where the closing quotes are.
fn end_of(body: &str, quote: &str, raw: bool) -> Option<usize> {
    let bytes = body.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if body.as_bytes()[index..].starts_with(quote.as_bytes()) {
            return Some(index);
        }
        match bytes[index] {
            b'\\' if !raw => index += 2,
            b'\n' | b'\r' if quote.len() == 1 => return None,
            _ => index += 1,
        }
    }
    None
}

fn unescaped(content: &str, bytes: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(content.len());
    let mut rest = content;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = escape(&rest[at + 1..], bytes, &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// Writes what the escape after a backslash means, and gives what follows it.
fn escape<'c>(rest: &'c str, bytes: bool, out: &mut Vec<u8>) -> Result<&'c str, String> {
    let letter = rest.chars().next().ok_or("unable to unescape string, found '\\' as last character")?;
    let plain = match letter {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' | '?' | '"' | '\'' | '`' => letter as u8,
        'x' | 'X' => return code(&rest[1..], 2, 16, bytes, out),
        'u' if !bytes => return code(&rest[1..], 4, 16, false, out),
        'U' if !bytes => return code(&rest[1..], 8, 16, false, out),
        '0'..='3' => return code(rest, 3, 8, bytes, out),
        _ => return Err(format!("unable to unescape string: \\{letter}")),
    };
    out.push(plain);
    Ok(&rest[1..])
}

fn code<'c>(rest: &'c str, digits: usize, radix: u32, byte: bool, out: &mut Vec<u8>) -> Result<&'c str, String> {
    let number = rest.get(..digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
    let value = number.and_then(|digits| u32::from_str_radix(digits, radix).ok());
    let value = value.ok_or("unable to unescape string: invalid escape sequence")?;
    if byte {
        out.push(u8::try_from(value).map_err(|_| "unable to unescape string: octal escape out of range")?);
    } else {
        let character = char::from_u32(value).ok_or("invalid unicode code point")?;
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
    Ok(&rest[digits..])
}

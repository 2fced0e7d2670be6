//! A cursor over JSON that complains in the words of Go's scanner.
//!
//! Invariants: the input is UTF-8; every token is checked against JSON's grammar, kept or not.

use super::walk::Stop;
use std::borrow::Cow;
use std::ops::Range;

pub(super) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Strings with half a surrogate pair, which Go mends and serde_json refuses, since the last `take`.
    halved: Vec<Range<usize>>,
}

/// A string token.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    /// Between the quotes, escapes and all.
    pub(super) raw: &'a [u8],
    pub(super) escaped: bool,
    /// Of the token, quotes included.
    pub(super) start: usize,
    pub(super) end: usize,
}

impl<'a> Text<'a> {
    /// Its content, escapes resolved as Go resolves them.
    pub(super) fn content(&self) -> Cow<'a, [u8]> {
        if self.escaped { Cow::Owned(unescape(self.raw)) } else { Cow::Borrowed(self.raw) }
    }
}

impl<'a> Scanner<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Scanner { bytes, at: 0, halved: Vec::new() }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn slice(&self, range: Range<usize>) -> &'a [u8] {
        &self.bytes[range]
    }

    pub(super) fn take_halved(&mut self) -> Vec<Range<usize>> {
        std::mem::take(&mut self.halved)
    }

    /// The next byte that is not white space, not consumed.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while let Some(byte) = self.bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// The first byte of the value that must stand here, not consumed.
    #[inline]
    pub(super) fn value_start(&mut self) -> Result<u8, Stop> {
        match self.peek() {
            Some(byte @ (b'"' | b'{' | b'[' | b't' | b'f' | b'n' | b'-' | b'0'..=b'9')) => Ok(byte),
            _ => Err(self.error("looking for beginning of value")),
        }
    }

    /// Steps over `{` or `[`; false when the closing byte follows, which is consumed too.
    #[inline]
    pub(super) fn open(&mut self, close: u8) -> bool {
        self.at += 1;
        if self.peek() == Some(close) {
            self.at += 1;
            return false;
        }
        true
    }

    /// A key and its colon.
    #[inline]
    pub(super) fn key(&mut self) -> Result<Text<'a>, Stop> {
        if self.peek() != Some(b'"') {
            return Err(self.error("looking for beginning of object key string"));
        }
        let key = self.string()?;
        if self.peek() != Some(b':') {
            return Err(self.error("after object key"));
        }
        self.at += 1;
        Ok(key)
    }

    /// After a member: true for a comma, past which the next key stands.
    #[inline]
    pub(super) fn more_members(&mut self) -> Result<bool, Stop> {
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                if self.peek() != Some(b'"') {
                    return Err(self.error("looking for beginning of object key string"));
                }
                Ok(true)
            }
            Some(b'}') => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.error("after object key:value pair")),
        }
    }

    #[inline]
    pub(super) fn more_elements(&mut self) -> Result<bool, Stop> {
        let more = match self.peek() {
            Some(b',') => true,
            Some(b']') => false,
            _ => return Err(self.error("after array element")),
        };
        self.at += 1;
        Ok(more)
    }

    pub(super) fn end(&mut self) -> Result<(), Stop> {
        if self.peek().is_some() { Err(self.error("after top-level value")) } else { Ok(()) }
    }

    /// The string that begins here.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Text<'a>, Stop> {
        let start = self.at;
        self.at += 1;
        let (mut escaped, mut halved) = (false, false);
        loop {
            self.skip_plain();
            match self.bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    halved |= self.escape()?;
                }
                Some(0x20..) => self.at += 1,
                _ => return Err(self.error("in string literal")),
            }
        }
        self.at += 1;
        if halved {
            self.halved.push(start..self.at);
        }
        Ok(Text { raw: &self.bytes[start + 1..self.at - 1], escaped, start, end: self.at })
    }

    /// Moves over bytes that need no look, eight at a time.
    #[inline]
    fn skip_plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        while let Some(chunk) = self.bytes.get(self.at..self.at + 8) {
            let word = u64::from_le_bytes(chunk.try_into().expect("a chunk of eight"));
            let quote = word ^ (ONES * u64::from(b'"'));
            let slash = word ^ (ONES * u64::from(b'\\'));
            let control = word.wrapping_sub(ONES * 0x20) & !word;
            let found = ((quote.wrapping_sub(ONES) & !quote) | (slash.wrapping_sub(ONES) & !slash) | control) & HIGH;
            if found != 0 {
                self.at += (found.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
    }

    /// Steps over an escape; true when it is half a surrogate pair.
    fn escape(&mut self) -> Result<bool, Stop> {
        self.at += 1;
        match self.bytes.get(self.at) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(false)
            }
            Some(b'u') => {
                self.at += 1;
                let unit = self.hex()?;
                if !(0xd800..0xe000).contains(&unit) {
                    return Ok(false);
                }
                if unit >= 0xdc00 || !self.bytes[self.at..].starts_with(b"\\u") {
                    return Ok(true);
                }
                self.at += 2;
                let low = self.hex()?;
                if (0xdc00..0xe000).contains(&low) {
                    return Ok(false);
                }
                // The second escape may itself begin a pair: read it again on its own.
                self.at -= 6;
                Ok(true)
            }
            _ => Err(self.error("in string escape code")),
        }
    }

    fn hex(&mut self) -> Result<u32, Stop> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.bytes.get(self.at).and_then(|byte| char::from(*byte).to_digit(16));
            let Some(digit) = digit else { return Err(self.error("in \\u hexadecimal character escape")) };
            unit = unit * 16 + digit;
            self.at += 1;
        }
        Ok(unit)
    }

    /// The number that begins here.
    pub(super) fn number(&mut self) -> Result<Range<usize>, Stop> {
        let start = self.at;
        if self.bytes[self.at] == b'-' {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.error("in numeric literal")),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits_required("after decimal point in numeric literal")?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits_required("in exponent of numeric literal")?;
        }
        Ok(start..self.at)
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn digits_required(&mut self, context: &str) -> Result<(), Stop> {
        let before = self.at;
        self.digits();
        if self.at == before { Err(self.error(context)) } else { Ok(()) }
    }

    /// `true`, `false` or `null`, whose first byte stands here.
    pub(super) fn literal(&mut self) -> Result<(), Stop> {
        let word: &[u8] = match self.bytes[self.at] {
            b't' => b"true",
            b'f' => b"false",
            _ => b"null",
        };
        for expected in word {
            if self.bytes.get(self.at) != Some(expected) {
                let word = String::from_utf8_lossy(word);
                return Err(self.error(&format!("in literal {word} (expecting {})", quoted(*expected))));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// Steps over any value.
    pub(super) fn skip(&mut self, depth_left: u32) -> Result<(), Stop> {
        match self.value_start()? {
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b'{' => {
                let depth_left = depth_left.checked_sub(1).ok_or(Stop::Depth)?;
                let mut more = self.open(b'}');
                while more {
                    self.key()?;
                    self.skip(depth_left)?;
                    more = self.more_members()?;
                }
                Ok(())
            }
            b'[' => {
                let depth_left = depth_left.checked_sub(1).ok_or(Stop::Depth)?;
                let mut more = self.open(b']');
                while more {
                    self.skip(depth_left)?;
                    more = self.more_elements()?;
                }
                Ok(())
            }
            _ => self.literal(),
        }
    }

    fn error(&self, context: &str) -> Stop {
        Stop::Syntax(match self.bytes.get(self.at) {
            None => "unexpected end of JSON input".to_owned(),
            Some(byte) => format!("invalid character {} {context}", quoted(*byte)),
        })
    }
}

/// A byte as Go's scanner shows it.
fn quoted(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\t' => r"'\t'".to_owned(),
        0..0x20 | 0x7f => format!(r"'\x{byte:02x}'"),
        _ => format!("'{}'", char::from(byte)),
    }
}

/// The content of a checked string, U+FFFD for half a surrogate pair.
pub(super) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(slash) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..slash]);
        let (byte, after) = (rest[slash + 1], &rest[slash + 2..]);
        rest = after;
        let plain = match byte {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let (c, used) = unicode(after);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = &after[used..];
                continue;
            }
            other => other,
        };
        out.push(plain);
    }
    out.extend_from_slice(rest);
    out
}

/// The character of the escape whose digits begin here, and how many bytes it took.
fn unicode(digits: &[u8]) -> (char, usize) {
    let unit = |from: usize| {
        let text = digits.get(from..from + 4).and_then(|hex| std::str::from_utf8(hex).ok());
        text.and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or(0xfffd)
    };
    let high = unit(0);
    if (0xd800..0xdc00).contains(&high) && digits[4..].starts_with(b"\\u") {
        let low = unit(6);
        if (0xdc00..0xe000).contains(&low) {
            let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
        }
    }
    (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 4)
}

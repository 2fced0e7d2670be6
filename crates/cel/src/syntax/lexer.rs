//! From text to tokens.

use super::literal;
use crate::syntax::ast::Literal;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Not negative as yet: a sign is a token of its own. 2^63 is there for the sake of the least integer.
    Int(u64),
    Literal(Literal),
    /// An identifier or a word of the language.
    Word,
    /// An operator or bracket.
    Symbol,
    End,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token<'s> {
    pub(crate) kind: Kind,
    pub(crate) text: &'s str,
    pub(crate) offset: usize,
}

/// A text that starts no token.
#[derive(Debug, PartialEq)]
pub(crate) struct LexError {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

/// Longest first.
const SYMBOLS: &[&str] = &[
    "==", "!=", "<=", ">=", "&&", "||", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":", "+", "*", "/", "%",
    "<", ">",
];

/// All the tokens of a text, and one at the end.
pub(crate) fn tokens(source: &str) -> Result<Vec<Token<'_>>, LexError> {
    let mut tokens = Vec::new();
    let mut offset = 0;
    loop {
        offset += blank(&source[offset..]);
        let rest = &source[offset..];
        if rest.is_empty() {
            tokens.push(Token { kind: Kind::End, text: "<EOF>", offset });
            return Ok(tokens);
        }
        let (kind, length) = token(rest).map_err(|message| LexError { offset, message })?;
        tokens.push(Token { kind, text: &rest[..length], offset });
        offset += length;
    }
}

/// How many bytes of blanks and comments come first.
fn blank(text: &str) -> usize {
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
        match rest.strip_prefix("//") {
            Some(comment) => rest = &comment[comment.find('\n').unwrap_or(comment.len())..],
            None => return text.len() - rest.len(),
        }
    }
}

fn token(rest: &str) -> Result<(Kind, usize), String> {
    if let Some(found) = literal::text(rest) {
        return found.map(|(literal, length)| (Kind::Literal(literal), length));
    }
    let bytes = rest.as_bytes();
    if bytes[0].is_ascii_digit() || (bytes[0] == b'.' && bytes.get(1).is_some_and(u8::is_ascii_digit)) {
        return number(rest);
    }
    if bytes[0].is_ascii_alphabetic() || bytes[0] == b'_' {
        let length = bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        return Ok((Kind::Word, length));
    }
    if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
        return Ok((Kind::Symbol, symbol.len()));
    }
    let unknown: String = rest.chars().take(1).collect();
    Err(format!("Syntax error: token recognition error at: '{unknown}'"))
}

fn number(rest: &str) -> Result<(Kind, usize), String> {
    if let Some(digits) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
        let length = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
        if length > 0 {
            return whole(&digits[..length], 16, &rest[2 + length..], 2 + length);
        }
    }
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let integer = digits(rest);
    let mut length = integer;
    if rest[length..].starts_with('.') && digits(&rest[length + 1..]) > 0 {
        length += 1 + digits(&rest[length + 1..]);
    }
    length += exponent(&rest[length..]);
    if length == integer {
        return whole(&rest[..integer], 10, &rest[integer..], integer);
    }
    match rest[..length].parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((Kind::Literal(Literal::Double(value)), length)),
        _ => Err("invalid double literal".to_owned()),
    }
}

fn exponent(text: &str) -> usize {
    let Some(rest) = text.strip_prefix(['e', 'E']) else { return 0 };
    let digits = rest.strip_prefix(['+', '-']).unwrap_or(rest);
    match digits.bytes().take_while(u8::is_ascii_digit).count() {
        0 => 0,
        count => 1 + (rest.len() - digits.len()) + count,
    }
}

fn whole(digits: &str, radix: u32, after: &str, length: usize) -> Result<(Kind, usize), String> {
    let value = u64::from_str_radix(digits, radix);
    if after.starts_with(['u', 'U']) {
        let value = value.map_err(|_| "invalid uint literal".to_owned())?;
        return Ok((Kind::Literal(Literal::Uint(value)), length + 1));
    }
    match value {
        Ok(value) if value <= i64::MIN.unsigned_abs() => Ok((Kind::Int(value), length)),
        _ => Err("invalid int literal".to_owned()),
    }
}

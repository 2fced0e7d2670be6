//! The grammar of label selectors.
//!
//! `in` and `notin` are words only where an operator may stand: `in in (in)` is a good selector.

use super::SelectorError;
use super::label::{Operator, Requirement};
use crate::labels;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    End,
    Close,
    Comma,
    Open,
    Not,
    Identifier,
    Binary(Operator),
    Unknown,
}

const SPECIAL: &[u8] = b"=!(),><";
const BLANK: &[u8] = b" \t\r\n";

/// The requirements of a selector's text, in the order in which they were written.
pub(super) fn selector(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    let mut parser = Parser { items: scan(text), position: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Token::End, _) => return Ok(requirements),
            (Token::Identifier | Token::Not, _) => {}
            (_, found) => return Err(expected(found, "!, identifier, or 'end of string'")),
        }
        let requirement = parser.requirement();
        requirements.push(requirement.map_err(|error| SelectorError(format!("unable to parse requirement: {error}")))?);
        match parser.next() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => match parser.peek() {
                (Token::Identifier | Token::Not, _) => {}
                (_, found) => return Err(expected(found, "identifier after ','")),
            },
            (_, found) => return Err(expected(found, "',' or 'end of string'")),
        }
    }
}

fn expected(found: &str, what: &str) -> SelectorError {
    SelectorError(format!("found '{found}', expected: {what}"))
}

/// All tokens with their texts; the last is always `End`.
fn scan(text: &str) -> Vec<(Token, &str)> {
    let bytes = text.as_bytes();
    let mut items = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if BLANK.contains(&bytes[at]) {
            at += 1;
            continue;
        }
        let length = if SPECIAL.contains(&bytes[at]) {
            let two = bytes[at..].starts_with(b"==") || bytes[at..].starts_with(b"!=");
            if two { 2 } else { 1 }
        } else {
            let rest = &bytes[at..];
            rest.iter().position(|byte| SPECIAL.contains(byte) || BLANK.contains(byte)).unwrap_or(rest.len())
        };
        // Tokens end at ASCII bytes only, so that they never split a character.
        let literal = &text[at..at + length];
        items.push((token(literal), literal));
        at += length;
    }
    items.push((Token::End, ""));
    items
}

fn token(literal: &str) -> Token {
    match literal {
        ")" => Token::Close,
        "(" => Token::Open,
        "," => Token::Comma,
        "!" => Token::Not,
        "=" => Token::Binary(Operator::Equals),
        "==" => Token::Binary(Operator::DoubleEquals),
        "!=" => Token::Binary(Operator::NotEquals),
        ">" => Token::Binary(Operator::GreaterThan),
        "<" => Token::Binary(Operator::LessThan),
        "in" => Token::Binary(Operator::In),
        "notin" => Token::Binary(Operator::NotIn),
        "" => Token::Unknown,
        _ => Token::Identifier,
    }
}

struct Parser<'a> {
    items: Vec<(Token, &'a str)>,
    position: usize,
}

impl<'a> Parser<'a> {
    fn raw(&self) -> (Token, &'a str) {
        self.items.get(self.position).copied().unwrap_or((Token::End, ""))
    }

    /// The token here, the two operators that are words taken as identifiers.
    fn peek(&self) -> (Token, &'a str) {
        match self.raw() {
            (Token::Binary(Operator::In | Operator::NotIn), literal) => (Token::Identifier, literal),
            other => other,
        }
    }

    fn next(&mut self) -> (Token, &'a str) {
        let item = self.peek();
        self.position += 1;
        item
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let mut item = self.next();
        let negated = item.0 == Token::Not;
        if negated {
            item = self.next();
        }
        let (Token::Identifier, key) = item else { return Err(expected(item.1, "identifier")) };
        let complaints = labels::label_key(key);
        if !complaints.is_empty() {
            // Upstream has no path here and prints it so.
            return Err(SelectorError(format!("<nil>: Invalid value: {key:?}: {}", complaints.join("; "))));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => vec![self.exact_value()?],
        };
        Requirement::new(key, operator, values)
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        let item = self.raw();
        self.position += 1;
        match item {
            (Token::Binary(operator), _) => Ok(operator),
            (_, found) => Err(expected(found, "in, notin, =, ==, !=, gt, lt")),
        }
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next() {
            (Token::Identifier, value) => Ok(value.to_owned()),
            (_, found) => Err(expected(found, "identifier")),
        }
    }

    /// `(a,b)`: values may be empty, and so may the list, which then holds the empty value.
    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.next() {
            (Token::Open, _) => {}
            (_, found) => return Err(SelectorError(format!("found '{found}' expected: '('"))),
        }
        let mut values = Vec::new();
        loop {
            let value = match self.peek() {
                (Token::Identifier, value) => {
                    self.position += 1;
                    value
                }
                (Token::Comma | Token::Close, _) => "",
                (_, found) => return Err(expected(found, "',', ')' or identifier")),
            };
            values.push(value.to_owned());
            match self.next() {
                (Token::Close, _) => return Ok(values),
                (Token::Comma, _) => {}
                (_, found) => return Err(expected(found, "',' or ')'")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_text_breaks_the_parser(text in "[a-z=!(),<> ä.-]{0,24}") {
            if let Ok(requirements) = selector(&text) {
                let printed: Vec<String> = requirements.iter().map(ToString::to_string).collect();
                prop_assert_eq!(selector(&printed.join(",")), Ok(requirements));
            }
        }
    }
}

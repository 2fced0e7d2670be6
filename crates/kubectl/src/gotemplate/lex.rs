//! A template cut into text and the tokens of its actions.

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    Text(String),
    Action(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A keyword, a function, `true`, `false`, `nil`.
    Word(String),
    /// `.a` (a lone dot is an empty name); `true` where it follows the token before it without a space.
    Field(String, bool),
    /// `$` or `$name`.
    Variable(String),
    Text(String),
    Integer(i64),
    Float(f64),
    Declare,
    Assign,
    Pipe,
    Comma,
    Open,
    /// Whether a field may follow: `(…).a`.
    Close,
}

pub(super) fn pieces(source: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = source;
    let mut trims = false;
    while let Some(start) = rest.find("{{") {
        let (text, action) = (&rest[..start], &rest[start + 2..]);
        let trims_before = action.starts_with("- ") || action.starts_with("-\n") || action.starts_with("-\t");
        let text = if trims { text.trim_start() } else { text };
        let text = if trims_before { text.trim_end() } else { text };
        if !text.is_empty() {
            pieces.push(Piece::Text(text.to_owned()));
        }
        let action = if trims_before { &action[1..] } else { action };
        let (inner, after) = until_end(action)?;
        rest = after;
        trims = inner.ends_with(" -") || inner.ends_with("\n-") || inner.ends_with("\t-");
        let inner = if trims { &inner[..inner.len() - 1] } else { inner };
        if !inner.trim().starts_with("/*") {
            pieces.push(Piece::Action(tokens(inner)?));
        }
    }
    let text = if trims { rest.trim_start() } else { rest };
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
    Ok(pieces)
}

/// Up to the braces that are not inside a quoted text.
fn until_end(action: &str) -> Result<(&str, &str), String> {
    let mut quote = None;
    let mut escaped = false;
    for (index, character) in action.char_indices() {
        match (quote, character) {
            (Some('"'), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(open), close) if open == close && !escaped => quote = None,
            (None, '"' | '`') => quote = Some(character),
            (None, '}') if action[index..].starts_with("}}") => return Ok((&action[..index], &action[index + 2..])),
            _ => {}
        }
        escaped = false;
    }
    Err("unclosed action".to_owned())
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut glued = false;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            space if space.is_whitespace() => {
                rest = &rest[space.len_utf8()..];
                glued = false;
                continue;
            }
            ':' if rest.starts_with(":=") => (Token::Declare, 2),
            '=' => (Token::Assign, 1),
            '|' => (Token::Pipe, 1),
            ',' => (Token::Comma, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' => quoted(rest)?,
            '`' => {
                let end = rest[1..].find('`').ok_or("unterminated raw quoted string")?;
                (Token::Text(rest[1..=end].to_owned()), end + 2)
            }
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                let name = word(&rest[1..]);
                (Token::Field(name.to_owned(), glued), name.len() + 1)
            }
            '$' => {
                let name = word(&rest[1..]);
                (Token::Variable(name.to_owned()), name.len() + 1)
            }
            digit if digit.is_ascii_digit() || matches!(digit, '-' | '+' | '.') => number(rest)?,
            letter if letter.is_alphabetic() || letter == '_' => {
                let name = word(rest);
                (Token::Word(name.to_owned()), name.len())
            }
            other => return Err(format!("unexpected {other:?} in command")),
        };
        tokens.push(token);
        rest = &rest[length..];
        glued = true;
    }
    Ok(tokens)
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let end = text[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '.').map_or(text.len(), |end| end + 1);
    let digits = &text[..end];
    if let Ok(number) = digits.parse() {
        return Ok((Token::Integer(number), end));
    }
    digits.parse().map(|number| (Token::Float(number), end)).map_err(|_| format!("bad number syntax: {digits:?}"))
}

fn quoted(text: &str) -> Result<(Token, usize), String> {
    let mut out = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Ok((Token::Text(out), index + 1)),
            '\\' => match characters.next().map(|(_, escaped)| escaped) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(other @ ('"' | '\\' | '\'')) => out.push(other),
                _ => return Err("bad escape in a quoted string".to_owned()),
            },
            other => out.push(other),
        }
    }
    Err("unterminated quoted string".to_owned())
}

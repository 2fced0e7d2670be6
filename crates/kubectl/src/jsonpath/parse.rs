//! From a template's text to its segments. Errors are upstream's words behind `error parsing jsonpath …, `.

use super::{Filter, Operator, Segment, Slice, Step};
use serde_json::Value;

type Result<T> = std::result::Result<T, String>;

/// What an action says: a path, or where a range begins or ends.
enum Action {
    Segment(Segment),
    Range(Vec<Step>),
    End,
}

pub(super) fn template(text: &str) -> Result<Vec<Segment>> {
    // The innermost open range is last; the first is the whole template.
    let mut open: Vec<(Vec<Step>, Vec<Segment>)> = vec![(Vec::new(), Vec::new())];
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, after) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
        if !literal.is_empty() {
            push(&mut open, Segment::Text(literal.to_owned()));
        }
        let Some(inside) = after.strip_prefix('{') else { break };
        let end = action_end(inside).ok_or("unclosed action")?;
        for action in action(&inside[..end])? {
            match action {
                Action::Segment(segment) => push(&mut open, segment),
                Action::Range(path) => open.push((path, Vec::new())),
                Action::End if open.len() > 1 => close(&mut open),
                Action::End => return Err("not in range, nothing to end".to_owned()),
            }
        }
        rest = &inside[end + 1..];
    }
    // Upstream lets a range run to the template's end.
    while open.len() > 1 {
        close(&mut open);
    }
    Ok(open.pop().map(|(_, segments)| segments).unwrap_or_default())
}

fn push(open: &mut [(Vec<Step>, Vec<Segment>)], segment: Segment) {
    if let Some((_, segments)) = open.last_mut() {
        segments.push(segment);
    }
}

fn close(open: &mut Vec<(Vec<Step>, Vec<Segment>)>) {
    if let Some((path, body)) = open.pop() {
        push(open, Segment::Range(path, body));
    }
}

/// Where the brace that closes an action stands; braces in quotes do not count.
fn action_end(text: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (index, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => quote = Some(character),
            (None, '}') => return Some(index),
            _ => {}
        }
    }
    None
}

/// The inside of one pair of braces.
fn action(text: &str) -> Result<Vec<Action>> {
    let trimmed = text.trim();
    if trimmed == "end" {
        return Ok(vec![Action::End]);
    }
    if let Some(path) = trimmed.strip_prefix("range ") {
        return Ok(vec![Action::Range(steps(path.trim())?)]);
    }
    Ok(vec![Action::Segment(Segment::Path(steps(trimmed)?))])
}

fn steps(text: &str) -> Result<Vec<Step>> {
    let mut parser = Parser { rest: text };
    let mut steps = Vec::new();
    while let Some(next) = parser.rest.chars().next() {
        match next {
            ' ' | '@' | '$' => parser.skip(1),
            '[' if parser.rest.starts_with("[?(") => steps.push(parser.filter()?),
            '[' => steps.extend(parser.array()?),
            '"' | '\'' => steps.push(Step::Literal(parser.quoted(next)?.into())),
            '.' if parser.rest.starts_with("..") => {
                parser.skip(2);
                steps.push(Step::Recursive);
                if parser.rest.starts_with(|next: char| next.is_alphanumeric() || next == '_' || next == '*') {
                    steps.push(parser.field());
                }
            }
            '.' => {
                parser.skip(1);
                // A dot before a bracket, and the dot alone that is the whole object.
                if !parser.rest.is_empty() && !parser.rest.starts_with(['[', ' ']) {
                    steps.push(parser.field());
                }
            }
            '+' | '-' | '0'..='9' => steps.push(parser.number()?),
            letter if letter.is_alphabetic() => steps.push(parser.word()?),
            other => return Err(format!("unrecognized character in action: {}", Unicode(other))),
        }
    }
    Ok(steps)
}

/// A character as Go's `%#U` names it.
struct Unicode(char);

impl Unicode {
    fn name(&self) -> String {
        format!("U+{:04X} '{}'", u32::from(self.0), self.0)
    }
}

impl std::fmt::Display for Unicode {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.name())
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn field(&mut self) -> Step {
        let mut end = self.rest.len();
        let mut escaped = false;
        for (index, character) in self.rest.char_indices() {
            match character {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                ' ' | '.' | ',' | '[' | ']' | '$' | '@' | '{' | '}' => {
                    end = index;
                    break;
                }
                _ => {}
            }
        }
        match self.take(end) {
            "*" => Step::Wildcard,
            name => Step::Field(name.replace('\\', "")),
        }
    }

    /// A bool; other words are nothing outside of quotes.
    fn word(&mut self) -> Result<Step> {
        let end = self.rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(self.rest.len());
        match self.take(end) {
            "true" => Ok(Step::Literal(true.into())),
            "false" => Ok(Step::Literal(false.into())),
            other => Err(format!("unrecognized identifier {other}")),
        }
    }

    fn number(&mut self) -> Result<Step> {
        let end = self.rest[1..]
            .find(|next: char| !next.is_ascii_digit() && next != '.')
            .map_or(self.rest.len(), |end| end + 1);
        let text = self.take(end);
        if let Ok(integer) = text.parse::<i64>() {
            return Ok(Step::Literal(integer.into()));
        }
        let float: Option<Value> = text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number);
        float.map(Step::Literal).ok_or_else(|| format!("cannot parse number {text}"))
    }

    fn quoted(&mut self, quote: char) -> Result<String> {
        let mut out = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((index, character)) = characters.next() {
            match character {
                '\\' => match characters.next().map(|(_, escaped)| escaped) {
                    Some('n') => out.push('\n'),
                    Some('t') => out.push('\t'),
                    Some('r') => out.push('\r'),
                    Some(other) => out.push(other),
                    None => break,
                },
                end if end == quote => {
                    self.skip(index + quote.len_utf8());
                    return Ok(out);
                }
                other => out.push(other),
            }
        }
        Err("unterminated quoted string".to_owned())
    }

    fn array(&mut self) -> Result<Vec<Step>> {
        let end = self.rest.find(']').ok_or("unterminated array")?;
        let inside = &self.take(end + 1)[1..end];
        let parts: Vec<&str> = inside.split(',').map(str::trim).collect();
        match parts.as_slice() {
            [one] => bracketed(one),
            many => Ok(vec![Step::Union(many.iter().map(|one| bracketed(one)).collect::<Result<_>>()?)]),
        }
    }

    fn filter(&mut self) -> Result<Step> {
        let inside = &self.rest["[?(".len()..];
        let mut quote = None;
        let mut escaped = false;
        let mut end = None;
        for (index, character) in inside.char_indices() {
            match (quote, character) {
                _ if escaped => escaped = false,
                (_, '\\') => escaped = true,
                (Some(open), _) if open == character => quote = None,
                (None, '"' | '\'') => quote = Some(character),
                (None, ')') => {
                    end = Some(index);
                    break;
                }
                _ => {}
            }
        }
        let end = end.ok_or("unterminated filter")?;
        self.rest = inside[end + 1..].strip_prefix(']').ok_or("unclosed array expect ]")?;
        comparison(&inside[..end]).map(Step::Filter)
    }
}

fn bracketed(text: &str) -> Result<Vec<Step>> {
    if text == "*" {
        return Ok(vec![Step::Slice(Slice::default())]);
    }
    let quoted = ['\'', '"'].iter().find_map(|quote| text.strip_prefix(*quote)?.strip_suffix(*quote));
    if let Some(key) = quoted {
        return steps(&format!(".{key}"));
    }
    let number = |part: &str| {
        if part.is_empty() {
            Ok(None)
        } else {
            part.parse::<i64>().map(Some).map_err(|_| format!("invalid array index {text}"))
        }
    };
    let parts: Vec<Option<i64>> = text.split(':').map(number).collect::<Result<_>>()?;
    let slice = match parts.as_slice() {
        [Some(index)] => Slice { start: Some(*index), end: Some(index + 1), single: true, step: None },
        [start, end] => Slice { start: *start, end: *end, single: false, step: None },
        [start, end, step] => Slice { start: *start, end: *end, single: false, step: *step },
        _ => return Err(format!("invalid array index {text}")),
    };
    Ok(vec![Step::Slice(slice)])
}

fn comparison(text: &str) -> Result<Filter> {
    let symbols = ['!', '<', '>', '='];
    let Some(start) = text.find(symbols).filter(|start| *start > 0) else {
        return Ok(Filter { left: steps(text.trim())?, right: None });
    };
    let length = text[start..].find(|next: char| !symbols.contains(&next)).unwrap_or(text.len() - start);
    let operator = match &text[start..start + length] {
        "==" => Operator::Equal,
        "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        other => return Err(format!("unrecognized filter operator {other}")),
    };
    let (left, right) = (text[..start].trim(), text[start + length..].trim());
    Ok(Filter { left: steps(left)?, right: Some((operator, steps(right)?)) })
}

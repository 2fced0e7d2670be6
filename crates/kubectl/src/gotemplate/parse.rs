//! Tokens into a tree.

use super::lex::{Piece, Token, pieces};
use serde_json::Value;
use std::collections::HashMap;

/// A piece of a template that does something.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    /// Prints, unless it declares or assigns.
    Action(Pipeline),
    If(Pipeline, Vec<Node>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Pipeline, Vec<Node>, Vec<Node>),
    Template(String, Option<Pipeline>),
    Break,
    Continue,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Pipeline {
    /// `$a` or `$i, $a`.
    pub(super) variables: Vec<String>,
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Term>>,
}

/// An operand, or the function at the beginning of a command.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Function(String),
    Dot,
    Nil,
    Literal(Value),
    Variable(String),
    Pipeline(Pipeline),
    /// Fields of what stands before them; of the dot where nothing does.
    Fields(Box<Term>, Vec<String>),
}

pub(super) type Named = HashMap<String, Vec<Node>>;

pub(super) fn template(source: &str) -> Result<(Vec<Node>, Named), String> {
    let pieces = pieces(source)?;
    let mut parser = Parser { pieces: pieces.into_iter(), named: Named::new() };
    let (nodes, end) = parser.nodes()?;
    match end {
        None => Ok((nodes, parser.named)),
        Some(_) => Err("unexpected {{end}}".to_owned()),
    }
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
    named: Named,
}

impl Parser {
    /// Nodes up to an `end` or `else`, whose tokens are answered too.
    fn nodes(&mut self) -> Result<(Vec<Node>, Option<Vec<Token>>), String> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            let Some(Token::Word(word)) = tokens.first() else {
                nodes.push(Node::Action(pipeline(&tokens)?));
                continue;
            };
            match word.as_str() {
                "end" | "else" => return Ok((nodes, Some(tokens))),
                "define" => {
                    let name = name(&tokens)?;
                    let body = self.body()?.0;
                    self.named.insert(name, body);
                }
                "block" => {
                    let name = name(&tokens)?;
                    let body = self.body()?.0;
                    self.named.entry(name.clone()).or_insert(body);
                    nodes.push(Node::Template(name, Some(pipeline(&tokens[2..])?)));
                }
                "template" => {
                    let argument = if tokens.len() > 2 { Some(pipeline(&tokens[2..])?) } else { None };
                    nodes.push(Node::Template(name(&tokens)?, argument));
                }
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "if" | "with" | "range" => nodes.push(self.branch(&tokens)?),
                _ => nodes.push(Node::Action(pipeline(&tokens)?)),
            }
        }
        Ok((nodes, None))
    }

    /// A body and, behind `else`, another.
    fn body(&mut self) -> Result<(Vec<Node>, Vec<Node>), String> {
        let (body, end) = self.nodes()?;
        let end = end.ok_or("unexpected EOF")?;
        match end.as_slice() {
            [Token::Word(word)] if word == "end" => Ok((body, Vec::new())),
            [Token::Word(_)] => {
                let (otherwise, end) = self.nodes()?;
                if end.is_none() {
                    return Err("unexpected EOF".to_owned());
                }
                Ok((body, otherwise))
            }
            // `else if` is an `if` in the other body, with the same end.
            [_, rest @ ..] => Ok((body, vec![self.branch(rest)?])),
            [] => Err("unexpected {{}}".to_owned()),
        }
    }

    fn branch(&mut self, tokens: &[Token]) -> Result<Node, String> {
        let Some((Token::Word(kind), rest)) = tokens.split_first() else {
            return Err("unexpected {{else}}".to_owned());
        };
        let condition = pipeline(rest)?;
        let (body, otherwise) = self.body()?;
        match kind.as_str() {
            "if" => Ok(Node::If(condition, body, otherwise)),
            "with" => Ok(Node::With(condition, body, otherwise)),
            "range" => Ok(Node::Range(condition, body, otherwise)),
            other => Err(format!("unexpected <{other}> in else clause")),
        }
    }
}

fn name(tokens: &[Token]) -> Result<String, String> {
    match tokens.get(1) {
        Some(Token::Text(name)) => Ok(name.clone()),
        _ => Err("unexpected token in template clause".to_owned()),
    }
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline, String> {
    let (variables, declares, rest) = match tokens {
        [Token::Variable(a), Token::Comma, Token::Variable(b), Token::Declare, rest @ ..] => {
            (vec![a.clone(), b.clone()], true, rest)
        }
        [Token::Variable(a), Token::Declare, rest @ ..] => (vec![a.clone()], true, rest),
        [Token::Variable(a), Token::Assign, rest @ ..] => (vec![a.clone()], false, rest),
        rest => (Vec::new(), false, rest),
    };
    let mut commands = Vec::new();
    let mut rest = rest;
    loop {
        let (command, after) = command(rest)?;
        if command.is_empty() {
            return Err("missing value for command".to_owned());
        }
        commands.push(command);
        match after.split_first() {
            Some((Token::Pipe, after)) => rest = after,
            None => return Ok(Pipeline { variables, declares, commands }),
            Some((token, _)) => return Err(format!("unexpected {token:?} in command")),
        }
    }
}

/// Terms up to a pipe.
fn command(mut tokens: &[Token]) -> Result<(Vec<Term>, &[Token]), String> {
    let mut terms: Vec<Term> = Vec::new();
    while let Some((token, rest)) = tokens.split_first() {
        if *token == Token::Pipe {
            break;
        }
        tokens = rest;
        let term = match token {
            Token::Field(name, true) if !terms.is_empty() && !name.is_empty() => {
                let before = terms.pop().unwrap_or(Term::Dot);
                terms.push(with_field(before, name));
                continue;
            }
            Token::Field(name, _) if name.is_empty() => Term::Dot,
            Token::Field(name, _) => Term::Fields(Box::new(Term::Dot), vec![name.clone()]),
            Token::Variable(name) => Term::Variable(name.clone()),
            Token::Text(text) => Term::Literal(text.as_str().into()),
            Token::Integer(number) => Term::Literal((*number).into()),
            Token::Float(number) => Term::Literal((*number).into()),
            Token::Word(word) => match word.as_str() {
                "true" => Term::Literal(true.into()),
                "false" => Term::Literal(false.into()),
                "nil" => Term::Nil,
                function if super::functions::is_known(function) => Term::Function(function.to_owned()),
                other => return Err(format!("function {other:?} not defined")),
            },
            Token::Open => {
                let (inner, after) = parenthesis(tokens)?;
                tokens = after;
                Term::Pipeline(pipeline(inner)?)
            }
            other => return Err(format!("unexpected {other:?} in operand")),
        };
        terms.push(term);
    }
    Ok((terms, tokens))
}

fn with_field(before: Term, name: &str) -> Term {
    match before {
        Term::Fields(of, mut names) => {
            names.push(name.to_owned());
            Term::Fields(of, names)
        }
        other => Term::Fields(Box::new(other), vec![name.to_owned()]),
    }
}

fn parenthesis(tokens: &[Token]) -> Result<(&[Token], &[Token]), String> {
    let mut depth = 1;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok((&tokens[..index], &tokens[index + 1..]));
        }
    }
    Err("unclosed left paren".to_owned())
}

//! From tokens to tree, by recursive descent; chains of `&&` and `||` become balanced trees.
//!
//! Invariant: nesting and depth are bounded before anything recurses over them.

use super::ast::{Call, Element, Entry, Expr, ExprKind, FieldInit, Literal, Select, Struct, operator};
use super::lexer::{self, Kind, Token};
use super::macros;
use crate::issue::{Issue, Issues};
use crate::limits::{DEPTH_MAX, NESTING_MAX, NODES_MAX, SOURCE_LENGTH_MAX};
use api::cel_names::RESERVED;

/// What may begin an operand, as upstream's messages list it.
const OPERANDS: &str =
    "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";

/// Operators between two operands, and how strongly they bind.
const OPERATORS: &[(&str, &str, u8)] = &[
    ("||", operator::OR, 0),
    ("&&", operator::AND, 1),
    ("<", "_<_", 2),
    ("<=", "_<=_", 2),
    (">=", "_>=_", 2),
    (">", "_>_", 2),
    ("==", operator::EQUALS, 2),
    ("!=", operator::NOT_EQUALS, 2),
    ("in", operator::IN, 2),
    ("+", operator::ADD, 3),
    ("-", "_-_", 3),
    ("*", "_*_", 4),
    ("/", "_/_", 4),
    ("%", "_%_", 4),
];

/// A tree, and how many ids it has.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) root: Expr,
    pub(crate) ids: usize,
}

/// A mistake: where, and what.
pub(crate) struct Mistake {
    pub(crate) offset: usize,
    pub(crate) message: String,
}

pub(crate) type Parse<T> = Result<T, Mistake>;

/// `binds`: whether `cel.bind` is a macro.
pub(crate) fn parse(source: &str, binds: bool) -> Result<Parsed, Issues> {
    let issue = |offset, message: String| Issues(vec![Issue::at(source, offset, message)]);
    let length = source.chars().count();
    if length > SOURCE_LENGTH_MAX {
        let message = format!("expression code point size exceeds limit: size: {length}, limit {SOURCE_LENGTH_MAX}");
        return Err(issue(0, message));
    }
    let tokens = lexer::tokens(source).map_err(|error| issue(error.offset, error.message))?;
    let mut parser = Parser { tokens, next: 0, ids: 0, nesting: 0, binds };
    match parser.whole() {
        Ok(root) => Ok(Parsed { root, ids: parser.ids }),
        Err(mistake) => Err(issue(mistake.offset, mistake.message)),
    }
}

pub(crate) struct Parser<'s> {
    tokens: Vec<Token<'s>>,
    next: usize,
    ids: usize,
    nesting: usize,
    pub(crate) binds: bool,
}

impl<'s> Parser<'s> {
    fn whole(&mut self) -> Parse<Expr> {
        let root = self.expression()?;
        if self.peek().kind == Kind::End {
            return Ok(root);
        }
        let last = self.tokens.get(self.next + 1).is_some_and(|token| token.kind == Kind::End);
        let verb = if last { "extraneous" } else { "mismatched" };
        Err(self.mistake(format!("Syntax error: {verb} input '{}' expecting <EOF>", self.peek().text)))
    }

    fn expression(&mut self) -> Parse<Expr> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(self.mistake(format!("expression recursion limit exceeded: {NESTING_MAX}")));
        }
        let condition = self.binary(0)?;
        let parsed = match self.take("?") {
            None => condition,
            Some(offset) => {
                let yes = self.binary(0)?;
                self.expect(":")?;
                let no = self.expression()?;
                self.call(offset, operator::CONDITIONAL, vec![condition, yes, no])?
            }
        };
        self.nesting -= 1;
        Ok(parsed)
    }

    fn balanced(&mut self, function: &str, operands: &mut [Option<Expr>], offsets: &[usize]) -> Parse<Expr> {
        if let [operand] = operands {
            return operand.take().ok_or_else(|| self.mistake("internal: operand taken twice".to_owned()));
        }
        let middle = operands.len() / 2;
        let (left, right) = operands.split_at_mut(middle);
        let left = self.balanced(function, left, &offsets[..middle - 1])?;
        let right = self.balanced(function, right, &offsets[middle..])?;
        self.call(offsets[middle - 1], function, vec![left, right])
    }

    /// Operands and the operators between them that bind at least so strongly, from left to right. One function for
    /// all: a function for each strength would take several times the stack for each bracket.
    fn binary(&mut self, least: u8) -> Parse<Expr> {
        let mut left = self.unary()?;
        while let Some(operator) = OPERATORS.iter().find(|(symbol, _, by)| *by >= least && self.at(symbol)) {
            left = self.joined(left, *operator)?;
        }
        Ok(left)
    }

    /// An operand with what an operator joins to it; `&&` and `||` join all that they stand between at once.
    fn joined(&mut self, left: Expr, (symbol, function, strength): (&str, &str, u8)) -> Parse<Expr> {
        let (mut operands, mut offsets) = (vec![Some(left)], Vec::new());
        while let Some(offset) = self.take(symbol) {
            offsets.push(offset);
            operands.push(Some(self.binary(strength + 1)?));
            if !matches!(function, operator::AND | operator::OR) {
                break;
            }
        }
        self.balanced(function, &mut operands, &offsets)
    }

    fn unary(&mut self) -> Parse<Expr> {
        let (symbol, function) = match self.peek().text {
            "!" if self.at("!") => ("!", operator::NOT),
            "-" if self.at("-") => ("-", operator::NEGATE),
            _ => return self.member(),
        };
        let first = self.peek().offset;
        let mut count = 0usize;
        while self.at(symbol) {
            count += 1;
            let sign_of_number =
                symbol == "-" && matches!(self.ahead(1), Kind::Int(_) | Kind::Literal(Literal::Double(_)));
            if sign_of_number && count % 2 == 1 {
                return self.member();
            }
            self.advance();
        }
        let operand = self.member()?;
        if count.is_multiple_of(2) { Ok(operand) } else { self.call(first, function, vec![operand]) }
    }

    fn member(&mut self) -> Parse<Expr> {
        let mut operand = self.primary()?;
        loop {
            if let Some(offset) = self.take(".") {
                operand = self.selected(operand, offset)?;
            } else if let Some(offset) = self.take("[") {
                let function = if self.take("?").is_some() { operator::OPTIONAL_INDEX } else { operator::INDEX };
                let index = self.expression()?;
                self.expect("]")?;
                operand = self.call(offset, function, vec![operand, index])?;
            } else if self.at("{")
                && let Some(name) = operand.qualified_name()
            {
                operand = self.structure(name)?;
            } else {
                return Ok(operand);
            }
        }
    }

    /// What follows a dot: a field, perhaps an optional one, or a call.
    fn selected(&mut self, operand: Expr, offset: usize) -> Parse<Expr> {
        let optional = self.take("?").is_some();
        let (field, _) = self.word()?;
        if optional {
            let field = self.node(offset, ExprKind::Literal(Literal::String(field)))?;
            return self.call(offset, operator::OPTIONAL_SELECT, vec![operand, field]);
        }
        match self.take("(") {
            None => self.node(offset, ExprKind::Select(Box::new(Select { operand, field, test_only: false }))),
            Some(open) => {
                let arguments = self.arguments()?;
                macros::member(self, open, operand, field, arguments)
            }
        }
    }

    fn primary(&mut self) -> Parse<Expr> {
        let token = self.peek().clone();
        match &token.kind {
            Kind::Literal(literal) => {
                self.advance();
                self.node(token.offset, ExprKind::Literal(literal.clone()))
            }
            Kind::Int(_) => self.integer(token.offset, false),
            Kind::Symbol if token.text == "-" => self.negative(token.offset),
            Kind::Symbol => self.bracketed(&token),
            Kind::Word => self.named(&token),
            Kind::End => Err(self.no_operand()),
        }
    }

    fn negative(&mut self, offset: usize) -> Parse<Expr> {
        self.advance();
        match self.peek().kind.clone() {
            Kind::Literal(Literal::Double(value)) => {
                self.advance();
                self.node(offset, ExprKind::Literal(Literal::Double(-value)))
            }
            Kind::Int(_) => self.integer(offset, true),
            _ => Err(self.no_operand()),
        }
    }

    fn integer(&mut self, offset: usize, negative: bool) -> Parse<Expr> {
        let Kind::Int(magnitude) = self.advance().kind else { return Err(self.no_operand()) };
        let value = if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() };
        match value {
            Some(value) => self.node(offset, ExprKind::Literal(Literal::Int(value))),
            None => Err(Mistake { offset, message: "invalid int literal".to_owned() }),
        }
    }

    fn bracketed(&mut self, token: &Token<'s>) -> Parse<Expr> {
        match token.text {
            "(" => {
                self.advance();
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            "[" => self.list(),
            "{" => self.map(),
            "." => {
                self.advance();
                let name = self.peek().clone();
                if name.kind != Kind::Word { Err(self.no_operand()) } else { self.named(&name) }
            }
            _ => Err(self.no_operand()),
        }
    }

    fn named(&mut self, token: &Token<'s>) -> Parse<Expr> {
        let literal = match token.text {
            "true" => Some(Literal::Bool(true)),
            "false" => Some(Literal::Bool(false)),
            "null" => Some(Literal::Null),
            "in" => return Err(self.no_operand()),
            _ => None,
        };
        self.advance();
        if let Some(literal) = literal {
            return self.node(token.offset, ExprKind::Literal(literal));
        }
        if RESERVED.contains(&token.text) {
            let message = format!("reserved identifier: {}", token.text);
            return Err(Mistake { offset: token.offset, message });
        }
        match self.take("(") {
            None => self.node(token.offset, ExprKind::Ident(token.text.to_owned())),
            Some(open) => {
                let arguments = self.arguments()?;
                macros::global(self, open, token.text.to_owned(), arguments)
            }
        }
    }

    fn arguments(&mut self) -> Parse<Vec<Expr>> {
        let mut arguments = Vec::new();
        if self.take(")").is_some() {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.take(",").is_none() {
                self.expect(")")?;
                return Ok(arguments);
            }
        }
    }

    fn list(&mut self) -> Parse<Expr> {
        let offset = self.advance().offset;
        let mut elements = Vec::new();
        while !self.at("]") {
            let optional = self.take("?").is_some();
            elements.push(Element { value: self.expression()?, optional });
            if self.take(",").is_none() {
                break;
            }
        }
        self.expect("]")?;
        self.node(offset, ExprKind::List(elements))
    }

    fn map(&mut self) -> Parse<Expr> {
        let offset = self.advance().offset;
        let mut entries = Vec::new();
        while !self.at("}") {
            let optional = self.take("?").is_some();
            let key = self.expression()?;
            self.expect(":")?;
            entries.push(Entry { key, value: self.expression()?, optional });
            if self.take(",").is_none() {
                break;
            }
        }
        self.expect("}")?;
        self.node(offset, ExprKind::Map(entries))
    }

    fn structure(&mut self, name: String) -> Parse<Expr> {
        let offset = self.advance().offset;
        let mut fields = Vec::new();
        while !self.at("}") {
            let optional = self.take("?").is_some();
            let (name, _) = self.word()?;
            let offset = self.expect(":")?;
            fields.push(FieldInit { name, offset, value: self.expression()?, optional });
            if self.take(",").is_none() {
                break;
            }
        }
        self.expect("}")?;
        self.node(offset, ExprKind::Struct(Box::new(Struct { name, fields })))
    }

    /// A new node, refused where the tree would get too deep.
    pub(crate) fn node(&mut self, offset: usize, kind: ExprKind) -> Parse<Expr> {
        let mut node = Expr { id: self.fresh(offset)?, offset, depth: 1, kind };
        node.depth = 1 + node.children().iter().map(|child| child.depth).max().unwrap_or(0);
        if node.depth > DEPTH_MAX {
            return Err(Mistake { offset, message: format!("expression recursion limit exceeded: {DEPTH_MAX}") });
        }
        Ok(node)
    }

    /// The next id, refused where the tree would get too large: `optMap` repeats its target.
    pub(crate) fn fresh(&mut self, offset: usize) -> Parse<usize> {
        if self.ids >= NODES_MAX {
            return Err(Mistake { offset, message: format!("expression size limit exceeded: {NODES_MAX} nodes") });
        }
        self.ids += 1;
        Ok(self.ids - 1)
    }

    pub(crate) fn call(&mut self, offset: usize, function: &str, arguments: Vec<Expr>) -> Parse<Expr> {
        let call = Call { function: function.to_owned(), target: None, arguments };
        self.node(offset, ExprKind::Call(Box::new(call)))
    }

    fn peek(&self) -> &Token<'s> {
        &self.tokens[self.next]
    }

    fn ahead(&self, count: usize) -> &Kind {
        self.tokens.get(self.next + count).map_or(&Kind::End, |token| &token.kind)
    }

    /// The next token; the end is never passed.
    fn advance(&mut self) -> Token<'s> {
        let token = self.tokens[self.next].clone();
        if token.kind != Kind::End {
            self.next += 1;
        }
        token
    }

    /// Whether the next token is this symbol, or this word of the language.
    fn at(&self, text: &str) -> bool {
        let token = self.peek();
        matches!(token.kind, Kind::Symbol | Kind::Word) && token.text == text
    }

    fn take(&mut self, symbol: &str) -> Option<usize> {
        self.at(symbol).then(|| self.advance().offset)
    }

    fn expect(&mut self, symbol: &str) -> Parse<usize> {
        let found = self.peek().text;
        self.take(symbol)
            .ok_or_else(|| self.mistake(format!("Syntax error: mismatched input '{found}' expecting '{symbol}'")))
    }

    fn word(&mut self) -> Parse<(String, usize)> {
        let token = self.peek().clone();
        if token.kind != Kind::Word || matches!(token.text, "in" | "true" | "false" | "null") {
            let message = format!("Syntax error: mismatched input '{}' expecting IDENTIFIER", token.text);
            return Err(self.mistake(message));
        }
        self.advance();
        Ok((token.text.to_owned(), token.offset))
    }

    fn no_operand(&self) -> Mistake {
        self.mistake(format!("Syntax error: mismatched input '{}' expecting {OPERANDS}", self.peek().text))
    }

    fn mistake(&self, message: String) -> Mistake {
        Mistake { offset: self.peek().offset, message }
    }
}

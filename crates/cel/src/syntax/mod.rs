//! From text to tree.

pub(crate) mod ast;
mod lexer;
mod literal;
mod macros;
mod macros_two_variables;
mod parser;

pub(crate) use parser::parse;

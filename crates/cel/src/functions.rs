//! Functions and their overloads. A library is a table of rows; a row's signature is text, as documentation writes it.
//!
//! A signature is `(int, string) bool`, or `list(T).(T) int` for a member; one capital letter is a parameter.

use crate::error::EvalError;
use crate::types::Type;
use crate::value::{Value, opaque};
use std::collections::HashMap;
use std::sync::Arc;

/// What a function does. A member's target is its first argument.
pub(crate) type Implementation = for<'v> fn(&[Value<'v>]) -> Result<Value<'v>, EvalError>;

/// A function's name, the overload's id, its signature, and what it does.
pub(crate) type Row = (&'static str, &'static str, &'static str, Implementation);

#[derive(Clone, Debug)]
pub(crate) struct Overload {
    pub(crate) id: &'static str,
    pub(crate) member: bool,
    pub(crate) parameters: Vec<Type>,
    pub(crate) result: Type,
    pub(crate) call: Implementation,
}

/// All functions, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Functions {
    by_name: HashMap<&'static str, Vec<Arc<Overload>>>,
}

impl Functions {
    pub(crate) fn add(&mut self, rows: &[Row]) {
        for (name, id, signature, call) in rows {
            let (member, parameters, result) = parse(signature);
            let overload = Overload { id, member, parameters, result, call: *call };
            self.by_name.entry(name).or_default().push(Arc::new(overload));
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&[Arc<Overload>]> {
        self.by_name.get(name).map(Vec::as_slice)
    }
}

/// The opaque types, by the names that signatures use.
const OPAQUE: &[(&str, &str)] = &[
    ("URL", opaque::URL),
    ("IP", opaque::IP),
    ("CIDR", opaque::CIDR),
    ("Quantity", opaque::QUANTITY),
    ("Semver", opaque::SEMVER),
    ("Format", opaque::FORMAT),
    ("Authorizer", opaque::AUTHORIZER),
    ("PathCheck", opaque::PATH_CHECK),
    ("GroupCheck", opaque::GROUP_CHECK),
    ("ResourceCheck", opaque::RESOURCE_CHECK),
    ("Decision", opaque::DECISION),
];

/// Whether it is a member, its parameters, its result.
fn parse(signature: &'static str) -> (bool, Vec<Type>, Type) {
    let mut reader = Reader { rest: signature };
    let mut parameters = Vec::new();
    let member = !signature.starts_with('(');
    if member {
        parameters.push(reader.one());
        reader.skip(".");
    }
    reader.skip("(");
    while !reader.skip(")") {
        parameters.push(reader.one());
        reader.skip(", ");
    }
    reader.skip(" ");
    let result = reader.one();
    (member, parameters, result)
}

struct Reader {
    rest: &'static str,
}

impl Reader {
    fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn one(&mut self) -> Type {
        let length = self.rest.bytes().take_while(u8::is_ascii_alphanumeric).count();
        let (name, rest) = self.rest.split_at(length);
        self.rest = rest;
        match name {
            "list" => Type::list(self.inner()),
            "optional" => Type::optional(self.inner()),
            "type" => Type::Type(Some(Arc::new(self.inner()))),
            "map" => {
                self.skip("(");
                let key = self.one();
                self.skip(", ");
                let value = self.one();
                self.skip(")");
                Type::map(key, value)
            }
            _ => plain(name),
        }
    }

    fn inner(&mut self) -> Type {
        self.skip("(");
        let inner = self.one();
        self.skip(")");
        inner
    }
}

fn plain(name: &'static str) -> Type {
    match name {
        "dyn" => Type::Dyn,
        "null" => Type::Null,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        _ => match OPAQUE.iter().find(|(short, _)| *short == name) {
            Some((_, long)) => Type::Opaque(long),
            None => Type::Param(name),
        },
    }
}

/// The type that a name means where an expression uses it as a value.
pub(crate) fn type_named(name: &str) -> Option<Type> {
    Some(match name {
        "null_type" => Type::Null,
        "google.protobuf.Timestamp" => Type::Timestamp,
        "google.protobuf.Duration" => Type::Duration,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        "optional_type" => Type::optional(Type::Dyn),
        "type" => Type::Type(None),
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        _ => Type::Opaque(OPAQUE.iter().find(|(_, long)| *long == name)?.1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_read() {
        let (member, parameters, result) = parse("list(T).(T, map(string, list(V))) optional(URL)");
        assert!(member);
        let texts: Vec<String> = parameters.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["list(T)", "T", "map(string, list(V))"]);
        assert_eq!(result.to_string(), "optional_type(kubernetes.URL)");
        let (member, parameters, result) = parse("() int");
        assert!(!member && parameters.is_empty());
        assert_eq!(result, Type::Int);
    }
}

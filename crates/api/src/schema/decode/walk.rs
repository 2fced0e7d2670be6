//! The pass over one object: each value against the type that the table gives it.
//!
//! Invariants: a wrong type is remembered, its value skipped, and the walk goes on, so that malformed JSON is always
//! what is reported first; the first wrong type wins, except that a value with its own decoder (a quantity, a time)
//! ends Go's decoding and so precedes it.

use super::members::{Keys, Members, Root, find, known};
use super::output::Output;
use super::scan::{Scanner, Text};
use super::time::Precision;
use super::{DEPTH_MAX, DecodeError, STRICT_ERRORS_MAX, go, leaf};
use crate::schema::facts::{Codec, Message, MessageId, Shape, Type};
use std::borrow::Cow;

/// Ends the walk.
#[derive(Debug)]
pub(super) enum Stop {
    Syntax(String),
    Depth,
}

impl From<Stop> for DecodeError {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Syntax(text) => DecodeError::Syntax(text),
            Stop::Depth => DecodeError::Depth,
        }
    }
}

#[derive(Clone, Copy)]
enum Segment<'a> {
    Field { name: &'static str, of: &'static Message },
    Key(Text<'a>),
    Index(usize),
}

pub(super) struct Walk<'a> {
    scan: Scanner<'a>,
    output: Output<'a>,
    path: Vec<Segment<'a>>,
    depth_left: u32,
    strict_errors: Vec<String>,
    wrong_type: Option<String>,
    /// A complaint of a value's own decoder.
    fatal: Option<String>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(json: &'a [u8]) -> Self {
        Walk {
            scan: Scanner::new(json),
            output: Output::new(json),
            path: Vec::with_capacity(16),
            depth_left: DEPTH_MAX,
            strict_errors: Vec::new(),
            wrong_type: None,
            fatal: None,
        }
    }

    /// The whole input as one object of a kind.
    pub(super) fn root(&mut self, message: &'static Message) -> Result<(), Stop> {
        match self.scan.value_start()? {
            b'{' if message.codec == Codec::Object => self.object(message, Root::Kind)?,
            b'n' => self.scan.literal()?,
            _ => self.value(Shape::One, Type::Message(message.id))?,
        }
        self.scan.end()
    }

    pub(super) fn custom_root(&mut self) -> Result<(), Stop> {
        match self.scan.value_start()? {
            b'{' => self.object(known().custom, Root::Custom)?,
            found => self.mismatch(found, Shape::Map, Type::String)?,
        }
        self.scan.end()
    }

    /// The rewritten JSON, if it changed, and the complaints that only a strict server makes into errors.
    pub(super) fn finish(self) -> Result<(Option<Vec<u8>>, Vec<String>), DecodeError> {
        match self.fatal.or(self.wrong_type) {
            Some(text) => Err(DecodeError::Type(text)),
            None => Ok((self.output.finish(), self.strict_errors)),
        }
    }

    fn value(&mut self, shape: Shape, kind: Type) -> Result<(), Stop> {
        let found = self.scan.value_start()?;
        match (shape, found) {
            (Shape::List, b'[') => self.list(kind),
            (Shape::Map, b'{') => self.map(kind),
            (Shape::One, _) => self.one(found, kind),
            _ => self.mismatch(found, shape, kind),
        }
    }

    fn one(&mut self, found: u8, kind: Type) -> Result<(), Stop> {
        match (kind, found) {
            (Type::Message(id), _) => self.message(found, id),
            (Type::String, b'"') => self.string(),
            (Type::Bytes, b'"') => self.bytes(),
            (Type::Int32 | Type::Int64 | Type::Double, b'-' | b'0'..=b'9') => self.number(kind),
            (Type::Bool, b't' | b'f') => self.scan.literal(),
            _ => self.mismatch(found, Shape::One, kind),
        }
    }

    fn message(&mut self, found: u8, id: MessageId) -> Result<(), Stop> {
        let message = id.get();
        match (message.codec, found) {
            (Codec::Object, b'{') => self.object(message, Root::No),
            (Codec::Items, b'[') => self.list(Type::String),
            (Codec::Quantity, _) => self.quantity(found),
            (Codec::Time, b'"') => self.leaf_string(|text| leaf::time(text, Precision::Seconds)),
            (Codec::MicroTime, b'"') => self.leaf_string(|text| leaf::time(text, Precision::Micros)),
            (Codec::Duration | Codec::IntOrString, b'"') => self.string(),
            (Codec::IntOrString, b'-' | b'0'..=b'9') => self.number(Type::Int32),
            (Codec::Raw, _) => self.keep_raw(),
            _ => self.mismatch(found, Shape::One, Type::Message(id)),
        }
    }

    fn object(&mut self, message: &'static Message, root: Root) -> Result<(), Stop> {
        self.descend()?;
        let mut members = Members::new(self.scan.at() + 1);
        let mut more = self.scan.open(b'}');
        let mut seen = 0u128;
        while more {
            let key = self.scan.key()?;
            members.begin(key.start);
            let kept = match find(message, root, &key.content()) {
                Some((of, position)) => {
                    let bit = 1u128 << (if std::ptr::eq(of, message) { position } else { 127 - position });
                    if seen & bit != 0 {
                        self.complain("duplicate field", Segment::Key(key));
                    }
                    seen |= bit;
                    self.member(of, position)?
                }
                None if root == Root::Custom => {
                    self.path.push(Segment::Key(key));
                    let result = self.any();
                    self.path.pop();
                    result?;
                    true
                }
                None => {
                    self.complain("unknown field", Segment::Key(key));
                    self.scan.skip(self.depth_left)?;
                    drop(self.scan.take_halved());
                    false
                }
            };
            let end = self.scan.at();
            more = self.scan.more_members()?;
            if let Some(dropped) = members.end(kept, end, more.then(|| self.scan.at())) {
                self.output.replace(dropped, b"");
            }
        }
        self.depth_left += 1;
        Ok(())
    }

    /// A field's value; false for null, which in Go leaves the field as if it were not there.
    fn member(&mut self, of: &'static Message, position: usize) -> Result<bool, Stop> {
        let field = &of.fields[position];
        if self.scan.value_start()? == b'n' {
            self.scan.literal()?;
            return Ok(false);
        }
        self.path.push(Segment::Field { name: field.name, of });
        let result = self.value(field.shape, field.kind);
        self.path.pop();
        result.map(|()| true)
    }

    fn list(&mut self, kind: Type) -> Result<(), Stop> {
        self.descend()?;
        let mut more = self.scan.open(b']');
        let mut index = 0;
        while more {
            self.path.push(Segment::Index(index));
            let result = self.element(kind);
            self.path.pop();
            result?;
            index += 1;
            more = self.scan.more_elements()?;
        }
        self.depth_left += 1;
        Ok(())
    }

    fn map(&mut self, kind: Type) -> Result<(), Stop> {
        self.descend()?;
        let mut more = self.scan.open(b'}');
        let mut keys = Keys::default();
        while more {
            let key = self.scan.key()?;
            if !keys.insert(key.content()) {
                self.complain("duplicate field", Segment::Key(key));
            }
            self.mend();
            self.path.push(Segment::Key(key));
            let result = self.element(kind);
            self.path.pop();
            result?;
            more = self.scan.more_members()?;
        }
        self.depth_left += 1;
        Ok(())
    }

    /// A value in a list or map, where null stands for the type's zero.
    fn element(&mut self, kind: Type) -> Result<(), Stop> {
        if self.scan.value_start()? != b'n' {
            return self.value(Shape::One, kind);
        }
        let start = self.scan.at();
        self.scan.literal()?;
        let zero: &[u8] = match kind {
            Type::String | Type::Bytes => b"\"\"",
            Type::Int32 | Type::Int64 | Type::Double => b"0",
            Type::Bool => b"false",
            Type::Message(id) => match id.get().codec {
                Codec::Object => b"{}",
                Codec::Quantity => b"\"0\"",
                Codec::Items => b"[]",
                Codec::IntOrString => b"0",
                Codec::Time | Codec::MicroTime | Codec::Duration | Codec::Raw => b"null",
            },
        };
        self.output.replace(start..self.scan.at(), zero);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Stop> {
        self.scan.string()?;
        self.mend();
        Ok(())
    }

    /// Any JSON, as it is.
    fn keep_raw(&mut self) -> Result<(), Stop> {
        self.scan.skip(self.depth_left)?;
        self.mend();
        Ok(())
    }

    /// Writes strings with half a surrogate pair as Go decodes them, so that stricter decoders read them too.
    fn mend(&mut self) {
        for range in self.scan.take_halved() {
            let raw = self.scan.slice(range.start + 1..range.end - 1);
            let text = String::from_utf8_lossy(&super::scan::unescape(raw)).into_owned();
            self.output.replace(range, serde_json::Value::String(text).to_string().as_bytes());
        }
    }

    fn bytes(&mut self) -> Result<(), Stop> {
        let text = self.scan.string()?;
        drop(self.scan.take_halved());
        match leaf::bytes(&text.content()) {
            Ok(canonical) => self.rewrite(&text, canonical),
            Err(error) => {
                self.wrong_type.get_or_insert(error);
            }
        }
        Ok(())
    }

    fn leaf_string(&mut self, canonical: impl FnOnce(&str) -> leaf::Canonical) -> Result<(), Stop> {
        let text = self.scan.string()?;
        drop(self.scan.take_halved());
        match canonical(&String::from_utf8_lossy(&text.content())) {
            Ok(changed) => self.rewrite(&text, changed),
            Err(error) => {
                self.fatal.get_or_insert(error);
            }
        }
        Ok(())
    }

    fn rewrite(&mut self, text: &Text<'_>, canonical: Option<String>) {
        // An escaped text that is canonical once read may stand as it is.
        if let Some(canonical) = canonical {
            self.output.replace(text.start..text.end, format!("\"{canonical}\"").as_bytes());
        }
    }

    fn quantity(&mut self, found: u8) -> Result<(), Stop> {
        if found == b'"' {
            return self.leaf_string(leaf::quantity);
        }
        let start = self.scan.at();
        self.scan.skip(self.depth_left)?;
        drop(self.scan.take_halved());
        let range = start..self.scan.at();
        let number = String::from_utf8_lossy(self.scan.slice(range.clone()));
        match leaf::quantity(&number) {
            Ok(canonical) => {
                let text = canonical.map_or(number, Cow::Owned);
                self.output.replace(range, format!("\"{text}\"").as_bytes());
            }
            Err(error) => {
                self.fatal.get_or_insert(error);
            }
        }
        Ok(())
    }

    fn number(&mut self, kind: Type) -> Result<(), Stop> {
        let range = self.scan.number()?;
        if kind == Type::Double {
            return Ok(());
        }
        let text = self.scan.slice(range.clone());
        match integer(text) {
            Some(value) if kind == Type::Int64 || i32::try_from(value).is_ok() => {
                if value == 0 && text.len() > 1 {
                    // `-0`, which serde_json takes for a float.
                    self.output.replace(range, b"0");
                }
            }
            _ => {
                let text = String::from_utf8_lossy(text).into_owned();
                self.remember(&format!("number {text}"), &go::type_name(Shape::One, kind));
            }
        }
        Ok(())
    }

    /// Skips a value of the wrong type and remembers the first such.
    fn mismatch(&mut self, found: u8, shape: Shape, kind: Type) -> Result<(), Stop> {
        let value = match found {
            b'"' => "string",
            b'{' => "object",
            b'[' => "array",
            b't' | b'f' => "bool",
            b'n' => "null",
            _ => "number",
        };
        if self.wrong_type.is_none() {
            self.remember(value, &go::type_name(shape, kind));
        }
        self.scan.skip(self.depth_left)?;
        drop(self.scan.take_halved());
        Ok(())
    }

    fn remember(&mut self, value: &str, expected: &str) {
        let fields: Vec<&str> = self
            .path
            .iter()
            .filter_map(|s| if let Segment::Field { name, .. } = s { Some(*name) } else { None })
            .collect();
        let of =
            self.path.iter().rev().find_map(|s| if let Segment::Field { of, .. } = s { Some(of.name) } else { None });
        let text = match of {
            Some(of) => {
                format!(
                    "json: cannot unmarshal {value} into Go struct field {of}.{} of type {expected}",
                    fields.join(".")
                )
            }
            None => format!("json: cannot unmarshal {value} into Go value of type {expected}"),
        };
        self.wrong_type.get_or_insert(text);
    }

    /// A value of a custom object: duplicates are all that can be wrong with it.
    fn any(&mut self) -> Result<(), Stop> {
        match self.scan.value_start()? {
            b'{' => {
                self.descend()?;
                let mut keys = Keys::default();
                let mut more = self.scan.open(b'}');
                while more {
                    let key = self.scan.key()?;
                    if !keys.insert(key.content()) {
                        self.complain("duplicate field", Segment::Key(key));
                    }
                    self.mend();
                    self.path.push(Segment::Key(key));
                    let result = self.any();
                    self.path.pop();
                    result?;
                    more = self.scan.more_members()?;
                }
                self.depth_left += 1;
            }
            b'[' => {
                self.descend()?;
                let mut more = self.scan.open(b']');
                let mut index = 0;
                while more {
                    self.path.push(Segment::Index(index));
                    let result = self.any();
                    self.path.pop();
                    result?;
                    index += 1;
                    more = self.scan.more_elements()?;
                }
                self.depth_left += 1;
            }
            _ => self.keep_raw()?,
        }
        Ok(())
    }

    fn descend(&mut self) -> Result<(), Stop> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or(Stop::Depth)?;
        Ok(())
    }

    #[cold]
    fn complain(&mut self, what: &str, last: Segment<'a>) {
        if self.strict_errors.len() >= STRICT_ERRORS_MAX {
            return;
        }
        let mut path = String::new();
        for segment in self.path.iter().copied().chain([last]) {
            match segment {
                Segment::Index(index) => {
                    path.push_str(&format!("[{index}]"));
                    continue;
                }
                _ if path.is_empty() => {}
                _ => path.push('.'),
            }
            match segment {
                Segment::Field { name, .. } => path.push_str(name),
                Segment::Key(key) => path.push_str(&String::from_utf8_lossy(&key.content())),
                Segment::Index(_) => {}
            }
        }
        let text = format!("{what} {}", go::quote(&path));
        if !self.strict_errors.contains(&text) {
            self.strict_errors.push(text);
        }
    }
}

fn integer(text: &[u8]) -> Option<i64> {
    // Nearly all are short: no overflow is possible then.
    if text.len() < 10 && text[0] != b'-' {
        return text.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')));
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

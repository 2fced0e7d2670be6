//! How values become bytes: fixed little-endian integers, counted strings and lists, tagged enums.

/// Bytes that are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("malformed shim message")
    }
}

impl std::error::Error for Malformed {}

/// What can be written.
pub trait Encode {
    /// Appends itself.
    fn encode(&self, bytes: &mut Vec<u8>);
}

/// What can be read.
pub trait Decode: Sized {
    /// Reads itself off the front.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed>;
}

/// Bytes being read.
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Reader<'a> {
    /// Reads `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes, depth: 0 }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next field of a message. Of the outermost one, a missing tail reads as default values.
    pub(super) fn field<T: Decode + Default>(&mut self) -> Result<T, Malformed> {
        if self.rest.is_empty() && self.depth == 1 {
            return Ok(T::default());
        }
        T::decode(self)
    }

    /// Reads the fields of one message.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<T, Malformed> {
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }
}

macro_rules! integers {
    ($($type:ty)*) => {$(
        impl Encode for $type {
            fn encode(&self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        }
        impl Decode for $type {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                let bytes = reader.take(size_of::<$type>())?;
                Ok(<$type>::from_le_bytes(bytes.try_into().map_err(|_| Malformed)?))
            }
        }
    )*};
}
integers!(u8 u32 u64 i32 i64);

impl Encode for bool {
    fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(*self));
    }
}

impl Decode for bool {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(u8::decode(reader)? != 0)
    }
}

impl Encode for String {
    fn encode(&self, bytes: &mut Vec<u8>) {
        (self.len() as u32).encode(bytes);
        bytes.extend_from_slice(self.as_bytes());
    }
}

impl Decode for String {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let length = u32::decode(reader)? as usize;
        String::from_utf8(reader.take(length)?.to_vec()).map_err(|_| Malformed)
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        (self.len() as u32).encode(bytes);
        self.iter().for_each(|value| value.encode(bytes));
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let count = u32::decode(reader)?;
        // Grows with what is really there: a count alone reserves nothing.
        (0..count).map(|_| T::decode(reader)).collect()
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.is_some().encode(bytes);
        if let Some(value) = self {
            value.encode(bytes);
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        if bool::decode(reader)? { Ok(Some(T::decode(reader)?)) } else { Ok(None) }
    }
}

impl<T: Encode> Encode for Box<T> {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.as_ref().encode(bytes);
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        T::decode(reader).map(Box::new)
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    fn encode(&self, bytes: &mut Vec<u8>) {
        self.0.encode(bytes);
        self.1.encode(bytes);
    }
}

impl<A: Decode, B: Decode> Decode for (A, B) {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok((A::decode(reader)?, B::decode(reader)?))
    }
}

/// Declares structs that are written field by field.
macro_rules! messages {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl Encode for $name {
            fn encode(&self, bytes: &mut Vec<u8>) {
                $(self.$field.encode(bytes);)*
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                reader.nested(|reader| Ok($name { $($field: reader.field::<$type>()?,)* }))
            }
        }
    )*};
}
pub(super) use messages;

/// Declares enums whose variants are written as their tag and fields.
macro_rules! choices {
    ($($(#[$meta:meta])* enum $name:ident {
        $($(#[$doc:meta])* $tag:literal => $variant:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)* },)*
    })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant { $($(#[$fdoc])* $field: $type,)* },)* }

        impl Encode for $name {
            fn encode(&self, bytes: &mut Vec<u8>) {
                match self {
                    $($name::$variant { $($field,)* } => {
                        bytes.push($tag);
                        $($field.encode(bytes);)*
                    })*
                }
            }
        }

        impl Decode for $name {
            fn decode(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                match u8::decode(reader)? {
                    $($tag => reader.nested(|_reader| Ok($name::$variant { $($field: _reader.field::<$type>()?,)* })),)*
                    _ => Err(Malformed),
                }
            }
        }
    )*};
}
pub(super) use choices;

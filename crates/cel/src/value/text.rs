//! Texts and bytes, borrowed where they can be.

use std::ops::Deref;
use std::sync::Arc;

/// A text.
#[derive(Clone, Debug)]
pub enum Text<'v> {
    Borrowed(&'v str),
    Shared(Arc<str>),
}

impl Text<'_> {
    /// Its code points.
    pub(crate) fn length(&self) -> usize {
        // Most texts are plain: bytes are counted faster than characters are decoded.
        if self.is_ascii() { self.len() } else { self.chars().count() }
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Text::Shared(text.into())
    }
}

impl From<&str> for Text<'_> {
    fn from(text: &str) -> Self {
        Text::Shared(text.into())
    }
}

/// Bytes.
#[derive(Clone, Debug)]
pub enum Blob<'v> {
    Borrowed(&'v [u8]),
    Shared(Arc<[u8]>),
}

impl Deref for Blob<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Blob::Borrowed(bytes) => bytes,
            Blob::Shared(bytes) => bytes,
        }
    }
}

impl From<Vec<u8>> for Blob<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Blob::Shared(bytes.into())
    }
}

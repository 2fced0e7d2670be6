//! The names that the Common Expression Language keeps for itself.

/// Words that no identifier may be.
pub const RESERVED: &[&str] = &[
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
];

/// Whether a variable may be called so.
pub fn is_identifier(name: &str) -> bool {
    let word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    !name.is_empty()
        && !RESERVED.contains(&name)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(word)
}

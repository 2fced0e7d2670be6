//! What is wrong with an expression, and where: shown as upstream shows it, with the line and a mark.

use std::fmt;

/// One complaint about a source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// From 1.
    pub line: usize,
    /// Code points before it in its line.
    pub column: usize,
    pub message: String,
    /// The line of source that it is in.
    pub snippet: String,
}

impl Issue {
    pub(crate) fn at(source: &str, offset: usize, message: impl Into<String>) -> Issue {
        let offset = offset.min(source.len());
        let before = &source[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let snippet = source[start..].lines().next().unwrap_or_default().replace('\t', " ");
        Issue {
            line: before.matches('\n').count() + 1,
            column: source[start..offset].chars().count(),
            message: message.into(),
            snippet,
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ERROR: <input>:{}:{}: {}", self.line, self.column + 1, self.message)?;
        write!(f, "\n | {}\n | {}^", self.snippet, ".".repeat(self.column))
    }
}

/// Why an expression was not compiled: at least one issue, in the order of the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Issues(pub Vec<Issue>);

impl fmt::Display for Issues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, issue) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{issue}")?;
        }
        Ok(())
    }
}

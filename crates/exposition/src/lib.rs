//! Counters and histograms in the text form that scrapers read: single ones, and families whose labels users' objects
//! name.

mod histogram;
mod series;

pub use histogram::Histogram;
pub use series::{Family, Series};

use std::fmt::Write as _;

/// Begins a family: what it is, and of which kind.
pub fn head(out: &mut String, name: &str, kind: &str, help: &str) -> std::fmt::Result {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}")
}

/// Labels as they are written, without their braces.
pub fn labels(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (index, (name, value)) in pairs.iter().enumerate() {
        text.push_str(if index == 0 { "" } else { "," });
        text.push_str(name);
        text.push_str("=\"");
        for character in value.chars() {
            match character {
                '\\' => text.push_str("\\\\"),
                '"' => text.push_str("\\\""),
                '\n' => text.push_str("\\n"),
                other => text.push(other),
            }
        }
        text.push('"');
    }
    text
}

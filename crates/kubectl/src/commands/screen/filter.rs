//! What is typed behind `/`: which rows or lines to show.

use regex::{Regex, RegexBuilder};

/// A regular expression without regard to case, or, where it is none, the text itself; `!` in front shows the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) text: String,
    pattern: Option<Regex>,
    inverted: bool,
}

/// A pattern that compiles to more is taken for a text.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl Filter {
    pub(super) fn new(text: &str) -> Filter {
        let (inverted, wanted) = text.strip_prefix('!').map_or((false, text), |rest| (true, rest));
        let build =
            |pattern: &str| RegexBuilder::new(pattern).case_insensitive(true).size_limit(PATTERN_BYTES_MAX).build();
        let pattern =
            (!wanted.is_empty()).then(|| build(wanted).or_else(|_| build(&regex::escape(wanted)))).and_then(Result::ok);
        Filter { text: text.to_owned(), pattern, inverted }
    }

    /// The label query of `-l QUERY`, which the server answers.
    pub(super) fn labels(text: &str) -> Option<&str> {
        text.strip_prefix("-l").map(str::trim)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pattern.is_none()
    }

    pub(super) fn shows(&self, text: &str) -> bool {
        self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text) != self.inverted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_pattern_or_a_text() {
        for (filter, text, shown) in [
            ("", "anything", true),
            ("WEB-[0-9]", "default web-1", true),
            ("web-[0-9]", "default db-1", false),
            ("!web", "default db-1", true),
            ("!web", "default web-1", false),
            ("a[", "xa[y", true),
            ("a[", "xay", false),
        ] {
            assert_eq!(Filter::new(filter).shows(text), shown, "{filter:?} {text:?}");
        }
        assert_eq!(Filter::labels("-l app=x"), Some("app=x"));
        assert_eq!(Filter::labels("app"), None);
    }
}

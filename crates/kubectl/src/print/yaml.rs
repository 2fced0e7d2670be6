//! YAML as upstream's client prints it: keys sorted, lists not indented below their keys, long lines folded.
//!
//! Invariant: reading the text back gives the value; layout follows libyaml's emitter with a width of 80.

use super::yaml_scalar::{Style, style_of};
use serde_json::{Map, Value};
use std::cmp::Ordering;

const INDENT: usize = 2;
/// A line is broken at the first single space beyond it.
const WIDTH: usize = 80;
/// A longer key is written behind a `?`.
const SIMPLE_KEY_BYTES_MAX: usize = 128;

/// One document without a marker before it.
pub(crate) fn yaml(value: &Value) -> String {
    let mut emitter = Emitter { out: String::new(), column: 0 };
    match value {
        Value::Object(members) if !members.is_empty() => emitter.mapping(members, 0, true),
        Value::Array(elements) if !elements.is_empty() => emitter.sequence(elements, 0, true),
        scalar => emitter.scalar(scalar, 0),
    }
    emitter.end_line();
    emitter.out
}

struct Emitter {
    out: String,
    /// Characters since the last newline.
    column: usize,
}

impl Emitter {
    fn put(&mut self, character: char) {
        self.out.push(character);
        self.column = if character == '\n' { 0 } else { self.column + 1 };
    }

    fn text(&mut self, text: &str) {
        text.chars().for_each(|character| self.put(character));
    }

    fn end_line(&mut self) {
        if self.column > 0 {
            self.put('\n');
        }
    }

    fn new_line(&mut self, indent: usize) {
        self.end_line();
        (0..indent).for_each(|_| self.put(' '));
    }

    /// `inline`: the first member stands behind what is already on the line.
    fn mapping(&mut self, members: &Map<String, Value>, indent: usize, inline: bool) {
        for (index, (key, value)) in in_order(members).into_iter().enumerate() {
            if index > 0 || !inline {
                self.new_line(indent);
            }
            self.key(key, indent);
            match value {
                Value::Object(inner) if !inner.is_empty() => self.mapping(inner, indent + INDENT, false),
                Value::Array(inner) if !inner.is_empty() => self.sequence(inner, indent, false),
                scalar => {
                    self.put(' ');
                    self.scalar(scalar, indent + INDENT);
                }
            }
        }
    }

    fn key(&mut self, key: &str, indent: usize) {
        let style = match style_of(key) {
            Style::Literal => Style::Double,
            style => style,
        };
        let long = key.len() > SIMPLE_KEY_BYTES_MAX;
        if long {
            self.text("? ");
        }
        self.styled(key, style, indent + INDENT, long);
        if long {
            self.new_line(indent);
        }
        self.put(':');
    }

    fn sequence(&mut self, elements: &[Value], indent: usize, inline: bool) {
        for (index, element) in elements.iter().enumerate() {
            if index > 0 || !inline {
                self.new_line(indent);
            }
            self.text("- ");
            match element {
                Value::Object(inner) if !inner.is_empty() => self.mapping(inner, indent + INDENT, true),
                Value::Array(inner) if !inner.is_empty() => self.sequence(inner, indent + INDENT, true),
                scalar => self.scalar(scalar, indent + INDENT),
            }
        }
    }

    /// `indent` is that of further lines.
    fn scalar(&mut self, value: &Value, indent: usize) {
        match value {
            Value::String(text) => self.styled(text, style_of(text), indent, true),
            Value::Number(number) => self.text(&number_text(number)),
            other => self.text(&other.to_string()),
        }
    }

    fn styled(&mut self, text: &str, style: Style, indent: usize, may_break: bool) {
        match style {
            Style::Plain => self.flow(text, indent, may_break, false),
            Style::Single => {
                self.put('\'');
                self.flow(text, indent, may_break, true);
                self.put('\'');
            }
            Style::Double => self.double_quoted(text, indent, may_break),
            Style::Literal => self.literal(text, indent),
        }
    }

    /// Plain and single-quoted text: broken only where one space stands alone.
    fn flow(&mut self, text: &str, indent: usize, may_break: bool, quoted: bool) {
        let characters: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (index, character) in characters.iter().copied().enumerate() {
            if character == ' ' {
                let inside = !quoted || (index > 0 && index + 1 < characters.len());
                let alone = !after_space && characters.get(index + 1) != Some(&' ');
                if may_break && alone && inside && self.column > WIDTH {
                    self.new_line(indent);
                } else {
                    self.put(' ');
                }
            } else {
                if quoted && character == '\'' {
                    self.put('\'');
                }
                self.put(character);
            }
            after_space = character == ' ';
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, may_break: bool) {
        let characters: Vec<char> = text.chars().collect();
        self.put('"');
        let mut after_space = false;
        for (index, character) in characters.iter().copied().enumerate() {
            let inside = index > 0 && index + 1 < characters.len();
            match escape(character) {
                Some(escaped) => self.text(&escaped),
                None if character == ' ' && may_break && !after_space && inside && self.column > WIDTH => {
                    self.new_line(indent);
                    if characters[index + 1] == ' ' {
                        self.put('\\');
                    }
                }
                None => self.put(character),
            }
            after_space = character == ' ';
        }
        self.put('"');
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put('|');
        if text.starts_with([' ', '\n']) {
            self.put('2');
        }
        if !text.ends_with('\n') {
            self.put('-');
        } else if text == "\n" || text.ends_with("\n\n") {
            self.put('+');
        }
        self.put('\n');
        for line in text.split_inclusive('\n') {
            if line != "\n" {
                (0..indent).for_each(|_| self.put(' '));
            }
            self.text(line);
        }
    }
}

fn number_text(number: &serde_json::Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 1e15 => format!("{float:.0}"),
        _ => number.to_string(),
    }
}

/// What may not stand in a double-quoted text as itself.
fn escape(character: char) -> Option<String> {
    let short = match character {
        '\0' => '0',
        '\u{7}' => 'a',
        '\u{8}' => 'b',
        '\t' => 't',
        '\n' => 'n',
        '\u{b}' => 'v',
        '\u{c}' => 'f',
        '\r' => 'r',
        '\u{1b}' => 'e',
        '"' => '"',
        '\\' => '\\',
        '\u{85}' => 'N',
        '\u{2028}' => 'L',
        '\u{2029}' => 'P',
        printable if super::yaml_scalar::is_printable(printable) => return None,
        other => {
            let code = u32::from(other);
            return Some(match code {
                0..=0xff => format!("\\x{code:02X}"),
                0x100..=0xffff => format!("\\u{code:04X}"),
                _ => format!("\\U{code:08X}"),
            });
        }
    };
    Some(format!("\\{short}"))
}

/// Members by `compare_keys`, inserted one by one: that order has cycles (`9y` < `10` < `91` < `9y`), which the standard
/// sort may refuse. Members nearly always are sorted already, so that each finds its place at once.
fn in_order(members: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut ordered: Vec<(&String, &Value)> = Vec::with_capacity(members.len());
    for member in super::json::sorted(members) {
        let after = ordered.iter().rposition(|(key, _)| compare_keys(member.0, key) != Ordering::Less);
        ordered.insert(after.map_or(0, |at| at + 1), member);
    }
    ordered
}

/// Upstream's order of keys: digits by their number, letters after everything else.
fn compare_keys(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(x, y)| x != y) else {
        return a.len().cmp(&b.len());
    };
    let (x, y) = (a[at], b[at]);
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(&y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // A zero within a number does not begin a shorter one.
    let zero = x == '0' || y == '0';
    let before = a[..at].iter().rev().take_while(|digit| digit.is_numeric());
    let start = u64::from(zero && before.clone().any(|digit| *digit != '0'));
    let (m, m_end) = number_at(&a, at, start);
    let (n, n_end) = number_at(&b, at, start);
    m.cmp(&n).then(m_end.cmp(&n_end)).then(x.cmp(&y))
}

fn number_at(text: &[char], at: usize, start: u64) -> (u64, usize) {
    let digits = text[at..].iter().map_while(|digit| digit.to_digit(10));
    let count = digits.clone().count();
    (digits.fold(start, |number, digit| number.wrapping_mul(10).wrapping_add(digit.into())), at + count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn layout_is_upstreams() {
        let value = json!({
            "spec": {"list": [{"b": 1, "a": [1, [2, 3], []]}, "x", {}], "empty": {}, "none": null, "f": 1.0, "g": 0.5},
            "kind": "Pod", "script": "#!/bin/sh\necho  hi\n\nexit\n", "open": "a\nb", "keep": "a\n\n",
        });
        let expected = "keep: |+\n  a\n\nkind: Pod\nopen: |-\n  a\n  b\nscript: |\n  #!/bin/sh\n  echo  hi\n\n  exit\nspec:\n  empty: {}\n  \
                        f: 1\n  g: 0.5\n  list:\n  - a:\n    - 1\n    - - 2\n      - 3\n    - []\n    b: 1\n  - x\n  - {}\n  none: null\n";
        assert_eq!(yaml(&value), expected);
        assert_eq!(serde_saphyr::from_str::<Value>(expected).unwrap()["spec"]["list"], value["spec"]["list"]);
    }

    #[test]
    fn long_lines_are_folded_at_a_single_space() {
        let text = "this is a very long line that goes on and on beyond the eighty columns, surely, to be folded";
        let head = "m: this is a very long line that goes on and on beyond the eighty columns, surely,";
        assert_eq!(yaml(&json!({ "m": text })), format!("{head}\n  to be folded\n"));
        let quoted = yaml(&json!({ "m": format!("{text}: yes") }));
        assert_eq!(quoted, format!("{}\n  to be folded: yes'\n", head.replace("m: ", "m: '")));
        assert_eq!(yaml(&json!({ "m": "x".repeat(200) })), format!("m: {}\n", "x".repeat(200)));
    }

    #[test]
    fn keys_are_in_natural_order() {
        let keys = ["b", "a10", "a2", "A", "a-b", "ab", "a", "10", "9", "a01"];
        let members: Map<String, Value> = keys.map(|key| (key.to_owned(), Value::Null)).into_iter().collect();
        let keys: Vec<&String> = in_order(&members).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["9", "10", "A", "a", "a-b", "a01", "a2", "a10", "ab", "b"]);
    }
}

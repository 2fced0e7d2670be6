//! JSON for people: each value on a line of its own, two spaces for each level, as Go indents.
//!
//! Works on bytes as they come: nothing is decoded, and a piece may end anywhere.

#[derive(Default)]
pub(crate) struct Indent {
    depth: usize,
    in_string: bool,
    /// The byte before was a backslash that means the next one.
    escaped: bool,
    /// A bracket was opened, and nothing is in it yet.
    opened: bool,
}

impl Indent {
    /// The next bytes, indented.
    pub(crate) fn piece(&mut self, json: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(json.len() * 2);
        for byte in json {
            if self.in_string {
                out.push(*byte);
                self.string(*byte);
            } else {
                self.outside(*byte, &mut out);
            }
        }
        out
    }

    fn string(&mut self, byte: u8) {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => self.in_string = false,
            _ => {}
        }
    }

    fn outside(&mut self, byte: u8, out: &mut Vec<u8>) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => return,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.opened) {
                    self.line(out);
                }
                out.push(byte);
                return;
            }
            _ => {}
        }
        if std::mem::take(&mut self.opened) {
            self.line(out);
        }
        out.push(byte);
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.opened = true;
            }
            b',' => self.line(out),
            b':' => out.push(b' '),
            b'"' => self.in_string = true,
            _ => {}
        }
    }

    fn line(&self, out: &mut Vec<u8>) {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', self.depth * 2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_however_it_is_cut() {
        let json = br#"{"a":{},"b":[], "c":[1,{"d":"x, {\"y\\"}],"e":null}"#;
        let wanted = "{\n  \"a\": {},\n  \"b\": [],\n  \"c\": [\n    1,\n    {\n      \"d\": \"x, {\\\"y\\\\\"\n    }\n  ],\n  \
                      \"e\": null\n}";
        for cut in 0..json.len() {
            let mut indent = Indent::default();
            let mut text = indent.piece(&json[..cut]);
            text.extend(indent.piece(&json[cut..]));
            assert_eq!(String::from_utf8(text).unwrap(), wanted, "cut at {cut}");
        }
    }
}

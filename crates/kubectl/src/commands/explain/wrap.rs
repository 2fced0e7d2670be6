//! Prose in lines of eighty columns.

const WIDTH: usize = 80;

/// Every line indented; paragraphs stay apart, and runs of spaces inside a line stay as they are.
pub(super) fn wrapped(text: &str, indent: usize) -> String {
    let (margin, width) = (" ".repeat(indent), WIDTH - indent);
    let mut out = String::new();
    for (index, paragraph) in text.trim_end().split("\n\n").enumerate() {
        if index > 0 {
            out.push_str(&format!("{margin}\n"));
        }
        for line in lines(&paragraph.trim_start_matches('\n').replace('\n', " "), width) {
            out.push_str(&format!("{margin}{line}\n"));
        }
    }
    out
}

fn lines(paragraph: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut gap = String::new();
    for piece in paragraph.split_inclusive(' ') {
        let word = piece.trim_end_matches(' ');
        if word.is_empty() {
            gap.push_str(piece);
            continue;
        }
        if !line.is_empty() && line.chars().count() + gap.len() + word.chars().count() > width {
            lines.push(std::mem::take(&mut line));
            gap.clear();
        }
        line.push_str(&std::mem::take(&mut gap));
        line.push_str(word);
        gap.push_str(&piece[word.len()..]);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn lines_end_before_the_eightieth_column() {
        let first = format!("{}end.", "word ".repeat(14));
        let text = format!("{first}  Two\nmore\n\n\tsecond");
        let expected = format!("    {first}\n    Two more\n    \n    \tsecond\n");
        assert_eq!(wrapped(&text, 4), expected);
    }
}

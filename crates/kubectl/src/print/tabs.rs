//! Text with tabs in it, aligned as Go's tabwriter does: neighbouring lines that have a cell share its width.

const PADDING: usize = 2;

/// Lines whose cells end in tabs; the last cell of a line is as long as it is.
pub(crate) fn tabbed(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len() - 1]).collect();
    measure(&lines, &mut widths, 0, 0, lines.len());
    let mut out = String::new();
    for (cells, widths) in lines.iter().zip(&widths) {
        for (index, cell) in cells.iter().enumerate() {
            match widths.get(index) {
                Some(width) => out.push_str(&format!("{cell:<width$}")),
                None => out.push_str(cell),
            }
        }
        out.push('\n');
    }
    out
}

fn measure(lines: &[Vec<&str>], widths: &mut [Vec<usize>], column: usize, from: usize, to: usize) {
    let has = |line: usize| lines[line].len() > column + 1;
    let mut line = from;
    while line < to {
        if !has(line) {
            line += 1;
            continue;
        }
        let end = (line..to).find(|line| !has(*line)).unwrap_or(to);
        let width = (line..end).map(|line| lines[line][column].chars().count() + PADDING).max().unwrap_or_default();
        widths[line..end].iter_mut().for_each(|widths| widths[column] = width);
        measure(lines, widths, column + 1, line, end);
        line = end;
    }
}

#[cfg(test)]
mod tests {
    use super::tabbed;

    #[test]
    fn neighbours_share_a_width() {
        assert_eq!(
            tabbed("Name:\tx\nNamespace:\tdefault\nSpec:\n  A:\t1\n  Longer:\t2\t3\n"),
            "Name:       x\nNamespace:  default\nSpec:\n  A:       1\n  Longer:  2  3\n"
        );
    }
}

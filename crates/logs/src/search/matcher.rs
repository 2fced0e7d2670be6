//! Which lines of a block are wanted.
//!
//! A pattern runs over all texts of a block at once: most blocks have no match, and a line costs nothing until then.

use crate::block::Block;
use crate::query::{Filter, Pattern};

/// Matches that reach over a line's end, after which a block is searched line by line: such a pattern would otherwise be
/// run from every line to the block's end.
const CROSSINGS_MAX: usize = 8;

/// The indices of the wanted lines, in order. `classified` says that the lines know their levels.
pub(crate) fn select(filter: &Filter, block: &mut Block, classified: bool) -> Vec<usize> {
    if filter.lacks_fields(block.texts()) {
        return Vec::new();
    }
    let mut indices = match filter.patterns.first() {
        Some(pattern) => matching(pattern, block),
        None => (0..block.len()).collect(),
    };
    if indices.is_empty() {
        return indices;
    }
    if !classified {
        block.classify();
    }
    let (block, others) = (&*block, filter.patterns.get(1..).unwrap_or_default());
    indices.retain(|index| {
        let line = block.lines()[*index];
        let of_stream = filter.query.stderr.is_none_or(|stderr| stderr == line.is_stderr());
        let of_level = filter.levels & 1 << line.level() as u8 != 0;
        of_stream
            && of_level
            && filter.wants_time(line.time)
            && others.iter().all(|pattern| pattern.regex.is_match(block.text(*index)))
            && filter.wants_fields(block.text(*index))
    });
    indices
}

fn matching(pattern: &Pattern, block: &Block) -> Vec<usize> {
    if pattern.line_by_line {
        return one_by_one(pattern, block, 0);
    }
    let (mut found, mut from, mut crossings) = (Vec::new(), 0, 0);
    // A line that matches alone matches here too, as `^`, `$` and the word bounds mean the same; a match here may reach
    // into the next line and so is looked at again alone.
    while let Some(hit) = pattern.regex.find_at(block.texts(), from) {
        let index = block.line_at(hit.start());
        if index >= block.len() {
            break;
        }
        let crosses = hit.end() > block.start_after(index) - 1;
        if !crosses || pattern.regex.is_match(block.text(index)) {
            found.push(index);
        }
        crossings += usize::from(crosses);
        if crossings > CROSSINGS_MAX {
            found.extend(one_by_one(pattern, block, index + 1));
            break;
        }
        from = block.start_after(index);
        if from >= block.texts().len() {
            break;
        }
    }
    found
}

fn one_by_one(pattern: &Pattern, block: &Block, from: usize) -> Vec<usize> {
    (from..block.len()).filter(|index| pattern.regex.is_match(block.text(*index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Query;

    fn check(pattern: &str, lines: &[&str], wanted: &[usize]) {
        let mut block = Block::default();
        lines.iter().for_each(|line| {
            block.push_raw(format!("2026-01-01T00:00:00Z stdout F {line}").as_bytes(), 0);
        });
        let query = Query { patterns: vec![pattern.to_owned()], ..Query::default() };
        let filter = Filter::new(query).unwrap();
        assert_eq!(select(&filter, &mut block, false), wanted, "{pattern}");
        assert!(wanted.is_empty() || filter.may_be_in(block.texts()), "{pattern}");
        // The slow way is the truth.
        let alone = one_by_one(&filter.patterns[0], &block, 0);
        assert_eq!(alone, wanted, "{pattern}");
    }

    #[test]
    fn patterns_match_lines_alone() {
        let lines = ["alpha", "beta gamma", "", "alphabet", "stdout F", "omega a"];
        check("alpha", &lines, &[0, 3]);
        check("^alpha$", &lines, &[0]);
        check("^$", &lines, &[2]);
        check("a$", &lines, &[0, 1, 5]);
        check(r"a\s+beta", &lines, &[]);
        check(r"\Abeta", &lines, &[1]);
        check("(?i)ALPHA", &lines, &[0, 3]);
        check("(?i)^ALPHA$", &lines, &[0]);
        check("(?s)alpha.*b", &lines, &[3]);
        check("(?:beta|omega) (?P<a>a)?", &lines, &[1, 5]);
        check("(?-m)^alpha", &lines, &[0, 3]);
        check("(?i:OMEGA)(?m:^|.)", &lines, &[5]);
        check(r"a[^x]*t", &lines, &[3]);
        check("stdout F", &lines, &[4]);
        check("", &lines, &[0, 1, 2, 3, 4, 5]);
        check(r"\n", &lines, &[]);
        check(r"\bbeta\b", &lines, &[1]);
    }

    #[test]
    fn a_pattern_that_reaches_over_lines_ends() {
        let lines: Vec<String> = (0..2000).map(|index| format!("a {index}")).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        check(r"a[^x]*x", &lines, &[]);
        check(r"a[^x]*7", &lines, &(0..2000).filter(|index| index.to_string().contains('7')).collect::<Vec<_>>());
    }
}

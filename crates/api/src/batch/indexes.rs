//! Lists of a job's indexes as text, such as `0,3-5,9`: which are good, and how many indexes they name.

/// How many indexes a list names.
///
/// # Errors
/// What is wrong with it, in upstream's words. Indexes begin at 0 and end below `completions`.
pub(super) fn count(list: &str, completions: i32) -> Result<i32, String> {
    Ok(intervals(list, completions)?.into_iter().map(|(first, last)| last - first + 1).sum())
}

/// The first index that both lists name. Lists that make no sense have none: their form is complained of elsewhere.
pub(super) fn overlap(one: &str, other: &str, completions: i32) -> Option<i32> {
    let (one, other) = (intervals(one, completions).ok()?, intervals(other, completions).ok()?);
    let (mut left, mut right) = (one.iter().peekable(), other.iter().peekable());
    while let (Some((first, last)), Some((other_first, other_last))) = (left.peek(), right.peek()) {
        if first <= other_last && other_first <= last {
            return Some(*first.max(other_first));
        }
        if first <= other_first {
            left.next()
        } else {
            right.next()
        };
    }
    None
}

fn intervals(list: &str, completions: i32) -> Result<Vec<(i32, i32)>, String> {
    let mut intervals: Vec<(i32, i32)> = Vec::new();
    for part in list.split(',').filter(|_| !list.is_empty()) {
        let (first, last) = interval(part, completions)?;
        if let Some((_, before)) = intervals.last().filter(|(_, before)| *before >= first) {
            return Err(format!("non-increasing order, previous: {before}, current: {first}"));
        }
        intervals.push((first, last));
    }
    Ok(intervals)
}

fn interval(part: &str, completions: i32) -> Result<(i32, i32), String> {
    let index = |text: &str| match text.parse::<i32>() {
        Ok(index) if index >= completions => Err(format!("too large index: {text:?}")),
        Ok(index) => Ok(index),
        Err(_) => Err(format!("cannot convert string to integer for index: {text:?}")),
    };
    match part.split('-').collect::<Vec<_>>().as_slice() {
        [only] => index(only).map(|index| (index, index)),
        [first, last] => match (index(first)?, index(last)?) {
            (first, last) if first >= last => Err(format!("non-increasing order, previous: {first}, current: {last}")),
            interval => Ok(interval),
        },
        _ => Err(format!(
            "the fragment {part:?} violates the requirement that an index interval can have at most two parts \
             separated by '-'"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_counted() {
        for (list, wanted) in [
            ("", Ok(0)),
            ("0", Ok(1)),
            ("0,2-4,9", Ok(5)),
            ("10", Err("too large index: \"10\"")),
            ("2-1", Err("non-increasing order, previous: 2, current: 1")),
            ("3,3", Err("non-increasing order, previous: 3, current: 3")),
            ("x", Err("cannot convert string to integer for index: \"x\"")),
            ("5-", Err("cannot convert string to integer for index: \"\"")),
        ] {
            assert_eq!(count(list, 10), wanted.map_err(str::to_owned), "{list}");
        }
        assert!(count("1-2-3", 10).unwrap_err().contains("at most two parts"));
    }

    #[test]
    fn two_lists_meet() {
        for (one, other, wanted) in [
            ("0-3", "5", None),
            ("0-3,7", "2", Some(2)),
            ("0,4", "1-3,4-6", Some(4)),
            ("", "1", None),
            ("x", "1", None),
        ] {
            assert_eq!(overlap(one, other, 10), wanted, "{one} and {other}");
        }
    }
}

//! `$(NAME)` in values, commands and arguments.

/// Replaces references that `lookup` knows; others stay as they are written. `$$` is a dollar that begins none.
pub(crate) fn expand(input: &str, lookup: impl Fn(&str) -> Option<String>) -> String {
    let mut output = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.find('$') {
        output.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            output.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|open| open.split_once(')')) {
            match lookup(name) {
                Some(value) => output.push_str(&value),
                None => {
                    output.push_str("$(");
                    output.push_str(name);
                    output.push(')');
                }
            }
            rest = after;
        } else {
            output.push('$');
        }
    }
    output.push_str(rest);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_references_are_replaced_and_others_kept() {
        let check = |input: &str, wanted: &str| {
            let lookup = |name: &str| match name {
                "A" => Some("1".to_owned()),
                "EMPTY" => Some(String::new()),
                "NESTED" => Some("$(A)".to_owned()),
                _ => None,
            };
            assert_eq!(expand(input, lookup), wanted, "{input}");
        };
        check("$(A)", "1");
        check("x$(A)y$(A)", "x1y1");
        check("$(B)", "$(B)");
        check("$$(A)", "$(A)");
        check("$$$(A)", "$1");
        check("$$$$(A)", "$$(A)");
        check("$(EMPTY)", "");
        check("$(NESTED)", "$(A)");
        check("$(A", "$(A");
        check("$A", "$A");
        check("a$", "a$");
        check("$", "$");
        check("$()", "$()");
        check("", "");
    }
}

//! What two runs of one command may differ in, made equal; and command lines cut into words.

/// Keys whose values no two objects share.
const OWN: [&str; 8] = [
    "resourceVersion",
    "uid",
    "creationTimestamp",
    "Resource Version",
    "UID",
    "CreationTimestamp",
    "Creation Timestamp",
    "Created on",
];
/// Names with a random end.
const RANDOM: &str = "kube-api-access-";
/// Files that were edited.
const DRAFT: &str = "/kubectl-edit-";

/// Ages, times, uids, revisions and addresses become letters.
pub(crate) fn text(text: &str, namespace: &str) -> String {
    // Clients before 1.34 do not say from where they delete.
    let text = text.replace(&format!(" from {namespace} namespace"), "").replace(namespace, "NAMESPA");
    let lines = text.lines().map(line).collect::<Vec<_>>();
    lines.join("\n").trim_end().to_owned()
}

fn line(line: &str) -> String {
    let key = line.trim_start_matches([' ', '-']).trim_start_matches('"');
    if let Some(own) = OWN.iter().find(|own| key.starts_with(**own)) {
        return format!("{}{own} X", &line[..line.len() - key.len()]);
    }
    let mut out = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let gap = rest.len() - rest.trim_start_matches(' ').len();
        out.push_str(&rest[..gap]);
        rest = &rest[gap..];
        let (word, after) = rest.split_at(rest.find(' ').unwrap_or(rest.len()));
        rest = after;
        match changing(word) {
            Some(letters) => {
                out.push_str(letters);
                // How wide the gap behind it is depends on it.
                let trimmed = rest.trim_start_matches(' ');
                out.push_str(if rest.len() > trimmed.len() { " " } else { "" });
                rest = trimmed;
            }
            None => out.push_str(word),
        }
    }
    out
}

fn changing(word: &str) -> Option<&'static str> {
    let seconds = word.strip_suffix('s').unwrap_or_default();
    if word == "AGE" || (!seconds.is_empty() && seconds.chars().all(|digit| digit.is_ascii_digit())) {
        return Some("AGE");
    }
    if word.contains("controller-uid=") {
        return Some("CONTROLLER");
    }
    if word.starts_with("10.43.") {
        return Some("ADDRESS");
    }
    if word.contains(DRAFT) {
        return Some("DRAFT");
    }
    word.trim_matches(['"', ',']).starts_with(RANDOM).then_some(RANDOM)
}

/// The lines that only one of two texts has, by a longest common subsequence.
pub(crate) fn difference(theirs: &str, ours: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (theirs.lines().collect(), ours.lines().collect());
    let mut common = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, String::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            out.push_str(&format!("- {}\n", a[i]));
            i += 1;
        } else {
            out.push_str(&format!("+ {}\n", b[j]));
            j += 1;
        }
    }
    out
}

/// Words between spaces; single quotes hold one together.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().expect("there is always one").push(other),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn only_what_may_differ_is_made_equal() {
    assert_eq!(words("get cm 'a b' -o 'x={}'"), ["get", "cm", "a b", "-o", "x={}"]);
    assert_eq!(
        text("a  5s\nb  10s   c\n  uid: 12\nours 10.43.1.2   x\n cpu: 1m\n", "ours"),
        "a  AGE\nb  AGE c\n  uid X\nNAMESPA ADDRESS x\n cpu: 1m"
    );
    assert_ne!(text("a  web", "x"), text("a   web", "x"));
    assert_eq!(difference("a\nb\nc", "a\nc\nd"), "- b\n+ d\n");
}

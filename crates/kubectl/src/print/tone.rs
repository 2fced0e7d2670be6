//! What a status word says about its object, for whoever paints it.
//!
//! Invariant: words are only painted on a terminal, and never where `NO_COLOR` is set: a pipe sees none of this.

use anstyle::{AnsiColor, Color, Reset};

/// Columns whose cells are status words.
const COLUMNS: [&str; 5] = ["STATUS", "PHASE", "STATE", "READY", "AVAILABLE"];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Tone {
    /// As it should be.
    Good,
    /// On its way.
    Busy,
    /// Somebody should look.
    Bad,
    /// Over, as it should be.
    Done,
}

/// The parts of words, in lower case, that say each; the first that fits decides.
const WORDS: [(Tone, &[&str]); 4] = [
    (
        Tone::Bad,
        &[
            "error",
            "crashloop",
            "backoff",
            "failed",
            "failure",
            "evicted",
            "oomkilled",
            "notready",
            "invalid",
            "lost",
            "unknown",
            "unhealthy",
            "denied",
            "neverpull",
            "deadlineexceeded",
            "unexpectedadmission",
            "cannotrun",
        ],
    ),
    (
        Tone::Busy,
        &[
            "pending",
            "creating",
            "terminating",
            "init:",
            "initializing",
            "podinitializing",
            "waiting",
            "released",
            "schedulingdisabled",
            "progressing",
            "suspended",
            "schedulinggated",
            "running,",
            "paused",
        ],
    ),
    (Tone::Done, &["completed", "complete", "succeeded", "terminated"]),
    (Tone::Good, &["running", "ready", "active", "bound", "available", "true", "approved", "issued", "healthy"]),
];

/// The tone of a cell below a header; `None` where it is no status word.
pub(crate) fn tone(header: &str, cell: &str) -> Option<Tone> {
    if !COLUMNS.contains(&header) {
        return None;
    }
    let numbers = cell.split_once('/').and_then(|(ready, wanted)| Some((ready.parse().ok()?, wanted.parse().ok()?)));
    if let Some((ready, wanted)) = numbers {
        let (ready, wanted): (u64, u64) = (ready, wanted);
        return (ready < wanted).then_some(Tone::Busy);
    }
    if header == "READY" && cell == "False" {
        return Some(Tone::Bad);
    }
    let word = cell.to_ascii_lowercase();
    WORDS.iter().find(|(_, parts)| parts.iter().any(|part| word.contains(part))).map(|(tone, _)| *tone)
}

/// Whether the user lets programs use colours.
pub(crate) fn colors_are_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb()
}

/// Whether the terminal knows no sequences.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}

/// A cell with its colour around it; as it is where its word says nothing.
pub(crate) fn painted(header: &str, cell: &str) -> String {
    let color = match tone(header, cell) {
        Some(Tone::Good) => AnsiColor::Green,
        Some(Tone::Busy) => AnsiColor::Yellow,
        Some(Tone::Bad) => AnsiColor::Red,
        Some(Tone::Done) => AnsiColor::BrightBlack,
        None => return cell.to_owned(),
    };
    format!("{}{cell}{}", Color::Ansi(color).render_fg(), Reset.render())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_status_columns_have_a_tone() {
        for (header, cell, expected) in [
            ("STATUS", "Running", Some(Tone::Good)),
            ("STATUS", "CrashLoopBackOff", Some(Tone::Bad)),
            ("STATUS", "Init:Error", Some(Tone::Bad)),
            ("STATUS", "Init:0/2", Some(Tone::Busy)),
            ("STATUS", "Ready,SchedulingDisabled", Some(Tone::Busy)),
            ("STATUS", "NotReady", Some(Tone::Bad)),
            ("STATUS", "Completed", Some(Tone::Done)),
            ("READY", "0/1", Some(Tone::Busy)),
            ("READY", "2/2", None),
            ("READY", "False", Some(Tone::Bad)),
            ("NAME", "error", None),
            ("STATUS", "Whatever", None),
        ] {
            assert_eq!(tone(header, cell), expected, "{header} {cell}");
        }
    }

    #[test]
    fn only_status_words_are_painted() {
        assert_eq!(painted("STATUS", "Failed"), "\u{1b}[31mFailed\u{1b}[0m");
        assert_eq!(painted("NAME", "Failed"), "Failed");
    }
}

//! Two rounds of mutation: where a webhook or a policy changed the object, all who change objects see it once more.
//!
//! Invariants: never more than two rounds; in the second, of those outside only they are asked who were asked in the
//! first, want to be again, and were followed by a change.

use api::Object;
use std::collections::{BTreeMap, BTreeSet};

/// One write's rounds, and what each plugin remembers between them.
#[derive(Default)]
pub(crate) struct Rounds {
    is_second: bool,
    is_wanted: bool,
    books: BTreeMap<&'static str, Book>,
}

#[derive(Default)]
struct Book {
    /// What the plugin left in its round.
    output: Option<Box<dyn Object>>,
    /// Of those who want to be asked again, who was asked since the last change.
    asked: BTreeSet<String>,
    again: BTreeSet<String>,
}

impl Book {
    fn changed(&mut self) {
        self.again.append(&mut self.asked);
    }
}

impl Rounds {
    /// 0 or 1.
    pub(crate) fn number(&self) -> usize {
        usize::from(self.is_second)
    }

    /// Begins the second round, if one is wanted.
    pub(crate) fn next(&mut self) -> bool {
        let begins = self.is_wanted && !self.is_second;
        self.is_second |= begins;
        begins
    }

    /// A plugin begins its part of the round.
    pub(crate) fn begin(&mut self, plugin: &'static str, object: &dyn Object) {
        let is_second = self.is_second;
        let book = self.books.entry(plugin).or_default();
        if is_second && !book.output.as_deref().is_some_and(|output| object.equals(output)) {
            book.changed();
        }
    }

    /// Whether one of the plugin's judges is not to be asked in this round.
    pub(crate) fn passes_over(&self, plugin: &'static str, judge: &str) -> bool {
        self.is_second && !self.books.get(plugin).is_some_and(|book| book.again.contains(judge))
    }

    /// One of the plugin's judges changed the object.
    pub(crate) fn changed(&mut self, plugin: &'static str) {
        self.is_wanted = true;
        self.books.entry(plugin).or_default().changed();
    }

    /// One of the plugin's judges was asked who wants to be asked again where others change the object.
    pub(crate) fn asked(&mut self, plugin: &'static str, judge: &str) {
        self.books.entry(plugin).or_default().asked.insert(judge.to_owned());
    }

    /// A plugin has done its part of the round.
    pub(crate) fn end(&mut self, plugin: &'static str, object: &dyn Object) {
        let book = self.books.entry(plugin).or_default();
        // Who asked nobody has nobody to ask again.
        book.output = (!book.asked.is_empty()).then(|| object.boxed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;

    const PLUGIN: &str = "P";

    fn map(name: &str) -> ConfigMap {
        serde_json::from_value(serde_json::json!({"metadata": {"name": name}})).unwrap()
    }

    #[test]
    fn who_wants_it_is_asked_again_after_a_later_change() {
        let mut rounds = Rounds::default();
        rounds.begin(PLUGIN, &map("a"));
        rounds.asked(PLUGIN, "first");
        rounds.changed(PLUGIN);
        rounds.asked(PLUGIN, "second");
        rounds.end(PLUGIN, &map("b"));
        assert!(rounds.next());
        rounds.begin(PLUGIN, &map("b"));
        assert!(!rounds.passes_over(PLUGIN, "first"));
        assert!(rounds.passes_over(PLUGIN, "second"), "nothing changed since");
        rounds.begin(PLUGIN, &map("c"));
        assert!(!rounds.passes_over(PLUGIN, "second"), "somebody else changed it in the second round");
        rounds.changed(PLUGIN);
        assert!(!rounds.next(), "there is no third");
    }

    #[test]
    fn without_a_change_there_is_one_round() {
        let mut rounds = Rounds::default();
        rounds.begin(PLUGIN, &map("a"));
        assert!(!rounds.passes_over(PLUGIN, "first"));
        rounds.asked(PLUGIN, "first");
        rounds.end(PLUGIN, &map("a"));
        assert!(!rounds.next());
    }
}

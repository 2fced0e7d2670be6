//! The labels of a series, sorted by name.

use std::fmt;

pub(super) const NAME: &str = "__name__";

/// No label is empty: one that is set to nothing is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Labels(Vec<(String, String)>);

impl Labels {
    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        let mut labels: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        labels.sort();
        Labels(labels)
    }

    /// Empty where there is no such label.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.binary_search_by(|(own, _)| own.as_str().cmp(name));
        found.map_or("", |at| &self.0[at].1)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.0.binary_search_by(|(own, _)| own.as_str().cmp(name)) {
            Ok(at) if value.is_empty() => drop(self.0.remove(at)),
            Ok(at) => value.clone_into(&mut self.0[at].1),
            Err(_) if value.is_empty() => {}
            Err(at) => self.0.insert(at, (name.to_owned(), value.to_owned())),
        }
    }

    fn filtered(&self, keep: impl Fn(&str) -> bool) -> Labels {
        Labels(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    pub(super) fn nameless(&self) -> Labels {
        self.without(&[])
    }

    /// Those that are listed.
    pub(super) fn only(&self, names: &[String]) -> Labels {
        self.filtered(|name| names.iter().any(|own| own == name))
    }

    /// Those that are not listed, and not the name.
    pub(super) fn without(&self, names: &[String]) -> Labels {
        self.filtered(|name| name != NAME && !names.iter().any(|own| own == name))
    }
}

/// As Prometheus writes a series.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get(NAME))?;
        let mut pairs = self.iter().filter(|(name, _)| *name != NAME).peekable();
        if pairs.peek().is_none() {
            return if self.get(NAME).is_empty() { f.write_str("{}") } else { Ok(()) };
        }
        f.write_str("{")?;
        while let Some((name, value)) = pairs.next() {
            write!(f, "{name}={value:?}{}", if pairs.peek().is_some() { ", " } else { "" })?;
        }
        f.write_str("}")
    }
}

//! What selectors look at of one object: its labels and selectable fields, packed.
//!
//! Every object in the cache has one of these: as maps and strings it would cost about 1.2 KB of a pod, this about
//! 250 bytes. Fields that are empty are not kept, as a field that is not there counts as empty.

use api::Object;

/// One text of names and values in turn, labels first, and where each of them ends.
#[derive(Debug, Default)]
pub struct Selectable {
    text: Box<str>,
    ends: Box<[u32]>,
    labels: u32,
}

impl Selectable {
    pub(crate) fn of(object: &dyn Object) -> Selectable {
        let labels = object.meta().labels.iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()));
        let fields = object.fields();
        let fields = fields.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_str()));
        Selectable::pack(labels, fields)
    }

    fn pack<'a>(
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Selectable {
        let (mut text, mut ends) = (String::new(), Vec::new());
        let mut push = |(name, value): (&str, &str)| {
            for part in [name, value] {
                text.push_str(part);
                ends.push(u32::try_from(text.len()).expect("an object is smaller than 4 GiB"));
            }
        };
        let labels = u32::try_from(labels.map(&mut push).count()).expect("an object has fewer labels than bytes");
        fields.for_each(push);
        Selectable { text: text.into(), ends: ends.into(), labels }
    }

    pub fn label(&self, name: &str) -> Option<&str> {
        self.find(0..self.labels as usize, name)
    }

    /// The value of a selectable field that the kind itself declares; `None` for all others, and for empty ones.
    pub fn field(&self, path: &str) -> Option<&str> {
        self.find(self.labels as usize..self.ends.len() / 2, path)
    }

    fn find(&self, mut pairs: std::ops::Range<usize>, name: &str) -> Option<&str> {
        pairs.find(|pair| self.part(2 * pair) == name).map(|pair| self.part(2 * pair + 1))
    }

    fn part(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[index] as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_fields_are_found_and_not_mixed_up() {
        let labels = [("app", "web"), ("empty", ""), ("status.phase", "label")];
        let fields = [("spec.nodeName", "n1"), ("status.phase", "Running")];
        let packed = Selectable::pack(labels.into_iter(), fields.into_iter());
        for (name, value) in labels {
            assert_eq!(packed.label(name), Some(value));
        }
        for (name, value) in fields {
            assert_eq!(packed.field(name), Some(value));
        }
        for (label, field) in [("spec.nodeName", "app"), ("web", "n1"), ("", "")] {
            assert_eq!((packed.label(label), packed.field(field)), (None, None));
        }
        assert_eq!(Selectable::default().label("app"), None);
    }
}
